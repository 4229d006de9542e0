/** Shows that the ledger of the crash loop notices every kind of lie a member could tell. */
import { describe, expect, it } from "vitest";
import { type Change, compareKeys, Ledger, type Revision, replay, type Write } from "./history.js";
import { Dice, planCycle, Writer } from "./plan.js";

const put = (key: string, value: string): Change => ({ kind: "put", key, value });
const write = (id: string, ...changes: Change[]): Write => ({ id, changes });
const at = (revision: number, { changes }: Write): Revision => ({ revision, changes });

const one = write("w-1", put("a", "1"));
const two = write("w-2", put("a", "2"), put("b", "2"));
const three = write("w-3", put("a", "3"), { kind: "delete", key: "b" });

/** The first choices of a run, as text. */
function choices(seed: number): string {
  const dice = new Dice(seed);
  const writer = new Writer("w", dice);
  return JSON.stringify(Array.from({ length: 50 }, () => [planCycle(dice), writer.next(() => true)]));
}

/** A ledger in which revisions 2 and 3 were acknowledged and the third write was left open. */
function ledger(): Ledger {
  const result = new Ledger();
  result.acknowledged(2, one);
  result.acknowledged(3, two);
  result.leftOpen(three);
  return result;
}

describe("the ledger", () => {
  it("accepts that an open write happened, once", () => {
    const book = ledger();
    expect(book.settle(2, [at(2, one), at(3, two), at(4, three)])).toEqual([]);
    expect(book.told).toBe(4);
    expect(book.settle(2, [at(2, one), at(3, two), at(4, three)])).toEqual([]);
  });

  it("accepts that an open write did not happen, and then never lets it happen", () => {
    const book = ledger();
    expect(book.settle(2, [at(2, one), at(3, two)])).toEqual([]);
    expect(book.settle(2, [at(2, one), at(3, two), at(4, three)])).toEqual([expect.stringMatching(/^invented/)]);
  });

  it("notices a lost acknowledged write", () => {
    expect(ledger().settle(2, [at(2, one)])).toEqual([expect.stringMatching(/^lost: write w-2/)]);
  });

  it("notices that everything is lost", () => {
    expect(ledger().settle(2, [])).toHaveLength(2);
  });

  it("notices an acknowledged write at another revision", () => {
    expect(ledger().settle(2, [at(2, two), at(3, one)])).toHaveLength(2);
  });

  it("notices half a transaction", () => {
    const half = at(3, write("w-2", put("a", "2")));
    expect(ledger().settle(2, [at(2, one), half])).toEqual([expect.stringMatching(/^changed/)]);
  });

  it("notices a write that was applied twice", () => {
    const twice = [at(2, one), at(3, two), at(4, three), at(5, three)];
    expect(ledger().settle(2, twice)).toEqual([expect.stringMatching(/^repeated/)]);
  });

  it("notices a revision that nobody wrote", () => {
    const stray = at(4, write("x", put("z", "1")));
    expect(ledger().settle(2, [at(2, one), at(3, two), stray])).toEqual([expect.stringMatching(/^invented/)]);
  });

  it("notices a gap, a repetition and a late start in what a watch delivers", () => {
    const book = new Ledger();
    for (const [position, done] of [one, two, three].entries()) book.acknowledged(position + 2, done);
    expect(book.settle(2, [at(2, one), at(4, three)])).toContainEqual(expect.stringMatching(/^out of order/));
    expect(book.settle(2, [at(2, one), at(2, one), at(3, two), at(4, three)])).toContainEqual(
      expect.stringMatching(/^out of order/),
    );
    expect(book.settle(2, [at(3, two), at(4, three)])).toContainEqual(expect.stringMatching(/^out of order/));
  });

  it("notices the loss of a revision that only a watch had seen", () => {
    const book = ledger();
    book.watched(at(4, three));
    expect(book.told).toBe(4);
    expect(book.settle(2, [at(2, one), at(3, two)])).toEqual([expect.stringMatching(/^lost: a watch had seen/)]);
  });

  it("notices that a watch had seen something else", () => {
    const book = ledger();
    book.watched(at(3, one));
    expect(book.settle(2, [at(2, one), at(3, two)])).toEqual([expect.stringMatching(/^changed: a watch/)]);
  });

  it("starts in the middle when the beginning is compacted", () => {
    expect(ledger().settle(3, [at(3, two)])).toEqual([]);
  });
});

describe("replaying a history", () => {
  const keys = replay([at(2, one), at(3, two), at(4, three), at(5, write("w-4", put("b", "4")))]);

  it("counts versions and forgets deleted keys", () => {
    expect(Object.fromEntries(keys)).toEqual({
      a: { value: "3", createRevision: 2, modRevision: 4, version: 3 },
      b: { value: "4", createRevision: 5, modRevision: 5, version: 1 },
    });
  });

  it("is held against a range: missing, stray and different keys are named", () => {
    expect(compareKeys(keys, keys)).toEqual([]);
    const found = new Map(keys);
    found.delete("a");
    found.set("b", { value: "4", createRevision: 3, modRevision: 5, version: 2 });
    found.set("c", { value: "", createRevision: 2, modRevision: 2, version: 1 });
    expect(compareKeys(keys, found).map((line) => line.slice(0, 6))).toEqual(["key a:", "key b:", "key c:"]);
  });
});

describe("the plan", () => {
  it("is the same for the same seed and differs for another", () => {
    expect(choices(7)).toBe(choices(7));
    expect(choices(7)).not.toBe(choices(8));
  });

  it("holds every kind of write and of cycle", () => {
    const dice = new Dice(1);
    const writer = new Writer("w", dice);
    const writes = Array.from({ length: 200 }, () => writer.next(() => true));
    expect(new Set(writes.map(({ changes }) => changes.map(({ kind }) => kind).join("+")))).toEqual(
      new Set(["put", "put+put", "put+delete"]),
    );
    expect(new Set(writes.map(({ id }) => id)).size).toBe(200);
    const cycles = Array.from({ length: 200 }, () => planCycle(dice));
    for (const chosen of ["compact", "defragment", "grantLease"] as const) {
      expect(new Set(cycles.map((cycle) => cycle[chosen]))).toEqual(new Set([true, false]));
    }
    expect(cycles.some(({ killAgainAfterMs }) => killAgainAfterMs !== undefined)).toBe(true);
  });
});
