/** Lives of watches, after the cases of etcd's own Go client: many on one key, cancelled early, late and while cut off. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type EtcdClient } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";
import { keyOf, revisionOf, revisions, take, watcherCount } from "./watching.js";

describe.each(targets)("watches", (target) => {
  describe.skipIf(skips(target))(blockName("lives of watches", target), () => {
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
      client = createClient({ endpoints: proxy.endpoint, connectTimeoutMs: 500 });
      return async () => {
        await client.close();
        await proxy.stop();
        await direct.delete({ all: true });
      };
    });

    it("on the same keys each get everything, by key and by prefix", async () => {
      const single = ["a", "b", "c"].flatMap((key) => [client.watch(`m/${key}`), client.watch(`m/${key}`)]);
      const prefixed = [client.watch({ prefix: "m/" }), client.watch({ from: "m/b" })];
      await Promise.all([...single, ...prefixed].map((watch) => watch.started));
      for (const key of ["c", "a", "b"]) await direct.put(`m/${key}`, "");
      const got = await Promise.all(single.map(async (watch) => (await take(watch.events(), 1)).map(keyOf)));
      expect(got.flat()).toEqual(["m/a", "m/a", "m/b", "m/b", "m/c", "m/c"]);
      const [all, later] = prefixed;
      if (!all || !later) throw new Error("two watches");
      expect((await take(all.events(), 3)).map(keyOf)).toEqual(["m/c", "m/a", "m/b"]);
      expect((await take(later.events(), 2)).map(keyOf)).toEqual(["m/c", "m/b"]);
    });

    it("end when they are closed before they were confirmed, and leave nothing behind", async () => {
      const watches = Array.from({ length: 20 }, (_, index) => client.watch(`early/${index}`));
      const loops = watches.map((watch) => take(watch, 1));
      await Promise.all(watches.map((watch) => watch.close()));
      expect((await Promise.all(loops)).flat()).toEqual([]);
      await expect(watches[0]?.started).rejects.toThrow("ended");
      await expect.poll(() => watcherCount(server)).toBe(0);
    });

    it("end when they are closed while there is no server", async () => {
      const watch = client.watch("away");
      await watch.started;
      proxy.admit("refuse");
      proxy.cut();
      await expect.poll(() => watch.state).toBe("disconnected");
      const loop = take(watch, 1);
      await watch.close();
      expect(await loop).toEqual([]);
      await expect.poll(() => watcherCount(server)).toBe(0);
    });

    it("end when they and their client are closed at the same time, and when the client was closed before", async () => {
      const watches = Array.from({ length: 10 }, (_, index) => client.watch(`both/${index}`));
      const loops = watches.map((watch) => take(watch, 1));
      await Promise.all([...watches.map((watch) => watch.close()), client.close()]);
      expect((await Promise.all(loops)).flat()).toEqual([]);
      const late = client.watch("late");
      expect(await take(late, 1)).toEqual([]);
      expect(late.state).toBe("closed");
    });

    it("that come and go all at once each get their event, with and without cuts", async () => {
      await direct.put("overlap", "0");
      const { header } = await direct.put("overlap", "1");
      const one = async (index: number): Promise<bigint[]> => {
        await using watch = client.watch("overlap", { from: header.revision });
        if (index % 20 === 7) proxy.cut();
        return (await take(watch.events(), 1)).map(revisionOf);
      };
      const got = await Promise.all(Array.from({ length: 100 }, (_, index) => one(index)));
      expect(got.flat()).toEqual(Array(100).fill(header.revision));
      await expect.poll(() => watcherCount(server)).toBe(0);
    });

    it("survive the server's restart, and deliver what is written after it", async () => {
      await using watch = client.watch({ prefix: "restart/" });
      const first = await watch.started;
      await direct.put("restart/1", "");
      await server.restart();
      await direct.put("restart/2", "");
      expect((await take(watch.events(), 2)).map(revisionOf)).toEqual(revisions(first, 2));
    });

    it("move to the endpoints that replace theirs", async () => {
      await using other = await startTcpProxy(server.endpoint);
      const watches = Array.from({ length: 5 }, () => client.watch({ prefix: "moved/" }));
      const [first = 0n] = await Promise.all(watches.map((watch) => watch.started));
      await direct.put("moved/1", "");
      client.setEndpoints(other.endpoint);
      await expect.poll(() => proxy.connectionCount, { timeout: 8_000 }).toBe(0);
      await direct.put("moved/2", "");
      for (const watch of watches) expect((await take(watch.events(), 2)).map(revisionOf)).toEqual(revisions(first, 2));
      expect(other.connectionCount).toBeGreaterThan(0);
    });

    it("start after everything that was written before they were made", async () => {
      for (let index = 0; index < 20; index++) {
        const { header } = await direct.put("now", `${index}`);
        await using watch = client.watch("now");
        expect(await watch.started).toBe(header.revision + 1n);
      }
    });

    it("share their loops: each goes on where the last one was left", async () => {
      await using watch = client.watch({ prefix: "loops/" });
      await watch.started;
      for (const key of ["1", "2", "3"]) await direct.put(`loops/${key}`, "");
      expect((await take(watch.events(), 1)).map(keyOf)).toEqual(["loops/1"]);
      expect((await take(watch, 2)).flatMap(({ events }) => events.map(keyOf))).toEqual(["loops/2", "loops/3"]);
    });
  });
});
