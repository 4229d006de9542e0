/**
 * The short form of `npm run bench -- failover`: leaders are killed under load, nothing acknowledged is lost, and another
 * member takes over within a few election timeouts. LITECD_FAILOVER_TARGET=etcd runs it against the real etcd.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loseLeaders } from "../../bench/failover/leader-loss.js";
import { restartAll } from "../../bench/failover/rolling-restart.js";
import { etcdIn, litecd, type Program } from "../support/member.js";
import { realEtcdDirectory } from "../support/real-etcd.js";

const main = fileURLToPath(new URL("../../dist/server/main.js", import.meta.url));
const electionTimeoutMs = 1_000;

function target(): Program {
  if (process.env["LITECD_FAILOVER_TARGET"] === "etcd") return etcdIn(realEtcdDirectory ?? "");
  if (!existsSync(main)) throw new Error("dist is not built: run npm run build");
  return litecd;
}

const words = (outagesMs: readonly number[]): string => outagesMs.map((one) => Math.round(one)).join(", ");

describe("a cluster of three under load", { timeout: 120_000 }, () => {
  it("loses nothing when its leader is killed, five times, and has another soon", async () => {
    const { outagesMs, acknowledged, lost } = await loseLeaders({ program: target(), size: 3, times: 5, how: "kill" });
    console.log(`first write elsewhere after ${words(outagesMs)} ms; ${acknowledged} writes`);
    expect(lost).toEqual([]);
    expect(acknowledged).toBeGreaterThan(500);
    expect(Math.max(...outagesMs)).toBeLessThan(6 * electionTimeoutMs);
  });

  it("has another leader soon when the old one is cut off without a word", async () => {
    const { outagesMs, lost } = await loseLeaders({ program: target(), size: 3, times: 2, how: "blackHole" });
    console.log(`first write elsewhere after ${words(outagesMs)} ms`);
    expect(lost).toEqual([]);
    expect(Math.max(...outagesMs)).toBeLessThan(6 * electionTimeoutMs);
  });

  it("serves on while one member after the other is restarted", async () => {
    const report = await restartAll({ program: target(), size: 3, rounds: 1 });
    console.log(
      `without a write: leader ${words(report.leaderGapsMs)} ms, followers ${words(report.followerGapsMs)} ms`,
    );
    expect(report.lost).toBe(0);
    expect(report.acknowledged).toBeGreaterThan(500);
    expect(Math.max(...report.leaderGapsMs, ...report.followerGapsMs)).toBeLessThan(6 * electionTimeoutMs);
  });
});
