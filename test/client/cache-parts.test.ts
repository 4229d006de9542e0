/** The parts of the cache that know no server: the order of keys, the sorted map, and what it adds up to. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteKey, covers, firstKey, spanOf, within } from "../../src/client/cache/key-order.js";
import { SortedMap } from "../../src/client/cache/sorted-map.js";
import type { KeyRange } from "../../src/client/index.js";

const everything = { from: "", to: undefined };

function inside(outer: KeyRange, inner: KeyRange): boolean {
  return covers(spanOf(outer), spanOf(inner));
}

function keyAt(index: number): string {
  return String(index).padStart(5, "0");
}

describe("the order of keys", () => {
  it("is that of their bytes", () => {
    const key = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 6 }), fc.string({ minLength: 1, unit: "binary" }));
    fc.assert(
      fc.property(key, key, (a, b) => {
        const bytes = Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const [one, other] = [byteKey(a), byteKey(b)];
        expect(one === other ? 0 : one < other ? -1 : 1).toBe(bytes);
      }),
    );
  });

  it("puts a key into the ranges that have it, and into no other", () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 3, min: 253 });
    fc.assert(
      fc.property(bytes, bytes, bytes, (key, start, end) => {
        const buffer = Buffer.from(key);
        const from = Buffer.compare(buffer, start) >= 0;
        expect(within(byteKey(key), spanOf({ prefix: start }))).toBe(buffer.subarray(0, start.length).equals(start));
        expect(within(byteKey(key), spanOf({ from: start, to: end }))).toBe(from && Buffer.compare(buffer, end) < 0);
        expect(within(byteKey(key), spanOf({ from: start }))).toBe(from);
        expect(within(byteKey(key), spanOf(start))).toBe(buffer.equals(start));
        expect(within(byteKey(key), spanOf({ all: true }))).toBe(true);
      }),
    );
  });

  it("knows which ranges lie in which", () => {
    expect(inside({ prefix: "a/" }, { prefix: "a/b" })).toBe(true);
    expect(inside({ prefix: "a/" }, "a/")).toBe(true);
    expect(inside({ prefix: "a/" }, { from: "a/", to: "a0" })).toBe(true);
    expect(inside({ prefix: "a/" }, { from: "a/", to: "a1" })).toBe(false);
    expect(inside({ prefix: "a/" }, { from: "a/" })).toBe(false);
    expect(inside({ prefix: "a/" }, { prefix: "a" })).toBe(false);
    expect(inside({ from: "a" }, { from: "b" })).toBe(true);
    expect(inside({ all: true }, { from: "b" })).toBe(true);
    expect(inside("a", "a")).toBe(true);
    expect(inside("a", { prefix: "a" })).toBe(false);
  });

  it("names a key of each range that may be read with it", () => {
    expect([firstKey("a"), firstKey({ prefix: "p" }), firstKey({ from: "f" })]).toEqual(["a", "p", "f"]);
    expect([firstKey({ all: true }), firstKey({ prefix: "" }), firstKey({ from: "" })]).toEqual(["\0", "\0", "\0"]);
  });
});

describe("the sorted map", () => {
  it("is a map in order, whatever is done to it", () => {
    const step = fc.tuple(fc.constantFrom("set", "delete", "run"), fc.nat(3_000), fc.nat(900));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const map = new SortedMap<number>();
        const model = new Map<string, number>();
        const set = (key: string, value: number): void => {
          expect(map.set(key, value)).toBe(model.get(key));
          model.set(key, value);
        };
        const remove = (key: string): void => {
          expect(map.delete(key)).toBe(model.get(key));
          model.delete(key);
        };
        for (const [kind, at, count] of steps) {
          if (kind === "set") set(keyAt(at), count);
          else if (kind === "delete") for (let index = at; index < at + count; index++) remove(keyAt(index));
          else for (let index = at; index < at + count; index++) set(keyAt(index), index);
        }
        const sorted = [...model].toSorted(([a], [b]) => (a < b ? -1 : 1));
        expect([...map.entries(everything)]).toEqual(sorted);
        expect(map.size).toBe(model.size);
        const span = { from: keyAt(700), to: keyAt(1_900) };
        expect([...map.entries(span)]).toEqual(sorted.filter(([key]) => within(key, span)));
        for (const [key, value] of sorted) expect(map.get(key)).toBe(value);
        expect(map.get("beyond")).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  it("keeps its order over many chunks, filled from either end", () => {
    for (const order of [1, -1]) {
      const map = new SortedMap<number>();
      const indexes = Array.from({ length: 5_000 }, (_, index) => (order === 1 ? index : 4_999 - index));
      for (const index of indexes) map.set(keyAt(index), index);
      expect(Array.from(map.entries(everything), ([, value]) => value)).toEqual(indexes.toSorted((a, b) => a - b));
    }
  });
});
