/**
 * The cache against its model, the server: random writes, cuts and compactions, and after every few of them a read whose
 * answer the history of the store decides.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Cache, type CacheBatch, createCache } from "../../src/client/cache/index.js";
import { createClient, type EtcdClient, isEtcdError, type KeyValue, op } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const rounds = 40;

/** A generator of numbers below a bound, the same for the same seed (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Below = ReturnType<typeof random>;
const prefix = "model/";

/** One write of a random kind; resolves with its revision. */
async function write(client: EtcdClient, below: Below): Promise<bigint> {
  const key = (): string => `${prefix}${below(30)}`;
  switch (below(5)) {
    case 0:
      return (await client.delete(key())).header.revision;
    case 1:
      return (await client.delete({ prefix: `${prefix}${below(3)}` })).header.revision;
    case 2: {
      const operations = [op.put(`${prefix}a${below(9)}`, "t"), op.put(`${prefix}b${below(9)}`, "t"), op.delete(key())];
      return (await client.txn({ then: operations })).header.revision;
    }
    default:
      return (await client.put(key(), String(below(1_000_000)))).header.revision;
  }
}

/** What the proxy does to the cache's connection. */
async function disturb(proxy: TcpProxy, direct: EtcdClient, below: Below): Promise<void> {
  switch (below(12)) {
    case 0:
      return proxy.cut();
    case 1:
      return proxy.flow({ replies: "hold" });
    case 2: {
      const { header } = await direct.put("elsewhere", "1");
      await direct.compact(header.revision);
      return;
    }
    case 3: {
      // A gap: what happens while nobody listens is compacted away.
      proxy.admit("refuse");
      proxy.cut();
      let revision = 0n;
      for (let count = 0; count < 5; count++) revision = await write(direct, below);
      await direct.compact(revision).catch((error: unknown) => {
        if (!isEtcdError(error, "Compacted")) throw error;
      });
      return proxy.admit("all");
    }
    default:
      return proxy.flow({ replies: "pass" });
  }
}

/** The store as it was; undefined if that is compacted. */
async function truth(direct: EtcdClient, revision: bigint): Promise<KeyValue<string>[] | undefined> {
  try {
    return (await direct.list({ prefix }, { revision })).kvs;
  } catch (error) {
    if (isEtcdError(error, "Compacted")) return undefined;
    throw error;
  }
}

/** A second copy, kept by the batches that a reader of the cache is given. */
class Replay {
  readonly kvs = new Map<string, KeyValue<string>>();
  revision = 0n;
  resyncs = 0;

  take({ revision, events, resync }: CacheBatch<string>): void {
    expect(revision).toBeGreaterThan(this.revision);
    this.revision = revision;
    if (resync) this.resyncs++;
    for (const event of events) {
      const key = event.type === "put" ? event.kv.key : event.key;
      expect(event.previous).toEqual(this.kvs.get(key));
      if (event.type === "put") this.kvs.set(key, event.kv);
      else this.kvs.delete(key);
    }
  }

  sorted(): KeyValue<string>[] {
    return [...this.kvs.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }
}

/** What the cache answers is the store at the revision it claims; false if that is compacted and cannot be told. */
async function checkRead(cache: Cache<string>, direct: EtcdClient, strength: "weak" | "strong"): Promise<boolean> {
  const consistency = strength === "strong" ? "linearizable" : "serializable";
  const { revision, kvs } = await cache.list({ prefix }, { consistency });
  const expected = await truth(direct, revision);
  if (expected === undefined) return false;
  expect(kvs).toEqual(expected);
  return true;
}

/** A read has seen what was written before it began, also if another was on its way already. */
async function checkFresh(cache: Cache<string>, direct: EtcdClient, below: Below): Promise<void> {
  const before = await write(direct, below);
  const early = cache.catchUp();
  const after = await write(direct, below);
  const late = await cache.list();
  expect(late.revision).toBeGreaterThanOrEqual(after);
  expect(await early).toBeGreaterThanOrEqual(before);
}

describe.each(targets)("cache model", (target) => {
  describe.skipIf(skips(target))(blockName("cache model", target), () => {
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

    it.each([1, 2])(
      "is the store at some revision, and at a new enough one (seed %i)",
      { timeout: 60_000 },
      async (seed) => {
        const below = random(seed);
        await using proxy = await startTcpProxy(server.endpoint);
        await using client = createClient({ endpoints: proxy.endpoint });
        await direct.delete({ prefix });
        await using cache = await createCache(client, { prefix });
        const replay = new Replay();
        const replaying = (async () => {
          for await (const batch of cache.watch(undefined, { initial: "state" })) replay.take(batch);
        })();
        let checked = 0;
        for (let round = 0; round < rounds; round++) {
          await write(direct, below);
          await disturb(proxy, direct, below);
          const strength = below(2) === 0 ? "strong" : "weak";
          // Held replies would hold a strong read for ever.
          if (strength === "strong") {
            proxy.flow({ replies: "pass" });
            await checkFresh(cache, direct, below);
          }
          if (await checkRead(cache, direct, strength)) checked++;
        }
        proxy.flow({ replies: "pass" });
        const { revision, kvs } = await cache.list();
        expect(kvs).toEqual((await direct.list({ prefix }, { revision })).kvs);
        await cache.close();
        await replaying;
        expect(replay.sorted()).toEqual(kvs.toSorted((a, b) => (a.key < b.key ? -1 : 1)));
        expect(checked).toBeGreaterThan(rounds / 4);
        expect(replay.resyncs).toBeGreaterThan(0);
      },
    );
  });
});
