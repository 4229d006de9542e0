/** Transactions and guarded writes: what they are made of, where they stop, and what a lost answer leaves open. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConflictError, cmp, createClient, type EtcdClient, json, op } from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { StoreTransport } from "../support/store-transport.js";
import { blockName, skips, targets } from "./targets.js";

describe.each(targets)("transactions", (target) => {
  describe.skipIf(skips(target))(blockName("transactions", target), () => {
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

    it("compare versions, revisions, values and leases of keys and of ranges", async () => {
      await using lease = await client.leases.grant(60, { keepAlive: false });
      const { header } = await client.put("c/a", "5", { lease });
      await client.put("c/b", "7", { lease });
      const holds = async (...guards: readonly ReturnType<typeof cmp.exists>[]): Promise<boolean> =>
        (await client.txn({ if: guards, then: [] })).succeeded;
      const range = { prefix: "c/" };
      expect(
        await holds(cmp.version(range).equal(1), cmp.lease(range).equal(lease), cmp.lease("c/a").equal(lease.id)),
      ).toBe(true);
      expect(
        await holds(cmp.value(range).greater("4"), cmp.value(range).less("8"), cmp.value(range).notEqual("6")),
      ).toBe(true);
      expect(await holds(cmp.value(range).greater("5"))).toBe(false);
      expect(await holds(cmp.lease(range).notEqual(0n), cmp.modRevision(range).greater(header.revision - 1n))).toBe(
        true,
      );
      expect(await holds(cmp.modRevision(range).equal(header.revision))).toBe(false);
      expect(await holds(cmp.createRevision("c/a").equal(`${header.revision}`), cmp.exists("c/b"))).toBe(true);
      expect(await holds(cmp.absent("c/none"), cmp.version({ from: "c/x", to: "c/z" }).equal(0))).toBe(true);
      expect(await holds(cmp.version({ from: "c/x", to: "c/z" }).greater(0))).toBe(false);
      expect(await holds(cmp.value("c/none").notEqual("x"))).toBe(false);
      expect(await holds(cmp.absent("c/a"))).toBe(false);
    });

    it("bind a key to another lease, or to none, and leave its value", async () => {
      const lease = await client.leases.grant(60, { keepAlive: false });
      await client.put("bind", "kept");
      const bound = await client.bind("bind", lease, { previous: true });
      expect(bound.previous).not.toHaveProperty("lease");
      expect(await client.get("bind")).toMatchObject({ value: "kept", lease: lease.id, version: 2 });
      await client.txn({ then: [op.bind("bind", "none")] });
      expect(await client.get("bind")).not.toHaveProperty("lease");
      await client.txn({ then: [op.bind("bind", lease.id)] });
      await client.put("bind", "new", { lease: "keep" });
      expect(await client.get("bind")).toMatchObject({ value: "new", lease: lease.id });
      await expect(client.bind("bind", "none", { ifRevision: 1n })).rejects.toBeInstanceOf(ConflictError);
      await lease.revoke();
      await expect(client.bind("bind", "none")).rejects.toMatchObject({ code: "KeyNotFound", outcome: "not-applied" });
    });

    it("show their results through the codec of their view", async () => {
      const view = client.as(json<{ readonly n: number }>());
      await view.put("j", { n: 1 });
      const done = await view.txn({
        then: [op.put("j", JSON.stringify({ n: 2 }), { previous: true }), op.txn({ then: [op.get("j")] })],
      });
      if (!done.succeeded || !done.results[1].succeeded) throw new Error("there are no guards");
      expect(done.results[0].previous?.value.n).toBe(1);
      expect(done.results[1].results[0].kvs[0]?.value.n).toBe(2);
    });

    it("with too many operations are refused whole, with a code", async () => {
      const puts = Array.from({ length: 129 }, (_, index) => op.put(`many/${index}`, ""));
      await expect(client.txn({ then: puts })).rejects.toMatchObject({
        code: "TooManyOps",
        grpcStatus: 3,
        outcome: "not-applied",
        retryable: false,
      });
      expect(await client.count({ prefix: "many/" })).toBe(0);
      expect((await client.txn({ then: puts.slice(1) })).results).toHaveLength(128);
      const twice = client.txn({ then: [op.put("many/1", "a"), op.put("many/1", "b")] });
      await expect(twice).rejects.toMatchObject({ code: "DuplicateKey", outcome: "not-applied" });
    });

    it("and puts beyond the client's limit are refused before they are sent", async () => {
      await using small = createClient({ endpoints: server.endpoint, requestBytesMax: 1_000 });
      await small.put("size/fits", "x".repeat(900));
      const before = (await client.get("size/fits"))?.modRevision;
      const tooLarge = { code: "RequestTooLarge", outcome: "not-applied", serverMessage: "", retryable: false };
      await expect(small.put("size/a", "x".repeat(1_000))).rejects.toMatchObject(tooLarge);
      const txn = small.txn({ then: [op.put("size/b", "x".repeat(500)), op.put("size/c", "x".repeat(500))] });
      await expect(txn).rejects.toMatchObject(tooLarge);
      expect((await client.put("size/fits", "")).header.revision).toBe((before ?? 0n) + 1n);
      // The server's own limit has the same code, and words of its own.
      const refused = client.put("size/d", "x".repeat(1_700_000));
      await expect(refused).rejects.toMatchObject({ code: "RequestTooLarge", serverMessage: /too large/ });
    });
  });
});

/** A client whose store lost an answer, and another client of the same store. */
function doubtful(namespace = "") {
  const transport = new StoreTransport();
  const client = createClient({ endpoints: "store", transport, namespace });
  const other = createClient({ endpoints: "store", transport });
  return { transport, client, other };
}
const idempotent = { retry: "idempotent" } as const;

