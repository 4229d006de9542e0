/** The interval tree against a plain list. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IntervalTree } from "../../../src/server/watch/interval-tree.js";
import { contains, type Interval } from "../../../src/server/watch/ranges.js";

const shortKey = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 2 });
const interval: fc.Arbitrary<Interval> = fc.record({ start: shortKey, end: fc.option(shortKey, { nil: undefined }) });
const step = fc.record({ what: fc.constantFrom("insert", "delete"), interval });

function numbered(n: number): string {
  return String(n).padStart(6, "0");
}

function name({ start, end }: Interval): string {
  return `${start}..${end ?? "open"}`;
}

describe("the interval tree", () => {
  it("finds the intervals that hold a key, as a list would, whatever was added and removed", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), shortKey, (steps, key) => {
        const tree = new IntervalTree<string>();
        const list = new Map<string, Interval>();
        for (const { what, interval: one } of steps) {
          if (what === "delete") {
            tree.delete(one);
            list.delete(name(one));
          } else if (tree.get(one) === undefined) {
            tree.insert(one, name(one));
            list.set(name(one), one);
          }
        }
        const found: string[] = [];
        tree.forEachHolding(key, (value) => found.push(value));
        const expected = [...list.values()].filter((one) => contains(one, key)).map(name);
        expect(found.toSorted()).toEqual(expected.toSorted());
        expect(tree.holds(key)).toBe(expected.length > 0);
        for (const one of list.values()) expect(tree.get(one)).toBe(name(one));
      }),
    );
  });

  it("stays fast when intervals come in order", () => {
    const tree = new IntervalTree<number>();
    for (let n = 0; n < 100_000; n += 1) tree.insert({ start: numbered(n), end: numbered(n + 1) }, n);
    const found: number[] = [];
    tree.forEachHolding(numbered(70_000), (n) => found.push(n));
    expect(found).toEqual([70_000]);
    expect(tree.holds(numbered(100_001))).toBe(false);
  });
});
