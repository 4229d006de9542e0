/**
 * The package as a user has it: packed, and installed with npm into a project of its own, without what is optional. The
 * registry is asked for the other packages, or npm's cache.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
/** The top of this repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Project extends AsyncDisposable {
  readonly directory: string;
  /** Writes a file, runs it with node, and resolves with what it printed. Rejects if it failed. */
  node(file: string, code: string, flags?: readonly string[]): Promise<{ stdout: string; stderr: string }>;
  command(program: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }>;
}

/** A project that has installed the packed package with `--omit=optional`. `dist` must be built. */
export async function sdkOnlyProject(): Promise<Project> {
  const directory = await mkdtemp(join(tmpdir(), "litecd-package-"));
  const project = projectIn(directory);
  try {
    await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", directory], { cwd: root });
    const tarball = (await readdir(directory)).find((name) => name.endsWith(".tgz"));
    if (tarball === undefined) throw new Error("npm pack left no tarball");
    await writeFile(join(directory, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
    const flags = ["--omit=optional", "--no-audit", "--no-fund", "--prefer-offline", "--silent"];
    await project.command("npm", ["install", ...flags, `./${tarball}`]);
    return project;
  } catch (error) {
    await project[Symbol.asyncDispose]();
    throw error;
  }
}

function projectIn(directory: string): Project {
  const command = (program: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
    run(program, [...args], { cwd: directory, timeout: 120_000 });
  return {
    directory,
    command,
    async node(file, code, flags = []) {
      await writeFile(join(directory, file), code);
      return command(process.execPath, [...flags, file]);
    },
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true });
    },
  };
}
