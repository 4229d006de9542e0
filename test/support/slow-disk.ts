/**
 * Members whose disk can be slowed while they run: a small library, compiled here, is preloaded and delays fsync. It works
 * for programs that call the C library, which ours does and a real etcd does not.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Program } from "./member.js";

// Two levels up from this file, and from the bundle of the bench, lies the package.
const source = fileURLToPath(new URL("../../test/support/slow-fsync.c", import.meta.url));

/** The C compiler, by the name that POSIX systems have for it. */
export const compiler = "cc";

/** Whoever makes it disposes of it, after the last member is gone. */
export class SlowDisk {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Compiles the library. Rejects if there is no C compiler. */
  static async create(): Promise<SlowDisk> {
    const directory = await mkdtemp(join(tmpdir(), "litecd-slow-disk-"));
    await promisify(execFile)(compiler, ["-shared", "-fPIC", "-O1", "-o", join(directory, "slow.so"), source, "-ldl"]);
    return new SlowDisk(directory);
  }

  /** The same program with the library in it. `env` executes it, so the process id stays that of the child. */
  wrap(program: Program): Program {
    const variables = [`LD_PRELOAD=${join(this.#directory, "slow.so")}`, `SLOW_FSYNC_DIR=${this.#directory}`];
    return { ...program, command: "env", args: [...variables, program.command, ...program.args] };
  }

  /** From now on every fsync of the process takes so much longer; 0 ends it. */
  async delay(pid: number, delayMs: number): Promise<void> {
    await writeFile(join(this.#directory, `${pid}`), `${delayMs}`);
  }

  async dispose(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}
