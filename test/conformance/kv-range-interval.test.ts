/** Conformance: which keys a range selects, and what its response says about them. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { bytes, FROM_KEY, headerOf } from "./words.js";

const NO_BYTES = new Uint8Array(0);

conformance("KV range: intervals", (test) => {
  test("an empty range_end selects exactly the key", async (t) => {
    await t.putAll("a", "aa", "b");
    const { kvs, count, more } = await t.get("a");
    expect({ names: t.names(kvs), count, more }).toEqual({ names: ["a"], count: 1n, more: false });
  });

  test("a missing key gives no kvs, count 0 and a header with the current revision", async (t) => {
    await t.put("other");
    const response = await t.get("missing");
    expect(response.kvs).toEqual([]);
    expect(response.count).toBe(0n);
    expect(t.since(headerOf(response).revision)).toBe(1);
  });

  test("every field of a fresh key is set", async (t) => {
    await t.put("a", "v");
    const { kvs } = await t.get("a");
    expect(t.facts(kvs[0])).toEqual({ key: "a", value: "v", created: 1, modified: 1, version: 1, lease: 0n });
  });

  test("[key, range_end) includes its start and excludes its end", async (t) => {
    await t.putAll("a", "b", "c", "d");
    const { kvs, count } = await t.between("b", "d");
    expect(t.names(kvs)).toEqual(["b", "c"]);
    expect(count).toBe(2n);
  });

  test("an interval may begin and end at keys that do not exist", async (t) => {
    await t.putAll("a", "c", "e");
    expect(t.names((await t.between("b", "d")).kvs)).toEqual(["c"]);
  });

  test("range_end equal to key is empty and no error", async (t) => {
    await t.putAll("a", "b");
    const { kvs, count, more } = await t.between("a", "a");
    expect({ kvs, count, more }).toEqual({ kvs: [], count: 0n, more: false });
  });

  test("range_end below key is empty and no error", async (t) => {
    await t.putAll("a", "b");
    expect((await t.between("b", "a")).count).toBe(0n);
  });

  test("range_end of one zero byte selects every key from key on", async (t) => {
    await t.putAll("a", "b", "c");
    const { kvs } = await t.client.range({ key: t.key("b"), rangeEnd: FROM_KEY });
    expect(t.names(kvs).slice(0, 2)).toEqual(["b", "c"]);
  });

  test("range_end of one zero byte reaches beyond the prefix of key", async (t) => {
    await t.client.put({ key: bytes("zz-last"), value: bytes("v") });
    await t.put("a");
    const { kvs } = await t.client.range({ key: t.key("a"), rangeEnd: FROM_KEY });
    expect(t.names(kvs).at(-1)).toBe("zz-last");
    await t.client.deleteRange({ key: bytes("zz-last") });
  });

  test(
    "key and range_end of one zero byte select every key",
    async (t) => {
      for (const key of ["\x01", "a", "~"]) await t.client.put({ key: bytes(key), value: bytes("v") });
      await t.client.put({ key: Buffer.from([0]), value: bytes("v") });
      await t.client.put({ key: Buffer.from([0xff, 0xff]), value: bytes("v") });
      const { kvs, count } = await t.client.range({ key: FROM_KEY, rangeEnd: FROM_KEY });
      expect(count).toBe(5n);
      expect(kvs.map((kv) => Buffer.from(kv.key).toString("hex"))).toEqual(["00", "01", "61", "7e", "ffff"]);
    },
    { fresh: true },
  );

  test("range_end of two zero bytes is an ordinary bound", async (t) => {
    await t.put("a");
    const { count } = await t.client.range({ key: t.key("a"), rangeEnd: Buffer.from([0, 0]) });
    expect(count).toBe(0n);
  });

  test("range_end of a zero byte and more is an ordinary bound", async (t) => {
    await t.put("a");
    const { count } = await t.client.range({ key: t.key("a"), rangeEnd: Buffer.from([0, 1]) });
    expect(count).toBe(0n);
  });

  test("a prefix query finds the prefix itself and everything below it", async (t) => {
    await t.putAll("a", "ab", "abc", "ac", "b");
    const { kvs } = await t.between("ab", "ac");
    expect(t.names(kvs)).toEqual(["ab", "abc"]);
  });

  test("keys are ordered by bytes, a shorter key first", async (t) => {
    const parts = [[0x61], [0x61, 0x00], [0x61, 0x61], [0x7f], [0x80], [0xff], [0xff, 0xff], [0x00]];
    for (const part of parts) {
      await t.client.put({ key: Buffer.concat([bytes(t.prefix), Buffer.from(part)]), value: bytes("v") });
    }
    const { kvs } = await t.list();
    const tails = kvs.map((kv) => Buffer.from(kv.key).subarray(t.prefix.length).toString("hex"));
    expect(tails).toEqual(["00", "61", "6100", "6161", "7f", "80", "ff", "ffff"]);
  });

  test("keys that are no UTF-8 come back as they were", async (t) => {
    const key = Buffer.concat([bytes(t.prefix), Buffer.from([0xc3, 0x28, 0xff, 0x00, 0xfe])]);
    await t.client.put({ key, value: Buffer.from([0xff, 0x00]) });
    const { kvs } = await t.client.range({ key });
    expect(Buffer.from(kvs[0]?.key ?? NO_BYTES)).toEqual(key);
    expect(Buffer.from(kvs[0]?.value ?? NO_BYTES)).toEqual(Buffer.from([0xff, 0x00]));
  });

  test("a deleted key is not in the range nor in the count", async (t) => {
    await t.putAll("a", "b", "c");
    await t.del("b");
    const { kvs, count } = await t.list();
    expect(t.names(kvs)).toEqual(["a", "c"]);
    expect(count).toBe(2n);
  });

  test("an empty key is refused", async (t) => {
    await t.rejects(t.client.range({}), status.EmptyKey);
  });

  test("an empty key is refused even with a range_end", async (t) => {
    await t.rejects(t.client.range({ rangeEnd: bytes("z") }), status.EmptyKey);
    await t.rejects(t.client.range({ rangeEnd: FROM_KEY }), status.EmptyKey);
  });

  test("an empty key is refused before the revision is looked at", async (t) => {
    await t.rejects(t.client.range({ revision: 1n << 40n }), status.EmptyKey);
  });

  test("an empty value reads back as empty", async (t) => {
    await t.put("a", "");
    const { kvs } = await t.get("a");
    expect(kvs[0]?.value.length).toBe(0);
    expect(kvs[0]?.version).toBe(1n);
  });

  test("a large range comes back whole, beyond the usual 4 MiB of a message", async (t) => {
    const value = "x".repeat(1_000_000);
    for (const name of ["a", "b", "c", "d", "e"]) await t.put(name, value);
    const { kvs } = await t.list();
    expect(kvs.map((kv) => kv.value.length)).toEqual([1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000]);
  });

  test("3000 keys come back in order with the right count", async (t) => {
    const names = Array.from({ length: 3000 }, (_, index) => String(index).padStart(5, "0"));
    await Promise.all(names.map((name) => t.put(name)));
    const { kvs, count } = await t.list({ keysOnly: true });
    expect(count).toBe(3000n);
    expect(t.names(kvs)).toEqual(names);
  });
});
