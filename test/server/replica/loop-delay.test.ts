/**
 * The event loop does not wait for the disk. Two members write as fast as they can, on disks whose syncs take up to 300 ms: one
 * with its work in threads, one inline. They run at the same time, so that both suffer the same from whatever else this machine does;
 * what the disk does to the inline one shows that the measurement would notice.
 */
import { execFile, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SlowDisk } from "../../support/slow-disk.js";
import type { Delays } from "./loop-delay-load.js";
import { compiledThreads, type Mode, newDirectory } from "./threads-world.js";

/** In the package, so that the driver of SQLite is found. */
const program = fileURLToPath(new URL(`../../../dist/loop-delay-${process.pid}.mjs`, import.meta.url));
const source = fileURLToPath(new URL("./loop-delay-load.ts", import.meta.url));

/** The slow disk is a library that has to be compiled. Where that is not possible there is nothing to measure, except in CI. */
const measurable = process.env["CI"] === "true" || spawnSync("cc", ["--version"]).status === 0;

let disk: SlowDisk;

beforeAll(async () => {
  if (!measurable) return;
  disk = await SlowDisk.create();
  await build({
    entryPoints: [source],
    outfile: program,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
});

afterAll(async () => {
  rmSync(program, { force: true });
  if (measurable) await disk.dispose();
});

async function measure(mode: Mode): Promise<Delays> {
  const { dir, ...directory } = newDirectory();
  try {
    const args = [program, mode, dir, fileURLToPath(compiledThreads)];
    const { command, args: wrapped } = disk.wrap({ name: mode, command: process.execPath, args });
    const { stdout } = await promisify(execFile)(command, [...wrapped]);
    return JSON.parse(stdout) as Delays;
  } finally {
    directory.remove();
  }
}

describe.skipIf(!measurable)("under full write load on a slow disk", () => {
  it("the event loop of a member with threads is on time, and that of one without is not", async () => {
    const [threaded, inline] = await Promise.all([measure("threaded"), measure("inline")]);
    // The slowest syncs take 300 ms: whoever waits for them in the event loop shows it.
    expect(inline.p99Ms).toBeGreaterThan(200);
    expect(inline.p50Ms).toBeGreaterThan(20);
    expect(threaded.p50Ms).toBeLessThan(inline.p50Ms / 2);
    expect(threaded.p99Ms).toBeLessThan(inline.p99Ms / 2);
    expect(threaded.p999Ms).toBeLessThan(inline.p999Ms / 2);
    // Not because nothing was written.
    expect(threaded.puts).toBeGreaterThan(inline.puts / 2);
  }, 120_000);
});
