/** Watches: exact over every kind of break. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, SlowConsumerError, type WatchEvent } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";
import { keyOf, revisionOf, revisions, take } from "./watching.js";

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

    it("survives a cut between any two of many live events", async () => {
      await using watch = client.watch({ prefix: "live/" });
      const first = await watch.started;
      const reading = take(watch.events(), 300);
      for (let index = 0; index < 300; index++) {
        if (index % 60 === 30) proxy.cut();
        await direct.put(`live/${index}`, "");
      }
      expect((await reading).map(revisionOf)).toEqual(revisions(first, 300));
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
      expect((await take(slow.events(), 500)).map(revisionOf)).toEqual(revisions(first, 500));
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
      expect(all.map(revisionOf)).toEqual(revisions(first, 20));
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
  });
});
