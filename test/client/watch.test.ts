/** Watches: exact over every kind of break. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  CompactedError,
  createClient,
  type EtcdClient,
  SlowConsumerError,
  type WatchBatch,
  type WatchEvent,
} from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { blockName, skips, targets } from "./targets.js";

/** The first `count` items; the test's own timeout is the limit. */
async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  if (count === 0) return taken;
  for await (const item of items) if (taken.push(item) === count) break;
  return taken;
}

const keyOf = (event: WatchEvent<unknown>): string => (event.type === "put" ? event.kv.key : event.key);
const revisionOf = (event: WatchEvent<unknown>): bigint =>
  event.type === "put" ? event.kv.modRevision : event.modRevision;

/** Watchers that the server holds. */
async function watcherCount(server: RealEtcd): Promise<number> {
  const text = await (await fetch(`${server.endpoint}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\d+)/m.exec(text)?.[1]);
}

describe.each(targets)("watch", (target) => {
  describe.skipIf(skips(target))(blockName("watch", target), () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    let proxy: TcpProxy;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start({ flags: ["--max-request-bytes=20000000"] });
      direct = createClient({ endpoints: server.endpoint, requestBytesMax: 20_000_000 });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });
    beforeEach(async () => {
      proxy = await startTcpProxy(server.endpoint);
      client = createClient({ endpoints: proxy.endpoint, connectTimeoutMs: 500 });
      return async () => {
        await client.close();
        await proxy.stop();
        await direct.delete({ all: true });
      };
    });

    const putMany = async (prefix: string, count: number): Promise<bigint> => {
      const put = (index: number): Promise<unknown> =>
        direct.put(`${prefix}${String(index).padStart(5, "0")}`, "x".repeat(100));
      const { header } = await direct.put(`${prefix}00000`, "x".repeat(100));
      for (let index = 1; index < count; index += 50) {
        await Promise.all(Array.from({ length: Math.min(50, count - index) }, (_, offset) => put(index + offset)));
      }
      return header.revision;
    };

    it("delivers puts and deletes with what they replaced", async () => {
      await using watch = client.watch("w/one", { previous: true });
      const from = await watch.started;
      await direct.put("w/one", "1");
      await direct.put("w/other", "-");
      await direct.put("w/one", "2");
      await direct.delete("w/one");
      const events = await take(watch.events(), 3);
      expect(events).toMatchObject([
        { type: "put", created: true, kv: { key: "w/one", value: "1", modRevision: from } },
        { type: "put", created: false, kv: { value: "2" }, previous: { value: "1" } },
        { type: "delete", key: "w/one", modRevision: from + 3n, previous: { value: "2" } },
      ]);
      expect(watch.resumeRevision).toBe(from + 4n);
      expect(watch.state).toBe("live");
    });

    it("delivers only what its filter lets through", async () => {
      await using puts = client.watch({ prefix: "f/" }, { only: "put" });
      await using deletes = client.watch({ prefix: "f/" }, { only: "delete" });
      await Promise.all([puts.started, deletes.started]);
      await direct.put("f/a", "1");
      await direct.delete("f/a");
      await direct.put("f/b", "2");
      expect((await take(puts.events(), 2)).map(keyOf)).toEqual(["f/a", "f/b"]);
      expect(await take(deletes.events(), 1)).toMatchObject([{ type: "delete", key: "f/a" }]);
    });

    it("delivers 5000 pending events in order and once when the connection is cut on the way", async () => {
      const first = await putMany("many/", 5000);
      const cut = proxy.cutAfterReplies(150_000);
      await using watch = client.watch({ prefix: "many/" }, { from: first, highWaterMark: 1000 });
      const events = await take(watch.events(), 5000);
      await cut;
      expect(events.map(revisionOf)).toEqual(Array.from({ length: 5000 }, (_, index) => first + BigInt(index)));
      expect(watch.resumeRevision).toBe(first + 5000n);
    });

    it("delivers a put that was made while a watch from now was cut off, and nothing older", async () => {
      await direct.put("cut/old", "before");
      await using watch = client.watch({ prefix: "cut/" });
      const started = await watch.started;
      proxy.admit("refuse");
      proxy.cut();
      await expect.poll(() => watch.state).toBe("disconnected");
      await direct.put("cut/new", "during");
      proxy.admit("all");
      const [event] = await take(watch.events(), 1);
      expect(event).toMatchObject({ type: "put", kv: { key: "cut/new", modRevision: started } });
    });

    it("survives a cut between any two of many live events", async () => {
      await using watch = client.watch({ prefix: "live/" });
      const first = await watch.started;
      const reading = take(watch.events(), 300);
      for (let index = 0; index < 300; index++) {
        if (index % 60 === 30) proxy.cut();
        await direct.put(`live/${index}`, "");
      }
      expect((await reading).map(revisionOf)).toEqual(Array.from({ length: 300 }, (_, index) => first + BigInt(index)));
    });

    it("rejects with both revisions when compaction passed the point to resume from", async () => {
      await using watch = client.watch({ prefix: "gone/" });
      const started = await watch.started;
      proxy.admit("refuse");
      proxy.cut();
      const first = await putMany("gone/", 5);
      await direct.compact(first + 3n);
      proxy.admit("all");
      const failure: unknown = await take(watch.events(), 1).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CompactedError);
      expect(failure).toMatchObject({ code: "Compacted", compactRevision: first + 3n, resumeRevision: started });
      expect(watch.state).toBe("closed");
    });

    it("delivers a transaction of 100 puts of 100 KiB as one batch", async () => {
      await using watch = client.watch({ prefix: "big/" });
      await watch.started;
      const value = "v".repeat(100 * 1024);
      const then = Array.from(
        { length: 100 },
        (_, index) => ({ kind: "put", key: `big/${index}`, value, options: {} }) as const,
      );
      const { header } = await direct.txn({ then });
      const [batch] = await take(watch, 1);
      expect(batch?.revision).toBe(header.revision);
      expect(batch?.events).toHaveLength(100);
    });

    it("moves its resume point on a quiet prefix when progress is on, so that compaction does not hurt it", async () => {
      await using watch = client.watch("quiet", { progress: true });
      const started = await watch.started;
      const reading = take(watch, 1_000_000).catch((error: unknown) => error);
      const busy = await putMany("busy/", 20);
      await expect.poll(() => watch.resumeRevision, { timeout: 10_000 }).toBeGreaterThan(busy + 10n);
      expect(watch.resumeRevision).toBeGreaterThan(started);
      proxy.admit("refuse");
      proxy.cut();
      await direct.compact(busy + 10n);
      proxy.admit("all");
      const { header } = await direct.put("quiet", "still here");
      await expect.poll(() => watch.resumeRevision, { timeout: 10_000 }).toBeGreaterThan(header.revision);
      await watch.close();
      const batches = (await reading) as WatchBatch<string>[];
      expect(batches.flatMap(({ events }) => events)).toMatchObject([{ type: "put", kv: { value: "still here" } }]);
    });

    it("answers a progress request at once after a start from now, after events, and after a cut", async () => {
      await using watch = client.watch("asked");
      const started = await watch.started;
      expect(await watch.requestProgress()).toBe(started - 1n);
      const { header } = await direct.put("other", "1");
      expect(await watch.requestProgress()).toBe(header.revision);
      proxy.cut();
      expect(await watch.requestProgress()).toBe(header.revision);
    });

    it("holds the server back for a slow reader and loses nothing, while another watch reads on", async () => {
      await using slow = client.watch({ prefix: "slow/" }, { highWaterMark: 10 });
      await using quick = client.watch({ prefix: "slow/" });
      const first = await slow.started;
      await quick.started;
      await putMany("slow/", 500);
      expect(await take(quick.events(), 500)).toHaveLength(500);
      expect((await take(slow.events(), 500)).map(revisionOf)).toEqual(
        Array.from({ length: 500 }, (_, index) => first + BigInt(index)),
      );
    });

    it("ends with SlowConsumerError if asked to, with the revision to resume from", async () => {
      await using watch = client.watch({ prefix: "over/" }, { highWaterMark: 5, overflow: "error" });
      const first = await watch.started;
      await putMany("over/", 20);
      await expect.poll(() => watch.state).toBe("closed");
      const seen: WatchEvent<string>[] = [];
      const failure: unknown = await (async () => {
        for await (const event of watch.events()) seen.push(event);
      })().catch((error: unknown) => error);
      if (!(failure instanceof SlowConsumerError)) throw failure;
      await using rest = client.watch({ prefix: "over/" }, { from: failure.resumeRevision });
      const all = [...seen, ...(await take(rest.events(), 20 - seen.length))];
      expect(all.map(revisionOf)).toEqual(Array.from({ length: 20 }, (_, index) => first + BigInt(index)));
    });

    it("ends its loops when it is closed and when the client is closed", async () => {
      const one = client.watch("end");
      const reading = take(one, 1);
      await one.started;
      await one.close();
      expect(await reading).toEqual([]);
      const other = client.watch("end");
      const last = take(other, 1);
      await other.started;
      await client.close();
      expect(await last).toEqual([]);
      expect(other.state).toBe("closed");
    });

    it("rejects with the caller's reason when its signal aborts", async () => {
      const controller = new AbortController();
      const watch = client.watch("abort", { signal: controller.signal });
      await watch.started;
      controller.abort(new Error("enough"));
      await expect(take(watch, 1)).rejects.toMatchObject({ code: "Aborted", cause: { message: "enough" } });
    });

    it("gives up after maxDisconnectedMs without a server", async () => {
      const watch = client.watch("lost", { maxDisconnectedMs: 300 });
      await watch.started;
      proxy.admit("refuse");
      proxy.cut();
      await expect(take(watch, 1)).rejects.toMatchObject({ code: "TimedOut", retryable: true });
    });

    it("leaves no watcher on the server when 200 of them are closed", async () => {
      const watches = Array.from({ length: 200 }, (_, index) => client.watch(`count/${index}`));
      await Promise.all(watches.map((watch) => watch.started));
      expect(await watcherCount(server)).toBe(200);
      await Promise.all(watches.slice(1).map((watch) => watch.close()));
      await expect.poll(() => watcherCount(server)).toBe(1);
    });
  });
});
