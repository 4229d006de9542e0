/** Conformance: delete range. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { bytes, FROM_KEY, headerOf } from "./words.js";

conformance("KV delete range", (test) => {
  test("deletes one key, counts it and takes a revision", async (t) => {
    await t.putAll("a", "b");
    const response = await t.del("a");
    expect(response.deleted).toBe(1n);
    expect(t.since(headerOf(response).revision)).toBe(3);
    expect(t.names((await t.list()).kvs)).toEqual(["b"]);
  });

  test("deletes an interval in one revision", async (t) => {
    await t.putAll("a", "b", "c", "d");
    const response = await t.del("b", { rangeEnd: t.key("d") });
    expect(response.deleted).toBe(2n);
    expect(t.since(headerOf(response).revision)).toBe(5);
    expect(t.names((await t.list()).kvs)).toEqual(["a", "d"]);
  });

  test("deletes a whole prefix", async (t) => {
    await t.putAll("a", "b", "c");
    expect((await t.delAll()).deleted).toBe(3n);
    expect((await t.list()).count).toBe(0n);
  });

  test(
    "range_end of one zero byte deletes every key from key on",
    async (t) => {
      for (const key of ["a", "b", "c"]) await t.client.put({ key: bytes(key) });
      expect((await t.client.deleteRange({ key: bytes("b"), rangeEnd: FROM_KEY })).deleted).toBe(2n);
      expect((await t.client.range({ key: FROM_KEY, rangeEnd: FROM_KEY })).count).toBe(1n);
    },
    { fresh: true },
  );

  test(
    "key and range_end of one zero byte delete everything",
    async (t) => {
      for (const key of ["a", "b", "c"]) await t.client.put({ key: bytes(key) });
      expect((await t.client.deleteRange({ key: FROM_KEY, rangeEnd: FROM_KEY })).deleted).toBe(3n);
      expect((await t.client.range({ key: FROM_KEY, rangeEnd: FROM_KEY })).count).toBe(0n);
    },
    { fresh: true },
  );

  test("no match: deleted 0, the current revision, no new one", async (t) => {
    await t.put("a");
    const response = await t.del("missing");
    expect(response.deleted).toBe(0n);
    expect(t.since(headerOf(response).revision)).toBe(1);
    expect(await t.revision()).toBe(t.base + 1n);
  });

  test("a second delete of the same key deletes nothing", async (t) => {
    await t.put("a");
    await t.del("a");
    expect((await t.del("a")).deleted).toBe(0n);
    expect(await t.revision()).toBe(t.base + 2n);
  });

  test("range_end at or below key deletes nothing and is no error", async (t) => {
    await t.putAll("a", "b");
    expect((await t.del("b", { rangeEnd: t.key("b") })).deleted).toBe(0n);
    expect((await t.del("b", { rangeEnd: t.key("a") })).deleted).toBe(0n);
    expect((await t.list()).count).toBe(2n);
  });

  test("range_end of two zero bytes is an ordinary bound", async (t) => {
    await t.put("a");
    expect((await t.del("a", { rangeEnd: Buffer.from([0, 0]) })).deleted).toBe(0n);
  });

  test("without prev_kv there are no prev_kvs", async (t) => {
    await t.put("a");
    expect((await t.del("a")).prevKvs).toEqual([]);
  });

  test("prev_kv gives the deleted keys in key order, as they were", async (t) => {
    const lease = await t.grant();
    await t.put("c", "3");
    await t.put("a", "1");
    await t.put("b", "2", { lease });
    const { prevKvs } = await t.delAll({ prevKv: true });
    expect(prevKvs.map((kv) => t.facts(kv))).toEqual([
      { key: "a", value: "1", created: 2, modified: 2, version: 1, lease: 0n },
      { key: "b", value: "2", created: 3, modified: 3, version: 1, lease },
      { key: "c", value: "3", created: 1, modified: 1, version: 1, lease: 0n },
    ]);
  });

  test("prev_kv without a match gives none", async (t) => {
    expect((await t.del("a", { prevKv: true })).prevKvs).toEqual([]);
  });

  test("an empty key is refused, with or without range_end", async (t) => {
    await t.rejects(t.client.deleteRange({}), status.EmptyKey);
    await t.rejects(t.client.deleteRange({ rangeEnd: FROM_KEY }), status.EmptyKey);
  });

  test("a delete detaches the key from its lease", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    await t.del("a");
    expect((await t.client.leaseTimeToLive({ ID: lease, keys: true })).keys).toEqual([]);
  });

  test("a key that is created again does not inherit the lease", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    await t.del("a");
    await t.put("a", "w");
    await t.client.leaseRevoke({ ID: lease });
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ value: "w", lease: 0n });
  });

  test("1000 keys go in one delete and one revision", async (t) => {
    await Promise.all(Array.from({ length: 1000 }, (_, index) => t.put(`k${index}`)));
    const response = await t.delAll({ prevKv: true });
    expect(response.deleted).toBe(1000n);
    expect(response.prevKvs).toHaveLength(1000);
    expect(t.since(headerOf(response).revision)).toBe(1001);
  });

  test("history before the delete stays readable", async (t) => {
    await t.putAll("a", "b");
    await t.delAll();
    expect(t.names((await t.list({ revision: t.base + 2n })).kvs)).toEqual(["a", "b"]);
    expect((await t.list({ revision: t.base + 3n })).count).toBe(0n);
  });
});