describe("a guarded write whose answer is lost", () => {
  it("is unknown, and sent no second time, unless its caller vouches for it", async () => {
    const { transport, client } = doubtful();
    transport.loseNextWrite = () => Promise.resolve();
    await expect(client.put("k", "v", { ifAbsent: true })).rejects.toMatchObject({
      code: "ConnectionLost",
      outcome: "unknown",
    });
    expect(transport.requests.map((request) => request.name)).toEqual(["Txn"]);
  });

  it("has succeeded if the key shows it", async () => {
    const { transport, client } = doubtful();
    transport.loseNextWrite = () => Promise.resolve();
    const created = await client.put("k", "mine", { ifAbsent: true, ...idempotent });
    expect(created.header.revision).toBe(2n);
    transport.loseNextWrite = () => client.put("k", "later");
    const second = await client.put("k", "second", { ifRevision: 2n, previous: true, ...idempotent });
    expect(second.previous?.value).toBe("mine");
    expect(await client.get("k")).toMatchObject({ value: "later", version: 3 });
  });

  it("shows nothing of a namespace when it is settled", async () => {
    const { transport, client } = doubtful("ns/");
    const { header } = await client.put("k", "old");
    transport.loseNextWrite = () => Promise.resolve();
    const put = await client.put("k", "new", { ifRevision: header.revision, previous: true, ...idempotent });
    expect(put.previous).toMatchObject({ key: "k", value: "old" });
  });

  it("has failed if somebody else was faster", async () => {
    const { transport, client, other } = doubtful();
    const { header } = await client.put("k", "old");
    await other.put("k", "theirs");
    transport.loseNextWrite = () => Promise.resolve();
    const late = client.put("k", "mine", { ifRevision: header.revision, ...idempotent });
    await expect(late).rejects.toMatchObject({ code: "Conflict", current: { key: "k", version: 2 } });
  });

  it("is never claimed if it is a delete, which two may want: whoever was faster, the key is gone", async () => {
    const { transport, client, other } = doubtful();
    const first = await client.put("job", "1");
    transport.loseNextWrite = () => Promise.resolve();
    const mine = client.delete("job", { ifRevision: first.header.revision, ...idempotent });
    await expect(mine).rejects.toMatchObject({ code: "ConnectionLost", outcome: "unknown" });
    const second = await client.put("job", "2");
    expect((await other.delete("job", { ifRevision: second.header.revision })).deleted).toBe(1);
    transport.loseNextWrite = () => Promise.resolve();
    const late = client.delete("job", { ifRevision: second.header.revision, ...idempotent });
    await expect(late).rejects.toMatchObject({ code: "ConnectionLost", outcome: "unknown" });
  });

  it("is known not to be applied if it is a delete and the key has lived on", async () => {
    const { transport, client, other } = doubtful();
    const { header } = await client.put("job", "1");
    await other.put("job", "2");
    transport.loseNextWrite = () => Promise.resolve();
    const late = client.delete("job", { ifRevision: header.revision, ...idempotent });
    await expect(late).rejects.toMatchObject({ code: "Conflict", outcome: "not-applied", current: { key: "job" } });
  });

  it("that keeps the value or the lease is not taken for a put that changed what it keeps", async () => {
    const { transport, client, other } = doubtful();
    const { header } = await client.put("k", "old", { lease: 5n });
    await other.put("k", "theirs", { lease: 6n });
    transport.loseNextWrite = () => Promise.resolve();
    const bound = client.bind("k", 6n, { ifRevision: header.revision, ...idempotent });
    await expect(bound).rejects.toMatchObject({ code: "Conflict" });
    transport.loseNextWrite = () => Promise.resolve();
    const kept = client.put("k", "theirs", { lease: "keep", ifRevision: header.revision, ...idempotent });
    await expect(kept).rejects.toMatchObject({ code: "Conflict" });
    transport.loseNextWrite = () => Promise.resolve();
    const revision = header.revision + 1n;
    expect(await client.bind("k", 7n, { ifRevision: revision, ...idempotent })).toMatchObject({
      header: { revision: revision + 1n },
    });
  });

  it("remains unknown where the key does not tell", async () => {
    const { transport, client, other } = doubtful();
    transport.loseNextWrite = async () => {
      await other.delete("k");
      await other.put("k", "theirs");
    };
    const put = client.put("k", "mine", { ifAbsent: true, ...idempotent });
    await expect(put).rejects.toMatchObject({ code: "ConnectionLost", outcome: "unknown" });
  });

  it("remains unknown where a guard inside of a transaction fails that may have held before", async () => {
    const { transport, client } = doubtful();
    transport.loseNextWrite = () => Promise.resolve();
    const inner = op.txn({ if: [cmp.absent("k")], then: [op.put("k", "v")], else: [op.get("k")] });
    await expect(client.txn({ then: [inner] }, idempotent)).rejects.toMatchObject({ outcome: "unknown" });
  });
});
