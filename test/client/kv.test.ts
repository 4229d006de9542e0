/** Reading, writing and transactions through the SDK. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bytes,
  CompactedError,
  ConflictError,
  cmp,
  createClient,
  type EtcdClient,
  json,
  op,
} from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

describe.each(targets)("kv", (target) => {
  describe.skipIf(skips(target))(blockName("kv", target), () => {
    let server: RealEtcd;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      client = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await client.close();
      await server.stop();
    });

    it("returns text, bytes and empty values exactly as they were put", async () => {
      const binary = Uint8Array.from({ length: 256 }, (_, index) => index);
      await client.put("round/text", "grüße 🌍");
      await client.put("round/empty", "");
      await client.as(bytes).put(Uint8Array.of(0, 255, 128), binary);
      expect((await client.get("round/text"))?.value).toBe("grüße 🌍");
      expect((await client.get("round/empty"))?.value).toBe("");
      const found = await client.as(bytes).get(Uint8Array.of(0, 255, 128));
      expect(found?.value).toEqual(binary);
      expect(found?.keyBytes).toEqual(Uint8Array.of(0, 255, 128));
    });

    it("raises the revision by one with every write", async () => {
      const first = await client.put("rise/a", "1");
      const second = await client.put("rise/b", "2");
      const third = await client.delete({ prefix: "rise/" });
      expect(second.header.revision).toBe(first.header.revision + 1n);
      expect(third.header.revision).toBe(first.header.revision + 2n);
      expect(third.deleted).toBe(2);
    });

    it("returns undefined for a key that is not there", async () => {
      expect(await client.get("nobody")).toBeUndefined();
    });

    it("describes a key with its revisions, version and lease", async () => {
      const put = await client.put("facts", "1");
      await client.put("facts", "2");
      expect(await client.get("facts")).toMatchObject({
        key: "facts",
        createRevision: put.header.revision,
        modRevision: put.header.revision + 1n,
        version: 2,
      });
      expect(await client.get("facts")).not.toHaveProperty("lease");
    });

    it("lists by prefix, range, from a key on and everything, sorted and limited", async () => {
      for (const name of ["a", "b", "c", "d"]) await client.put(`list/${name}`, name);
      const keys = async (range: Parameters<EtcdClient["list"]>[0], options = {}) =>
        (await client.list(range, options)).kvs.map((kv) => kv.key);
      expect(await keys({ prefix: "list/" })).toEqual(["list/a", "list/b", "list/c", "list/d"]);
      expect(await keys({ from: "list/b", to: "list/d" })).toEqual(["list/b", "list/c"]);
      expect(await keys({ from: "list/" }, { limit: 1 })).toEqual(["list/a"]);
      expect(await keys({ prefix: "list/" }, { sort: { by: "key", order: "desc" }, limit: 2 })).toEqual([
        "list/d",
        "list/c",
      ]);
      const limited = await client.list({ prefix: "list/" }, { limit: 3, keysOnly: true });
      expect(limited).toMatchObject({ count: 4, more: true });
      expect(limited.kvs[0]?.value).toBe("");
      expect(await client.count({ prefix: "list/" })).toBe(4);
      expect(await client.count({ all: true })).toBe((await client.list({ all: true })).kvs.length);
    });

    it("returns what a put replaced and a delete removed when asked", async () => {
      expect(await client.put("old", "1", { previous: true })).not.toHaveProperty("previous");
      expect((await client.put("old", "2", { previous: true })).previous?.value).toBe("1");
      expect((await client.delete("old", { previous: true })).previous.map((kv) => kv.value)).toEqual(["2"]);
    });

    it("tells compacted, present and future revisions apart", async () => {
      const first = (await client.put("history", "1")).header.revision;
      await client.put("history", "2");
      await client.put("history", "3");
      await client.compact(first + 1n);
      expect((await client.get("history", { revision: first + 1n }))?.value).toBe("2");
      const failure: unknown = await client.get("history", { revision: first }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CompactedError);
      expect(failure).toMatchObject({
        code: "Compacted",
        compactRevision: first + 1n,
        resumeRevision: first,
        serverMessage: "etcdserver: mvcc: required revision has been compacted",
      });
      await expect(client.get("history", { revision: first + 1000n })).rejects.toMatchObject({
        code: "FutureRev",
        outcome: "not-applied",
      });
    });

    it("lets exactly one of fifty clients create a key", async () => {
      const clients = Array.from({ length: 50 }, () => createClient({ endpoints: server.endpoint }));
      const results = await Promise.allSettled(
        clients.map((each, index) => each.put("once", `${index}`, { ifAbsent: true })),
      );
      await Promise.all(clients.map((each) => each.close()));
      const conflicts = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
      expect(conflicts).toHaveLength(49);
      for (const conflict of conflicts) expect(conflict).toBeInstanceOf(ConflictError);
      const winner = await client.as(bytes).get("once");
      expect((conflicts[0] as ConflictError).current?.value).toEqual(winner?.value);
    });

    it("puts and deletes only at the revision named", async () => {
      const { header } = await client.put("guarded", "1");
      await expect(client.put("guarded", "x", { ifRevision: header.revision - 1n })).rejects.toBeInstanceOf(
        ConflictError,
      );
      const second = await client.put("guarded", "2", { ifRevision: header.revision, previous: true });
      expect(second.previous?.value).toBe("1");
      await expect(client.delete("guarded", { ifRevision: header.revision })).rejects.toMatchObject({
        code: "Conflict",
      });
      expect((await client.delete("guarded", { ifRevision: second.header.revision })).deleted).toBe(1);
    });

    it("runs the branch that its guards choose and types its results", async () => {
      await client.put("txn/a", "1");
      await client.put("txn-other", "0");
      const yes = await client.txn({
        if: [cmp.value("txn/a").equal("1"), cmp.absent("txn/none"), cmp.version({ prefix: "txn/" }).greater(0)],
        then: [
          op.put("txn/b", "2", { previous: true }),
          op.get({ prefix: "txn/" }),
          op.txn({ if: [cmp.exists("txn/a")], then: [op.get("txn/b", { keysOnly: true }), op.delete("txn-other")] }),
        ],
        else: [op.put("txn/never", "!")],
      });
      if (!yes.succeeded) throw new Error("the guards hold");
      const [put, list, nested] = yes.results;
      expect(put.previous).toBeUndefined();
      expect(list.kvs.map((kv) => [kv.key, kv.value])).toEqual([
        ["txn/a", "1"],
        ["txn/b", "2"],
      ]);
      if (!nested.succeeded) throw new Error("the nested guard holds");
      expect(nested.results[0].kvs[0]?.value).toBe("");
      expect(nested.results[1].deleted).toBe(1);

      const no = await client.txn({
        if: [cmp.modRevision("txn/a").equal(1n)],
        then: [op.put("txn/never", "!")],
        else: [op.get("txn/a"), op.delete("txn/a", { previous: true })],
      });
      if (no.succeeded) throw new Error("the guard fails");
      expect(no.results[0].kvs[0]?.value).toBe("1");
      expect(no.results[1].previous[0]?.value).toBe("1");
      expect(await client.get("txn/never")).toBeUndefined();
    });

    it("reads and writes JSON through a view of the same connection", async () => {
      const view = client.as(json<{ readonly port: number }>());
      await view.put("json", { port: 2379 });
      expect((await view.get("json"))?.value.port).toBe(2379);
      expect((await client.get("json"))?.value).toBe('{"port":2379}');
    });

    it("falls back to a linearizable read when a store may be behind minRevision", async () => {
      const { header } = await client.put("min", "1");
      const options = { consistency: "serializable", minRevision: header.revision } as const;
      expect((await client.get("min", options))?.value).toBe("1");
      await expect(client.get("min", { minRevision: header.revision + 1000n })).rejects.toMatchObject({
        code: "FutureRev",
      });
    });

    it("hands on the server's own words and codes", async () => {
      await expect(client.put("", "x")).rejects.toMatchObject({
        name: "EtcdError",
        code: "EmptyKey",
        grpcStatus: 3,
        serverMessage: "etcdserver: key is not provided",
        message: "etcdserver: key is not provided",
        outcome: "not-applied",
        attempts: 1,
        endpoint: server.endpoint,
      });
      await expect(client.put("x", "y", { lease: 4711n })).rejects.toMatchObject({
        code: "LeaseNotFound",
        grpcStatus: 5,
      });
    });
  });
});
