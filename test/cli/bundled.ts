/** litectl as a program of its own, bundled from the source as it is, for tests with shells, terminals and signals. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Bundled extends AsyncDisposable {
  /** For PATH: it holds `litectl`, and nothing else that can be run. */
  readonly directory: string;
  /** The program's path. */
  readonly litectl: string;
}

export async function bundledLitectl(): Promise<Bundled> {
  const directory = await mkdtemp(join(tmpdir(), "litectl-"));
  await build({
    absWorkingDir: root,
    entryPoints: ["src/cli/main.ts"],
    outdir: join(directory, "dist"),
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["better-sqlite3"],
    banner: {
      js: 'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);',
    },
    logLevel: "error",
  });
  await writeFile(join(directory, "package.json"), '{ "type": "module", "version": "0.0.0" }');
  const litectl = join(directory, "litectl");
  await writeFile(litectl, `#!/bin/sh\nexec '${process.execPath}' '${join(directory, "dist/main.js")}' "$@"\n`);
  await chmod(litectl, 0o755);
  return {
    directory,
    litectl,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
