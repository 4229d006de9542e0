/**
 * Real members as processes, every link of which can break, under a nemesis that kills, pauses, cuts and slows them while
 * clients write, read, watch and hold leases; afterwards every promise is checked. LITECD_CHAOS_MINUTES sets how long,
 * for three and five members together (the verdict comes on top), LITECD_CHAOS_SEED replays the plan of a run, and LITECD_CHAOS_TARGET=etcd runs the same
 * against the real etcd in LITECD_TEST_ETCD, to prove the test itself. A failing run keeps what it wrote down.
 */
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { etcdIn, litecd, type Program } from "../support/member.js";
import { realEtcdDirectory } from "../support/real-etcd.js";
import { compiler } from "../support/slow-disk.js";
import { type ChaosReport, runChaos } from "./run.js";

const minutes = Number(process.env["LITECD_CHAOS_MINUTES"] ?? (process.env["CI"] === "true" ? 0.75 : 0.5));
const seed = Number(process.env["LITECD_CHAOS_SEED"] ?? randomInt(2 ** 31));
const target = process.env["LITECD_CHAOS_TARGET"] ?? "litecd";
const main = fileURLToPath(new URL("../../dist/server/main.js", import.meta.url));
/** Who dialled whom is read from here. */
const missing = existsSync("/proc/net/tcp") ? undefined : "the links between members need Linux";
const verdictMsMax = 120_000;
/** Slow disks need a C compiler, which CI has; elsewhere this kind of fault is left out without one. A real etcd has none. */
const slowDisk = target !== "etcd" && (process.env["CI"] === "true" || spawnSync(compiler, ["--version"]).status === 0);

function program(): Program {
  if (target === "etcd") return etcdIn(realEtcdDirectory ?? "");
  if (!existsSync(main)) throw new Error("dist is not built: run npm run build");
  return litecd;
}

/** What JSON has no words for. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return value === Infinity ? "never" : value;
}

async function keep(report: ChaosReport, size: number): Promise<string> {
  const path = join(tmpdir(), `litecd-chaos-${size}-${seed}.json`);
  await writeFile(path, JSON.stringify({ ...report, tally: Object.fromEntries(report.tally) }, plain));
  return path;
}

describe.skipIf(missing !== undefined)("a cluster whose members and links fail", () => {
  const forMs = (minutes * 60_000) / 2;
  it.each([3, 5])(
    `of %i members keeps every promise, over ${minutes} minutes`,
    async (size) => {
      const report = await runChaos({ program: program(), size, seed, forMs, slowDisk });
      const { wrong, evidence, tally, revision } = report;
      const again = `LITECD_CHAOS_SEED=${seed} LITECD_CHAOS_MINUTES=${minutes} LITECD_CHAOS_TARGET=${target} npx vitest run test/chaos/chaos.test.ts`;
      console.log(
        `${size} members: ${[...tally].map(([kind, count]) => `${count} ${kind}`).join(", ")}; ${evidence.operations.length} operations, ` +
          `${revision} revisions, ${evidence.sessions.length} watches, ${evidence.leases.length} leases; ${again}`,
      );
      if (wrong.length > 0) {
        const kept = await keep(report, size);
        throw new Error(
          `${wrong.length} promises broken:\n${wrong.slice(0, 12).join("\n")}\nAgain: ${again}\nAll of it: ${kept}`,
        );
      }
      expect(revision).toBeGreaterThan(20);
      expect(evidence.leases.length).toBeGreaterThan(0);
    },
    forMs + verdictMsMax,
  );
});
