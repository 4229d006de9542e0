/** Range: intervals, revisions, limits, filters, sorting (spec/server.md 3.2). */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RangeRequest } from "../../../../proto/gen/etcd/rpc.js";
import { status } from "../../../../proto/status.js";
import { bytes, none, range, text, toEnd, World } from "../world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

const order = { NONE: 0, ASCEND: 1, DESCEND: 2 } as const;
const target = { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 } as const;

/** Keys of a range over everything. */
function keysOf(more: { readonly [K in keyof RangeRequest]?: RangeRequest[K] }): string {
  return world.reader
    .range(range("\0", toEnd, more))
    .kvs.map(({ key }) => text(key))
    .join(" ");
}

describe("the interval", () => {
  beforeEach(() => {
    for (const key of ["a", "aa", "b", "c"]) world.put(key, "1");
  });

  it.each([
    ["one key", "a", none, "a"],
    ["a missing key", "x", none, ""],
    ["from key to key, the end excluded", "a", bytes("b"), "a aa"],
    ["from a key on", "aa", toEnd, "aa b c"],
    ["every key", "\0", toEnd, "a aa b c"],
    ["an end before the start: nothing", "c", bytes("a"), ""],
    ["an end equal to the start: nothing", "a", bytes("a"), ""],
    ["two zero bytes are an ordinary end", "\0", Uint8Array.of(0, 0), ""],
  ])("selects %s", (_what, key, rangeEnd, expected) => {
    const found = world.reader.range(range(key, rangeEnd));
    expect(found.kvs.map((kv) => text(kv.key)).join(" ")).toBe(expected);
    expect(found.count).toBe(found.kvs.length);
  });

  it("orders keys by bytes, the shorter first", () => {
    for (const key of [[0xff], [0xff, 0], [0x80], [0x7f, 0xff]]) {
      const request = { key: Uint8Array.from(key), value: none, lease: 0n, prevKv: false };
      world.apply({ $case: "put", value: { ...request, ignoreValue: false, ignoreLease: false } });
    }
    const found = world.reader.range({ ...range("x", toEnd), key: Uint8Array.of(0x7e) });
    expect(found.kvs.map(({ key }) => [...key])).toEqual([[0x7f, 0xff], [0x80], [0xff], [0xff, 0]]);
  });
});

describe("the revision", () => {
  it("shows the store as it was", () => {
    world.put("a", "1"); // 2
    world.put("a", "2"); // 3
    world.del("a"); // 4
    world.put("a", "3"); // 5
    const at = (revision: number): string[] => world.list("a", none, { revision: BigInt(revision) });
    expect([1, 2, 3, 4, 5].map(at)).toEqual([[], ["a=1"], ["a=2"], [], ["a=3"]]);
    const kv = world.reader.range(range("a")).kvs[0];
    expect(kv).toMatchObject({ createRevision: 5n, modRevision: 5n, version: 1n, lease: 0n });
  });

  it("answers with the newest revision in the header, whatever was asked for", () => {
    world.put("a", "1");
    world.put("a", "2");
    expect(world.reader.range(range("a", none, { revision: 2n })).revision).toBe(3);
    expect(world.reader.range(range("x")).revision).toBe(3);
  });

  it("takes zero and negative numbers as the newest", () => {
    world.put("a", "1");
    expect(world.list("a", none, { revision: -5n })).toEqual(["a=1"]);
  });

  it("refuses the future and what is compacted, but not the compact revision", () => {
    world.put("a", "1");
    world.put("a", "2");
    world.put("a", "3");
    world.compact(3);
    expect(() => world.list("a", none, { revision: 5n })).toThrow(status.FutureRev.message);
    expect(() => world.list("a", none, { revision: 2n })).toThrow(status.Compacted.message);
    expect(world.list("a", none, { revision: 3n })).toEqual(["a=2"]);
  });
});

describe("limit, count and more", () => {
  beforeEach(() => {
    for (const key of ["a", "b", "c", "d"]) world.put(key, "1");
  });

  it.each([
    [0n, 4, false],
    [-1n, 4, false],
    [3n, 3, true],
    [4n, 4, false],
    [5n, 4, false],
    [9223372036854775807n, 4, false],
  ])("limit %s gives %i pairs, more: %s, and counts all", (limit, pairs, more) => {
    const found = world.reader.range(range("\0", toEnd, { limit }));
    expect([found.kvs.length, found.more, found.count]).toEqual([pairs, more, 4]);
  });

  it("counts at an older revision", () => {
    const found = world.reader.range(range("\0", toEnd, { limit: 1n, revision: 4n }));
    expect([found.kvs.length, found.more, found.count]).toEqual([1, true, 3]);
  });

  it("only counts if that is all that is asked for", () => {
    const request = { countOnly: true, limit: 1n, minModRevision: 4n };
    expect(world.reader.range(range("\0", toEnd, request))).toEqual({ kvs: [], count: 4, more: false, revision: 5 });
    expect(world.reader.range(range("a", none, { countOnly: true })).count).toBe(1);
    expect(world.reader.range(range("\0", toEnd, { countOnly: true, revision: 3n })).count).toBe(2);
  });

  it("decides on more after the filters, and counts before them", () => {
    const found = world.reader.range(range("\0", toEnd, { limit: 2n, maxModRevision: 3n }));
    expect([found.kvs.length, found.more, found.count]).toEqual([2, false, 4]);
  });
});

