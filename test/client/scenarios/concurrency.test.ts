/**
 * Scenario 29 of the SDK: our locks and elections beside etcdctl's, in one line. LITECD_LOCK_ROUNDS says how many rounds,
 * LITECD_LOCK_SEED repeats the fates of a run.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { campaign, type Held, lock, session } from "../../../src/client/concurrency/index.js";
import { createClient, type EtcdClient } from "../../../src/client/index.js";
import { type RealEtcd, realEtcdDirectory } from "../../support/real-etcd.js";
import { Contest, seededRandom } from "../concurrency/contest.js";
import { blockName, skips, targets } from "../targets.js";

const rounds = Number(process.env["LITECD_LOCK_ROUNDS"] ?? "6");
const seed = Number(process.env["LITECD_LOCK_SEED"] ?? "29");
/** What becomes of a holder. "revoked" is what an expired lease looks like to everybody else. */
const fates = ["releases", "dies", "is revoked", "is robbed"] as const;

interface Printed {
  readonly kvs: readonly { readonly key: string; readonly create_revision: number }[];
}

/** An etcdctl that waits for a lock or an election, and then holds it until told otherwise. */
class Etcdctl {
  readonly child: ChildProcess;
  readonly held: Promise<{ key: string; createRevision: bigint; lease: bigint }>;
  readonly gone: Promise<number | null>;

  constructor(endpoint: string, args: readonly string[]) {
    const file = join(realEtcdDirectory ?? "", "etcdctl");
    const child = spawn(file, ["--endpoints", endpoint, "-w", "json", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let text = "";
    let failure = "";
    child.stderr.on("data", (chunk: Buffer) => {
      failure += chunk.toString();
    });
    this.gone = new Promise((resolve) => child.once("exit", resolve));
    this.held = new Promise((resolve, reject) => {
      child.once("exit", () => reject(new Error(`etcdctl has ended: ${failure}`)));
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (!text.endsWith("\n")) return;
        const [kv] = (JSON.parse(text) as Printed).kvs;
        if (kv === undefined) return reject(new Error(`etcdctl printed ${text}`));
        const key = Buffer.from(kv.key, "base64").toString();
        const lease = BigInt(`0x${key.slice(key.lastIndexOf("/") + 1)}`);
        resolve({ key, createRevision: BigInt(kv.create_revision), lease });
      });
    });
    // Whoever waits for it learns of a failure; one that is killed while it waits is nobody's.
    this.held.catch(() => undefined);
  }
}

describe.each(targets)("contest", (target) => {
  const without = realEtcdDirectory === undefined ? " (skipped: no etcdctl)" : "";
  const skip = skips(target) || without !== "";
  describe.skipIf(skip)(blockName(`contest${without}`, target), { timeout: 30_000 + rounds * 5_000 }, () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });

    type Fate = (typeof fates)[number];

    async function ours(contest: Contest, name: string, kind: "lock" | "election", fate: Fate): Promise<void> {
      const client = createClient({ endpoints: server.endpoint });
      try {
        const held: Held = await (kind === "lock" ? lock(client, name) : campaign(client, name, "ours"));
        expect(await contest.claim(held.key, held.fencingToken, client)).toBe(true);
        switch (fate) {
          case "releases":
            return await held.release();
          case "dies":
            // The connections go without a word, and the lease runs out: here at once, to be quick.
            await client.close();
            return await direct.leases.revoke(held.lease.id);
          case "is revoked":
            await direct.leases.revoke(held.lease.id);
            break;
          case "is robbed":
            await direct.delete(held.key);
            break;
        }
        await expect.poll(() => held.signal.aborted, { timeout: 10_000, interval: 5 }).toBe(true);
        await held.release();
      } finally {
        await client.close();
      }
    }

    async function theirs(contest: Contest, args: readonly string[], fate: Fate): Promise<void> {
      const etcdctl = new Etcdctl(server.endpoint, args);
      const held = await etcdctl.held;
      expect(await contest.claim(held.key, held.createRevision)).toBe(true);
      switch (fate) {
        case "releases":
          etcdctl.child.kill("SIGINT");
          break;
        case "dies":
          etcdctl.child.kill("SIGKILL");
          await etcdctl.gone;
          await direct.leases.revoke(held.lease);
          break;
        case "is revoked":
          await direct.leases.revoke(held.lease);
          break;
        case "is robbed":
          await direct.delete(held.key);
          break;
      }
      // etcdctl notices a loss at its next renewal only, and nobody waits for that.
      if (fate !== "releases") etcdctl.child.kill("SIGKILL");
      await etcdctl.gone;
    }

    async function play(kind: "lock" | "election"): Promise<void> {
      const name = `${kind} ${seed}`;
      const random = seededRandom(seed);
      const fate = (): Fate => fates[random(fates.length)] ?? "releases";
      await using contest = new Contest(direct, name);
      await contest.begin();
      const args = kind === "lock" ? ["lock", name] : ["elect", name, "theirs"];
      for (let round = 0; round < rounds; round++) {
        const contenders = [
          ours(contest, name, kind, fate()),
          theirs(contest, args, fate()),
          ours(contest, name, kind, fate()),
        ];
        if (round % 3 === 0) contenders.push(diesWaiting(name));
        await Promise.all(contenders);
      }
      await contest.judge(3 * rounds);
    }

    /** A waiter whose lease dies stops waiting. */
    async function diesWaiting(name: string): Promise<void> {
      const blocked = await lock(direct, `${name} private`);
      const lease = await session(direct);
      const waiting = lock(direct, `${name} private`, { lease });
      const stopped = expect(waiting).rejects.toMatchObject({ code: expect.stringMatching(/^(LeaseLost|LockLost)$/) });
      await lease.revoke();
      await stopped;
      await blocked.release();
    }

    it("scenario 29: ours and etcdctl lock contend for one name, holders die, and there are never two", async () => {
      await play("lock");
    });

    it("scenario 29: ours and etcdctl elect contend for one name, leaders die, and there are never two", async () => {
      await play("election");
    });

    it("scenario 29: a holder that was killed without a word is followed when its lease has run out", async () => {
      const etcdctl = new Etcdctl(server.endpoint, ["lock", "killed", "--ttl", "2"]);
      const { createRevision } = await etcdctl.held;
      const waiting = lock(direct, "killed");
      etcdctl.child.kill("SIGKILL");
      const held = await waiting;
      expect(held.fencingToken).toBeGreaterThan(createRevision);
      const next = new Etcdctl(server.endpoint, ["lock", "killed"]);
      await held.release();
      expect((await next.held).createRevision).toBeGreaterThan(held.fencingToken);
      next.child.kill("SIGINT");
      expect(await next.gone).toBe(0);
    });
  });
});
