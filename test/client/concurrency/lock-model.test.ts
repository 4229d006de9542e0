/**
 * Many contenders for one lock, each behind a network of its own that is cut, goes silent or refuses, while leases are
 * revoked and keys deleted under them. A history of the store tells whether two ever held it at once; the one clock of
 * this process tells whether a holder believed in his lock when another one had it already. LITECD_LOCK_SEED repeats the
 * fates of a run, LITECD_LOCK_TURNS makes it longer.
 */
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { type Held, lock } from "../../../src/client/concurrency/index.js";
import { createClient, isEtcdError } from "../../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { Contest, seededRandom } from "./contest.js";
import { onTargets, type Stage } from "./on-targets.js";

const seed = Number(process.env["LITECD_LOCK_SEED"] ?? "7");
const turns = Number(process.env["LITECD_LOCK_TURNS"] ?? "2");
const contenderCount = 5;
const faults = ["none", "none", "cut", "silent", "refused", "revoked", "robbed"] as const;
type Fault = (typeof faults)[number];

/** When somebody believed to hold it; `meddled` if he was robbed, which nobody can know in time. */
interface Belief {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly meddled: boolean;
}

class Contender {
  readonly beliefs: Belief[] = [];
  private readonly stage: Stage;
  private readonly contest: Contest;
  private readonly name: string;
  private readonly random: (limit: number) => number;

  constructor(stage: Stage, contest: Contest, name: string, random: (limit: number) => number) {
    this.stage = stage;
    this.contest = contest;
    this.name = name;
    this.random = random;
  }

  async play(): Promise<void> {
    await using proxy = await startTcpProxy(this.stage.server.endpoint);
    for (let turn = 0; turn < turns; turn++) {
      await using client = createClient({ endpoints: proxy.endpoint, timeoutMs: 2_000 });
      const giveUp = this.random(5) === 0 ? { timeoutMs: 50 + this.random(300) } : {};
      const waiting = faults[this.random(faults.length)];
      const locking = lock(client, this.name, { ttl: 2, ...giveUp });
      if (waiting === "cut") setImmediate(() => proxy.cut());
      try {
        await this.hold(await locking, proxy);
      } catch (error) {
        // A wait that was given up, or a lock that was lost: both are fine, as long as nobody else is harmed.
        if (!isEtcdError(error)) throw error;
      }
      proxy.admit("all");
      proxy.flow({ requests: "pass", replies: "pass" });
    }
  }

  private async hold(held: Held, proxy: TcpProxy): Promise<void> {
    const fromMs = performance.now();
    const lost = new Promise<number>((resolve) => {
      held.signal.addEventListener("abort", () => resolve(performance.now()), { once: true });
    });
    await this.contest.claim(held.key, held.fencingToken);
    const fault = faults[this.random(faults.length)] ?? "none";
    await this.strike(fault, held, proxy);
    const meddled = fault === "revoked" || fault === "robbed";
    // Believes in it until told otherwise, or for a while, and then lets go.
    const untilMs = await Promise.race([lost, delay(fault === "none" ? 5 : 2_500).then(() => performance.now())]);
    this.beliefs.push({ fromMs, untilMs, meddled });
    await held.release({ timeoutMs: 500 });
  }

  private async strike(fault: Fault, held: Held, proxy: TcpProxy): Promise<void> {
    const { client } = this.stage;
    switch (fault) {
      case "none":
        return;
      case "cut":
        return proxy.cut();
      case "silent":
        return proxy.flow({ requests: "swallow", replies: "swallow" });
      case "refused":
        proxy.admit("refuse");
        return proxy.cut();
      case "revoked":
        // Its lease may have run out before it came to this.
        await client.leases.revoke(held.lease.id).catch((error: unknown) => {
          if (!isEtcdError(error, "LeaseNotFound")) throw error;
        });
        return;
      case "robbed":
        await client.delete(held.key);
        return;
    }
  }
}

onTargets("lock model", (stage) => {
  it(
    `has never two holders with seed ${seed}`,
    async () => {
      const name = stage.name();
      await using contest = new Contest(stage.client, name);
      await contest.begin();
      const players = Array.from(
        { length: contenderCount },
        (_, index) => new Contender(stage, contest, name, seededRandom(seed * 1_000 + index)),
      );
      await Promise.all(players.map((player) => player.play()));
      await contest.judge(contenderCount);
      const beliefs = players.flatMap((player) => player.beliefs).toSorted((a, b) => a.fromMs - b.fromMs);
      const overlaps = beliefs.filter((belief, index) => {
        const next = beliefs[index + 1];
        return !belief.meddled && next !== undefined && next.fromMs < belief.untilMs;
      });
      expect(overlaps).toEqual([]);
      // Whoever comes later finds an empty line as soon as the leases of the lost have run out.
      const last = await lock(stage.client, name, { timeoutMs: 15_000 });
      await last.release();
      await expect.poll(() => stage.client.count({ prefix: `${name}/` }), { timeout: 10_000 }).toBe(0);
    },
    20_000 + turns * 20_000,
  );
});
