/**
 * Kills the member with SIGKILL under load, again and again, and holds every restart against what was acknowledged.
 * LITECD_CRASH_CYCLES sets the kills (50 in CI, fewer otherwise), LITECD_CRASH_SEED replays the choices of a run, and
 * LITECD_CRASH_TARGET=etcd runs the same loop against the real etcd in LITECD_TEST_ETCD to prove the loop itself.
 */
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { etcdIn, litecd, type Program } from "../support/member.js";
import { runCrashes } from "./run.js";

const cycles = Number(process.env["LITECD_CRASH_CYCLES"] ?? (process.env["CI"] === "true" ? 50 : 10));
const seed = Number(process.env["LITECD_CRASH_SEED"] ?? randomInt(2 ** 31));
const main = fileURLToPath(new URL("../../dist/server/main.js", import.meta.url));

function target(): Program {
  if (process.env["LITECD_CRASH_TARGET"] !== "etcd") {
    if (!existsSync(main)) throw new Error("dist is not built: run npm run build");
    return litecd;
  }
  const directory = process.env["LITECD_TEST_ETCD"];
  if (directory === undefined) throw new Error("LITECD_TEST_ETCD names no directory with a real etcd");
  return etcdIn(directory);
}

/** Keeps a copy of the first dead member's data and gives the next ones that copy for their own. */
async function putBack(directory: string, cycle: number): Promise<void> {
  const [data, copy] = [join(directory, "data"), join(directory, "copy")];
  if (cycle === 1) return cp(data, copy, { recursive: true });
  await rm(data, { recursive: true });
  await cp(copy, data, { recursive: true });
}

describe("a member that is killed under load", () => {
  it(
    `loses nothing acknowledged, repeats nothing and never goes back, over ${cycles} kills`,
    async () => {
      const again = `LITECD_CRASH_SEED=${seed} LITECD_CRASH_CYCLES=${cycles} npx vitest run test/crash`;
      const report = await runCrashes({ program: target(), seed, cycles }).catch((error: unknown) => {
        throw new Error(`${error instanceof Error ? error.message : String(error)}\nAgain: ${again}`, { cause: error });
      });
      console.log(
        `${report.kills} kills, ${report.revisions} revisions, slowest start ${Math.round(report.slowestStartMs)} ms; ${again}`,
      );
      expect(report.kills).toBeGreaterThanOrEqual(cycles);
      expect(report.revisions).toBeGreaterThan(cycles);
    },
    20_000 + cycles * 5_000,
  );

  it("is found out when its disk is put back to an older state", { timeout: 60_000 }, async () => {
    const run = runCrashes({ program: target(), seed, cycles: 2, whileDead: putBack });
    await expect(run).rejects.toThrow(/lost|went back|not ready|ended with/);
  });
});
