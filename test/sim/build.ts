/**
 * Bundles the simulator: production source with the file system, the SQLite driver and, if asked for, one line of code
 * replaced. A mutation must match exactly once, so that it cannot silently stop mutating.
 */
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { type Mutation, mutations } from "./mutations.js";

/** The package's root, from test/sim or from the bundled launcher in dist/sim. */
const root = fileURLToPath(new URL("../..", import.meta.url));
const replaced: Readonly<Record<string, string>> = {
  "src/server/storage/sqlite.ts": "test/sim/disk/sqlite.ts",
};

/** Builds the simulator and returns the path of the bundle. */
export async function buildSimulator(mutationName: string | undefined): Promise<string> {
  const mutation = mutationName === undefined ? undefined : findMutation(mutationName);
  const outfile = join(root, "dist", "sim", mutation === undefined ? "sim.js" : `sim-${mutation.name}.js`);
  const applied = new Set<string>();
  await build({
    absWorkingDir: root,
    entryPoints: ["test/sim/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [simulatedWorld(mutation, applied)],
  });
  const missed = mutation?.patches.filter(({ file }) => !applied.has(file)) ?? [];
  if (missed.length > 0) throw new Error(`the simulator does not contain ${missed.map(({ file }) => file).join(", ")}`);
  return outfile;
}

function findMutation(name: string): Mutation {
  const mutation = mutations.find((one) => one.name === name);
  if (mutation === undefined)
    throw new Error(`no mutation ${name}; there are ${mutations.map((one) => one.name).join(", ")}`);
  return mutation;
}

function simulatedWorld(mutation: Mutation | undefined, applied: Set<string>): Plugin {
  return {
    name: "simulated-world",
    setup: (setup) => {
      setup.onResolve({ filter: /^node:fs(\/promises)?$/ }, ({ importer }) => {
        const from = relative(root, importer);
        return from.startsWith("src/") ? { path: join(root, "test/sim/disk/virtual-fs.ts") } : undefined;
      });
      setup.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const file = relative(root, path);
        const other = replaced[file];
        if (other !== undefined)
          return { contents: `export * from ${JSON.stringify(join(root, other))};`, loader: "ts", resolveDir: root };
        const patches = mutation?.patches.filter((patch) => patch.file === file) ?? [];
        if (patches.length === 0) return undefined;
        applied.add(file);
        let contents = await readFile(path, "utf8");
        for (const { find, replace } of patches) contents = replaceOnce(contents, { find, replace, file });
        return { contents, loader: "ts" };
      });
    },
  };
}

function replaceOnce(
  source: string,
  { find, replace, file }: { readonly find: string; readonly replace: string; readonly file: string },
): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`${file} contains ${JSON.stringify(find)} ${parts.length - 1} times, not once`);
  return parts.join(replace);
}