describe("filters", () => {
  beforeEach(() => {
    world.put("a", "1"); // create 2
    world.put("b", "1"); // create 3
    world.put("a", "2"); // mod 4
    world.put("c", "1"); // create 5
  });

  it.each([
    [{ minModRevision: 4n }, "a c"],
    [{ maxModRevision: 4n }, "a b"],
    [{ minCreateRevision: 3n }, "b c"],
    [{ maxCreateRevision: 3n }, "a b"],
    [{ minModRevision: 4n, maxCreateRevision: 2n }, "a"],
    [{ maxModRevision: -1n }, ""],
    [{ minModRevision: -1n }, "a b c"],
  ])("%o leaves %s", (filter, expected) => {
    expect(keysOf(filter)).toBe(expected);
    expect(keysOf({ ...filter, revision: 5n })).toBe(expected);
    expect(keysOf({ ...filter, limit: 9n, keysOnly: true })).toBe(expected);
  });

  it("look at the pair as it was at an older revision", () => {
    expect(keysOf({ minModRevision: 3n, revision: 3n })).toBe("b");
  });
});

describe("sorting", () => {
  beforeEach(() => {
    world.put("z", "20"); // mod 2, version 1
    world.put("a", "3"); // then mod 5
    world.put("b", "10"); // mod 4
    world.put("a", "30"); // mod 5, version 2, create 3
  });

  it.each([
    [target.KEY, "a b z"],
    [target.VERSION, "b z a"],
    [target.CREATE, "z a b"],
    [target.MOD, "z b a"],
    [target.VALUE, "b z a"],
  ])("by target %i ascending gives %s; at an older revision too", (sortTarget, expected) => {
    expect(keysOf({ sortTarget, sortOrder: order.ASCEND })).toBe(expected);
    world.del("\0", toEnd);
    expect(keysOf({ sortTarget, sortOrder: order.ASCEND, revision: 5n })).toBe(expected);
  });

  it.each([
    [target.KEY, "z b a"],
    [target.VERSION, "a b z"],
    [target.CREATE, "b a z"],
    [target.MOD, "a b z"],
    [target.VALUE, "a z b"],
  ])("by target %i descending gives %s, ties in key order", (sortTarget, expected) => {
    expect(keysOf({ sortTarget, sortOrder: order.DESCEND })).toBe(expected);
    expect(keysOf({ sortTarget, sortOrder: order.DESCEND, keysOnly: true })).toBe(expected);
  });

  it("applies the limit after the sort", () => {
    expect(keysOf({ sortTarget: target.KEY, sortOrder: order.DESCEND, limit: 2n })).toBe("z b");
    expect(keysOf({ sortTarget: target.MOD, sortOrder: order.ASCEND, limit: 1n })).toBe("z");
    expect(keysOf({ sortTarget: target.VALUE, sortOrder: order.ASCEND, limit: 1n })).toBe("b");
  });

  it("with a target but no order applies the limit, and one more, before the sort, as etcd does", () => {
    expect(keysOf({ sortTarget: target.MOD, limit: 1n })).toBe("b");
    expect(keysOf({ sortTarget: target.MOD, limit: 2n })).toBe("z b");
    expect(keysOf({ sortTarget: target.MOD })).toBe("z b a");
  });

  it("with a target, a filter but no order sorts everything first", () => {
    expect(keysOf({ sortTarget: target.MOD, limit: 1n, minModRevision: 1n })).toBe("z");
    expect(keysOf({ sortTarget: target.MOD, limit: 1n, minModRevision: 1n, revision: 5n })).toBe("z");
  });
});

describe("keys only", () => {
  beforeEach(() => {
    world.grant(7n);
    world.put("a", "2", { lease: 7n });
    world.put("b", "1", { lease: 7n });
  });

  it("leaves out value and lease", () => {
    const expected = [
      { key: "a", value: "", lease: 0n, createRevision: 2n, version: 1n },
      { key: "b", value: "", lease: 0n, createRevision: 3n, version: 1n },
    ];
    for (const revision of [0n, 3n]) {
      world.put("x", "");
      const { kvs } = world.reader.range(range("a", "c", { keysOnly: true, revision }));
      expect(kvs.map((kv) => ({ ...kv, key: text(kv.key), value: text(kv.value) }))).toMatchObject(expected);
    }
  });

  it("sorted by value keeps the lease and drops the value after the sort", () => {
    const request = { keysOnly: true, sortTarget: target.VALUE, sortOrder: order.ASCEND };
    const { kvs } = world.reader.range(range("a", "c", request));
    expect(kvs.map(({ key, value, lease }) => [text(key), text(value), lease])).toEqual([
      ["b", "", 7n],
      ["a", "", 7n],
    ]);
  });
});
