/** The scenarios of answers that get lost: a write is applied once, and nobody lies about it. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cmp, createClient, type EtcdClient, op } from "../../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../../support/real-etcd.js";
import { blockName, skips, targets } from "../targets.js";

describe.each(targets)("write scenarios", (target) => {
  describe.skipIf(skips(target))(blockName("write scenarios", target), () => {
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
      await client.get("warm");
      return async () => {
        await client.close();
        await proxy.stop();
        await direct.delete({ all: true });
      };
    });

    /** Makes the call, lets the server apply it (which changes `watched`), drops the answer, and breaks the connection. */
    const withoutAnswer = async <T>(watched: string, call: () => Promise<T>): Promise<unknown> => {
      const before = (await direct.get(watched))?.modRevision;
      proxy.flow({ replies: "swallow" });
      const settled = call().catch((error: unknown) => error);
      await expect.poll(async () => (await direct.get(watched))?.modRevision).not.toBe(before);
      proxy.flow({ replies: "pass" });
      proxy.cut();
      return settled;
    };

    it("scenario 23: a put whose reply is dropped is applied once, and its outcome is unknown", async () => {
      const error = await withoutAnswer("lost", () => client.put("lost", "1"));
      expect(error).toMatchObject({ name: "EtcdError", outcome: "unknown", attempts: 1, endpoint: proxy.endpoint });
      await client.get("warm");
      expect((await direct.get("lost"))?.version).toBe(1);
    });

    it("scenario 23: with retry idempotent it resolves", async () => {
      const result = await withoutAnswer("vouched", () => client.put("vouched", "1", { retry: "idempotent" }));
      expect(result).toHaveProperty("header.revision");
      expect(await direct.get("vouched")).toMatchObject({ value: "1", version: 2 });
    });

    it("scenario 23: a hundred puts in flight are applied at most once each", async () => {
      proxy.flow({ replies: "swallow" });
      const puts = Array.from({ length: 100 }, (_, index) =>
        client.put(`many/${index}`, "1").catch((error: unknown) => error),
      );
      await expect.poll(() => direct.count({ prefix: "many/" })).toBe(100);
      proxy.flow({ replies: "pass" });
      proxy.cut();
      for (const error of await Promise.all(puts)) expect(error).toMatchObject({ outcome: "unknown", attempts: 1 });
      await client.get("warm");
      const { kvs } = await direct.list({ prefix: "many/" });
      expect(kvs.filter((kv) => kv.version !== 1)).toEqual([]);
    });

    describe("a guarded write whose reply is dropped, with retry idempotent", () => {
      it("is found to be applied by the key's history, and applied once", async () => {
        const { header } = await direct.put("guarded", "1");
        const write = { ifRevision: header.revision, previous: true, retry: "idempotent" } as const;
        const result = await withoutAnswer("guarded", () => client.put("guarded", "2", write));
        const now = await direct.get("guarded");
        expect(now).toMatchObject({ value: "2", version: 2 });
        expect(result).toMatchObject({ header: { revision: now?.modRevision }, previous: { value: "1" } });
      });

      it("is found even if others wrote since", async () => {
        const { header } = await direct.put("guarded", "1");
        proxy.flow({ replies: "swallow" });
        const put = client.put("guarded", "2", { ifRevision: header.revision, retry: "idempotent" });
        await expect.poll(async () => (await direct.get("guarded"))?.version).toBe(2);
        for (let index = 0; index < 5; index++) await direct.put("guarded", `other ${index}`);
        proxy.flow({ replies: "pass" });
        proxy.cut();
        expect((await put).header.revision).toBe(header.revision + 1n);
      });

      it("that made a key is found too", async () => {
        const write = { ifAbsent: true, retry: "idempotent" } as const;
        const result = await withoutAnswer("made", () => client.put("made", "1", write));
        const now = await direct.get("made");
        expect(now?.version).toBe(1);
        expect(result).toMatchObject({ header: { revision: now?.modRevision } });
      });

      it("that deleted a key is unknown: a key that is gone does not tell who deleted it", async () => {
        const { header } = await direct.put("deleted", "1");
        const write = { ifRevision: header.revision, retry: "idempotent" } as const;
        const error = await withoutAnswer("deleted", () => client.delete("deleted", write));
        expect(error).toMatchObject({ name: "EtcdError", outcome: "unknown" });
      });

      it("is a conflict if somebody else was faster", async () => {
        const { header } = await direct.put("raced", "1");
        await direct.put("raced", "theirs");
        proxy.flow({ replies: "swallow" });
        const put = client.put("raced", "mine", { ifRevision: header.revision, retry: "idempotent" });
        const seen = put.catch((error: unknown) => error);
        // A failed guard leaves no trace; what is sent after it does.
        const after = client.put("after", "").catch((error: unknown) => error);
        await expect.poll(() => direct.get("after")).toBeDefined();
        proxy.flow({ replies: "pass" });
        proxy.cut();
        expect(await seen).toMatchObject({ code: "Conflict", outcome: "not-applied", current: { key: "raced" } });
        expect(await after).toMatchObject({ outcome: "unknown" });
        expect((await direct.get("raced"))?.value).toBe("theirs");
      });

      it("says applied if the results cannot be had any more, and unknown if nothing tells", async () => {
        const { header } = await direct.put("results", "1");
        const guard = cmp.modRevision("results").equal(header.revision);
        const both = [op.put("results", "2"), op.get({ prefix: "results" })];
        const idempotent = { retry: "idempotent" } as const;
        const lost = await withoutAnswer("results", () => client.txn({ if: [guard], then: both }, idempotent));
        expect(lost).toMatchObject({ outcome: "applied" });
        const other = {
          if: [cmp.modRevision("guard").equal(0n)],
          then: [op.put("elsewhere", "1"), op.put("guard2", "")],
        };
        proxy.flow({ replies: "swallow" });
        const blind = client.txn(other, idempotent).catch((error: unknown) => error);
        await expect.poll(() => direct.get("elsewhere")).toBeDefined();
        await direct.put("guard", "closed");
        proxy.flow({ replies: "pass" });
        proxy.cut();
        expect(await blind).toMatchObject({ outcome: "unknown" });
      });
    });

    it("a put into a black hole is unknown at its deadline, and the next call goes elsewhere", async () => {
      await using second = await startTcpProxy(server.endpoint);
      const endpoints = [proxy.endpoint, second.endpoint];
      await using both = createClient({ endpoints, routing: "pinned" });
      await both.put("hole", "0");
      proxy.flow({ requests: "swallow", replies: "swallow" });
      await expect(both.put("hole", "1", { timeoutMs: 1_100 })).rejects.toMatchObject({
        code: "TimedOut",
        outcome: "unknown",
      });
      const startMs = performance.now();
      await both.put("hole", "2");
      expect(performance.now() - startMs).toBeLessThan(1_000);
      expect((await direct.get("hole"))?.value).toBe("2");
    });
  });
});
