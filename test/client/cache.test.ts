/** The cache: what it answers is what the server would have answered, over cuts and compactions. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Cache, type CacheBatch, createCache } from "../../src/client/cache/index.js";
import { createClient, type EtcdClient, json, type KeyValue } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const text = (kvs: readonly KeyValue<string>[]): string[] => kvs.map(({ key, value }) => `${key}=${value}`);

async function next(batches: AsyncIterator<CacheBatch<string>>): Promise<CacheBatch<string>> {
  const step = await batches.next();
  if (step.done === true) throw new Error("the loop has ended");
  return step.value;
}

function live(cache: Cache<unknown>): Promise<void> {
  return expect.poll(() => cache.state).toBe("live");
}

describe.each(targets)("cache", (target) => {
  describe.skipIf(skips(target))(blockName("cache", target), { timeout: 20_000 }, () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    let proxy: TcpProxy;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });
    beforeEach(async () => {
      proxy = await startTcpProxy(server.endpoint);
      client = createClient({ endpoints: proxy.endpoint });
      return async () => {
        await client.close();
        await proxy.stop();
      };
    });

    it("answers a linearizable read with what was written just before", async () => {
      await direct.put("fresh/0", "old");
      await using cache = await createCache(client, { prefix: "fresh/" });
      expect(cache.peek("fresh/0")?.value).toBe("old");
      for (let round = 0; round < 20; round++) {
        const { header } = await direct.put("fresh/0", String(round));
        expect((await cache.get("fresh/0"))?.value).toBe(String(round));
        expect(cache.revision).toBeGreaterThanOrEqual(header.revision);
      }
      await direct.delete("fresh/0");
      expect(await cache.get("fresh/0")).toBeUndefined();
      expect(cache.size).toBe(0);
    });

    it("knows that nothing changed although the store moved on elsewhere", async () => {
      await direct.put("quiet/0", "same");
      await using cache = await createCache(client, { prefix: "quiet/" });
      const { header } = await direct.put("elsewhere", "1");
      expect(text((await cache.list()).kvs)).toEqual(["quiet/0=same"]);
      expect(cache.revision).toBeGreaterThanOrEqual(header.revision);
      expect(cache.state).toBe("live");
    });

    it("waits for a revision without asking for the newest", async () => {
      await using cache = await createCache(client, { prefix: "own/" });
      const { header } = await client.put("own/1", "mine");
      const read = { consistency: "serializable", minRevision: header.revision } as const;
      expect((await cache.get("own/1", read))?.value).toBe("mine");
      const future = { ...read, minRevision: header.revision + 1_000n, timeoutMs: 100 };
      await expect(cache.get("own/1", future)).rejects.toMatchObject({ code: "TimedOut", retryable: true });
      const giveUp = new AbortController();
      const given = cache.get("own/1", { ...future, timeoutMs: 5_000, signal: giveUp.signal });
      giveUp.abort(new Error("no more"));
      await expect(given).rejects.toMatchObject({ code: "Aborted", cause: { message: "no more" } });
    });

    it("lists parts of its range in the order of bytes, and refuses what is outside", async () => {
      const keys = ["order/a", "order/b/1", "order/b/2", "order/\u{1f600}", "order/\uff5e"];
      for (const key of keys) await direct.put(key, "1");
      const binary = [
        Uint8Array.of(...Buffer.from("order/"), 0xff, 1),
        Uint8Array.of(...Buffer.from("order/"), 0xff, 2),
      ];
      for (const key of binary) await direct.put(key, "1");
      await using cache = await createCache(client, { prefix: "order/" });
      const { kvs } = await direct.list({ prefix: "order/" });
      expect(cache.peekList().kvs).toEqual(kvs);
      expect(cache.size).toBe(7);
      expect(cache.peekList({ prefix: "order/b/" }).kvs.map(({ key }) => key)).toEqual(["order/b/1", "order/b/2"]);
      expect(cache.peekList({ from: "order/b", to: "order/b/2" }).kvs.map(({ key }) => key)).toEqual(["order/b/1"]);
      expect(cache.peek(binary[1] ?? "")?.keyBytes).toEqual(binary[1]);
      expect(() => cache.peek("elsewhere")).toThrow(RangeError);
      expect(() => cache.peekList({ prefix: "order" })).toThrow(RangeError);
      await expect(cache.get("elsewhere")).rejects.toThrow(RangeError);
      await expect(cache.list({ all: true })).rejects.toThrow(RangeError);
    });

    it("tells its readers each revision whole, with what it replaced", async () => {
      await direct.put("told/0", "before");
      await using cache = await createCache(client, { prefix: "told/" });
      const all = cache.watch(undefined, { initial: "state" })[Symbol.asyncIterator]();
      const part = cache.watch({ prefix: "told/1" })[Symbol.asyncIterator]();
      const { header } = await direct.txn({
        then: [
          { kind: "put", key: "told/0", value: "after", options: {} },
          { kind: "put", key: "told/1", value: "new", options: {} },
        ],
      });
      expect(await next(all)).toMatchObject({ events: [{ type: "put", kv: { value: "before" } }], resync: false });
      expect(await next(all)).toMatchObject({
        revision: header.revision,
        events: [
          { type: "put", kv: { key: "told/0", value: "after" }, created: false, previous: { value: "before" } },
          { type: "put", kv: { key: "told/1", value: "new" }, created: true },
        ],
      });
      expect(await next(part)).toMatchObject({ events: [{ kv: { key: "told/1" } }] });
      await direct.delete("told/1");
      expect(await next(part)).toMatchObject({
        events: [{ type: "delete", key: "told/1", previous: { value: "new" } }],
      });
      await part.return?.();
      await cache.close();
      expect(await next(all)).toMatchObject({ events: [{ type: "delete", key: "told/1" }] });
      expect(await all.next()).toMatchObject({ done: true });
    });

    it("ends a reader that is too slow, and no other", async () => {
      await using cache = await createCache(client, { prefix: "slow/" });
      await live(cache);
      const slow = cache.watch(undefined, { highWaterMark: 3 })[Symbol.asyncIterator]();
      const patient = cache.watch()[Symbol.asyncIterator]();
      for (let index = 0; index < 6; index++) await direct.put("slow/x", String(index));
      await cache.catchUp();
      const values: unknown[] = [];
      const failure = await (async (): Promise<unknown> => {
        try {
          for (;;) values.push((await slow.next()).value);
        } catch (error) {
          return error;
        }
      })();
      expect(failure).toMatchObject({ code: "SlowConsumer", resumeRevision: cache.revision - 2n });
      expect(values).toHaveLength(3);
      for (let index = 0; index < 6; index++) {
        expect((await patient.next()).value).toMatchObject({ events: [{ kv: { value: String(index) } }] });
      }
    });

    it("serves old answers while disconnected, says so, and catches up", async () => {
      await direct.put("cut/0", "old");
      await using cache = await createCache(client, { prefix: "cut/" });
      await live(cache);
      proxy.admit("refuse");
      proxy.cut();
      await direct.put("cut/0", "new");
      await expect.poll(() => cache.state).toBe("disconnected");
      expect((await cache.get("cut/0", { consistency: "serializable" }))?.value).toBe("old");
      expect(cache.staleMs).toBeGreaterThan(0);
      await expect(cache.get("cut/0", { timeoutMs: 100 })).rejects.toMatchObject({ code: "TimedOut" });
      proxy.admit("all");
      expect((await cache.get("cut/0"))?.value).toBe("new");
      await expect.poll(() => cache.state).toBe("live");
    });

    it("does not answer from content older than maxStaleMs", async () => {
      await direct.put("stale/0", "old");
      await using cache = await createCache(client, { prefix: "stale/" }, { maxStaleMs: 0, timeoutMs: 2_000 });
      proxy.flow({ replies: "hold" });
      await direct.put("stale/0", "new");
      const read = cache.get("stale/0", { consistency: "serializable" });
      expect(cache.peek("stale/0")?.value).toBe("old");
      proxy.flow({ replies: "pass" });
      expect((await read)?.value).toBe("new");
    });

    it("tells the difference when a compaction tore a gap", async () => {
      for (const key of ["gone", "kept", "changed", "reborn"]) await direct.put(`gap/${key}`, "1");
      await using cache = await createCache(client, { prefix: "gap/" });
      const changes = cache.watch()[Symbol.asyncIterator]();
      await live(cache);
      proxy.admit("refuse");
      proxy.cut();
      await expect.poll(() => cache.state).toBe("disconnected");
      await direct.delete("gap/gone");
      await direct.put("gap/changed", "2");
      await direct.delete("gap/reborn");
      await direct.put("gap/reborn", "2");
      const { header } = await direct.put("gap/new", "2");
      await direct.put("gap/passing", "x");
      const last = await direct.delete("gap/passing");
      await direct.compact(header.revision + 2n);
      proxy.admit("all");
      const step = await changes.next();
      expect(step.value).toMatchObject({ resync: true, revision: last.header.revision });
      const told = (step.value as CacheBatch<string>).events.map((event) =>
        event.type === "put"
          ? `put ${event.kv.key} ${event.created ? "created" : "changed"} ${event.previous?.value ?? "-"}`
          : `delete ${event.key} ${event.previous?.value ?? "-"} ${event.modRevision === last.header.revision}`,
      );
      expect(told).toEqual([
        "delete gap/gone 1 true",
        "put gap/changed changed 1",
        "put gap/new created -",
        "put gap/reborn created 1",
      ]);
      expect(text((await cache.list()).kvs)).toEqual(["gap/changed=2", "gap/kept=1", "gap/new=2", "gap/reborn=2"]);
    });

    it("sees a namespace and a codec", async () => {
      const view = client.namespace("space/").as(json<{ readonly n: number }>());
      await view.put("a", { n: 1 });
      await direct.put("outside", "1");
      await using cache = await createCache(view, { all: true });
      expect(cache.peekList().kvs.map(({ key, value }) => [key, value])).toEqual([["a", { n: 1 }]]);
      await view.put("b", { n: 2 });
      expect((await cache.get("b"))?.value).toEqual({ n: 2 });
      await direct.put("space/c", "no json");
      const bad = await cache.get("c");
      expect(() => bad?.value).toThrow("cannot be decoded");
    });

    it("ends with a typed error when it would hold too much", async () => {
      for (let index = 0; index < 3; index++) await direct.put(`full/${index}`, "x".repeat(10));
      const keysMax = createCache(client, { prefix: "full/" }, { keysMax: 2 });
      await expect(keysMax).rejects.toMatchObject({ code: "CacheFull" });
      const cache = await createCache(client, { prefix: "full/" }, { bytesMax: 60 });
      const changes = cache.watch()[Symbol.asyncIterator]();
      await direct.put("full/0", "y".repeat(22));
      expect((await cache.get("full/0"))?.value).toHaveLength(22);
      expect(await changes.next()).toMatchObject({ done: false });
      await direct.put("full/3", "z");
      await expect(changes.next()).rejects.toMatchObject({ code: "CacheFull" });
      await expect(cache.get("full/0")).rejects.toMatchObject({ code: "CacheFull" });
      expect(cache.state).toBe("closed");
      expect(cache.failure).toMatchObject({ code: "CacheFull" });
      await cache.close();
    });

    it("ends with its client, with its signal and when closed", async () => {
      const giveUp = new AbortController();
      const signalled = await createCache(client, { prefix: "end/" }, { signal: giveUp.signal });
      const closed = await createCache(client, { prefix: "end/" });
      const orphan = await createCache(client, { prefix: "end/" });
      giveUp.abort();
      await closed.close();
      const waiting = orphan.watch()[Symbol.asyncIterator]().next();
      await client.close();
      expect(await waiting).toMatchObject({ done: true });
      for (const cache of [signalled, closed, orphan]) {
        await expect.poll(() => cache.state).toBe("closed");
        await expect(cache.get("end/0")).rejects.toMatchObject({ code: "ClientClosed" });
        expect(() => cache.peek("end/0")).toThrow("closed");
        expect(cache.failure).toBeUndefined();
      }
    });

    it("rejects when the first content cannot be read", async () => {
      proxy.admit("refuse");
      const attempt = createCache(client, { prefix: "never/" }, { timeoutMs: 200 });
      await expect(attempt).rejects.toMatchObject({ code: "TimedOut" });
    });
  });
});
