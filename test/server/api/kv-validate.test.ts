/** What is refused before anything is read or proposed: order and texts of spec/server.md 3. */
import { describe, expect, it } from "vitest";
import type { RequestOp } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import {
  isReadOnly,
  isSerializable,
  validateCompaction,
  validatePut,
  validateRange,
  validateTxn,
} from "../../../src/server/api/kv-validate.js";
import { bytes, compare, type Fields, like, op, open, put, range, times, txn } from "./wire.js";

const opsMax = 128;
const unknown = 9 as never;

function check(parts: Fields<ReturnType<typeof txn>>): () => void {
  return () => validateTxn(txn(parts), opsMax);
}

/** A nested transaction with so many puts, in a list of 64. */
function besidePuts(nested: number): RequestOp[] {
  return [op.txn({ success: times(nested, (n) => op.put(`n${n}`)) }), ...times(63, (n) => op.put(`p${n}`))];
}

/** A nested transaction with so many ranges, in a list of 128. */
function besideRanges(nested: number): RequestOp[] {
  return [op.txn({ success: times(nested, () => op.range("a")) }), ...times(127, () => op.range("a"))];
}

/** A nested transaction that puts every even key of a stretch and deletes every odd one. */
function evenAndOdd(first: number): RequestOp {
  return op.txn({
    success: times(42, (n) => op.put(numbered(2 * (first + n)))),
    failure: times(42, (n) => op.del(numbered(2 * (first + n) + 1))),
  });
}

function numbered(n: number): string {
  return String(n).padStart(6, "0");
}

describe("a range", () => {
  it("needs a key, also when it has an end", () => {
    expect(() => validateRange(range("", "z"))).toThrow(status.EmptyKey.message);
  });

  it("may sort only by what the API names; the key comes first", () => {
    for (const odd of [{ sortOrder: unknown }, { sortTarget: unknown }, { sortTarget: -1 as never }]) {
      expect(() => validateRange(range("a", "", odd))).toThrow(status.InvalidSortOption.message);
      expect(() => validateRange(range("", "", odd))).toThrow(status.EmptyKey.message);
    }
    expect(() => validateRange(range("a", "", { sortOrder: 2, sortTarget: 4 }))).not.toThrow();
  });
});

describe("a put", () => {
  it("is checked for key, value and lease, in this order", () => {
    const wrong = { ignoreValue: true, ignoreLease: true, lease: 1n };
    expect(() => validatePut(put("", "v", wrong))).toThrow(status.EmptyKey.message);
    expect(() => validatePut(put("a", "v", wrong))).toThrow(status.ValueProvided.message);
    expect(() => validatePut(put("a", "", wrong))).toThrow(status.LeaseProvided.message);
    expect(() => validatePut(put("a", "", { ...wrong, lease: 0n }))).not.toThrow();
  });
});

describe("a compaction", () => {
  it.each([0n, -5n])("at %s counts as compacted", (revision) => {
    expect(() => validateCompaction({ revision, physical: false })).toThrow(status.Compacted.message);
  });
});

describe("the limit of operations", () => {
  it.each(["compare", "success", "failure"] as const)("counts %s alone", (list) => {
    const many = (count: number) => ({ [list]: Array.from({ length: count }, (_, n) => entry(n)) });
    const entry = (n: number) => (list === "compare" ? compare(`k${n}`) : op.put(`k${n}`));
    expect(check(many(opsMax))).not.toThrow();
    expect(check(many(opsMax + 1))).toThrow(status.TooManyOps.message);
  });

  it("comes before every other check", () => {
    expect(check({ success: times(opsMax + 1, () => op.none) })).toThrow(status.TooManyOps.message);
  });

  it("leaves a nested transaction what its parent did not use", () => {
    expect(check({ success: besidePuts(64) })).not.toThrow();
    expect(check({ success: besidePuts(65) })).toThrow(status.TooManyOps.message);
    expect(check({ success: besideRanges(0) })).not.toThrow();
    expect(check({ success: besideRanges(1) })).toThrow(status.TooManyOps.message);
  });

  it("refuses nesting of any depth without running out of stack", () => {
    let deep = op.put("a");
    for (let depth = 0; depth < 5000; depth += 1) deep = op.txn({ success: [deep] });
    expect(check({ success: [deep] })).toThrow(status.TooManyOps.message);
  });
});

describe("the parts of a transaction", () => {
  it("are checked as compares, then success, then failure", () => {
    const parts = { compare: [compare("")], success: [op.none], failure: [op.range("", "", { sortTarget: unknown })] };
    expect(check(parts)).toThrow(status.EmptyKey.message);
    expect(check({ ...parts, compare: [] })).toThrow(status.KeyNotFound.message);
    expect(check({ ...parts, compare: [], success: [] })).toThrow(status.EmptyKey.message);
  });

  it("include those of nested transactions, before any overlap is looked for", () => {
    const twice = [op.put("a"), op.put("a")];
    expect(check({ success: [...twice, op.txn({ failure: [op.put("")] })] })).toThrow(status.EmptyKey.message);
    expect(check({ success: [op.txn({ compare: [compare("a", { result: unknown })] })] })).toThrow(
      status.InvalidCompare.message,
    );
  });

  it("may compare only by what the API names", () => {
    expect(check({ compare: [compare("a", { target: unknown })] })).toThrow(status.InvalidCompare.message);
    expect(check({ compare: [compare("a", { result: 3, target: 4 })] })).not.toThrow();
  });
});

describe("writes of one list that meet in a key", () => {
  const duplicate = status.DuplicateKey.message;

  it.each<[string, Parameters<typeof check>[0]]>([
    ["two puts", { success: [op.put("a"), op.put("a")] }],
    ["two puts in the failure list", { failure: [op.put("a"), op.put("a")] }],
    ["a delete and a put of its key", { success: [op.del("a"), op.put("a")] }],
    ["a put and a later delete over it", { success: [op.put("b"), op.del("a", "c")] }],
    ["a put and a delete with an open end", { success: [op.put("x"), op.del("a", open)] }],
    ["a put and a nested delete", { success: [op.put("a"), op.txn({ success: [op.del("a")] })] }],
    ["a nested put and an outer delete", { success: [op.txn({ failure: [op.put("a")] }), op.del("a")] }],
    [
      "a put and a put nested twice",
      { success: [op.put("a"), op.txn({ success: [op.txn({ success: [op.put("a")] })] })] },
    ],
    ["puts of two siblings", { success: [op.txn({ success: [op.put("a")] }), op.txn({ failure: [op.put("a")] })] }],
    [
      "a sibling's delete and a later sibling's put",
      { success: [op.txn({ success: [op.del("a")] }), op.txn({ success: [op.put("a")] })] },
    ],
    ["two puts inside a nested branch", { success: [op.txn({ failure: [op.put("a"), op.put("a")] })] }],
  ])("refuses %s", (_what, parts) => {
    expect(check(parts)).toThrow(duplicate);
  });

  it.each<[string, Parameters<typeof check>[0]]>([
    ["the two branches at the top", { success: [op.put("a")], failure: [op.put("a")] }],
    [
      "the two branches of a nested transaction",
      { success: [op.txn({ success: [op.put("a")], failure: [op.put("a")] })] },
    ],
    ["two deletes", { success: [op.del("a"), op.del("a", "c")] }],
    ["ranges", { success: [op.put("a"), op.range("a"), op.range("a", open)] }],
    [
      "a sibling's put and a later sibling's delete",
      { success: [op.txn({ success: [op.put("a")] }), op.txn({ success: [op.del("a")] })] },
    ],
    ["a put at the end that a delete leaves out", { success: [op.put("c"), op.del("a", "c")] }],
    ["a put inside a delete that is reversed", { success: [op.put("b"), op.del("c", "a")] }],
  ])("takes %s", (_what, parts) => {
    expect(check(parts)).not.toThrow();
  });

  it("are found fast among 150 000", () => {
    const success = times(42, (a) => op.txn({ success: times(42, (b) => evenAndOdd(42 * (42 * a + b))) }));
    const started = performance.now();
    expect(check({ success })).not.toThrow();
    // Each put against each delete would take minutes.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe("a transaction is", () => {
  it("read-only when it holds ranges alone, and needs no barrier when all of them are serializable", () => {
    const local = op.range("a", "", { serializable: true });
    const cases: readonly [Fields<ReturnType<typeof txn>>, boolean, boolean][] = [
      [{ success: [local], failure: [local] }, true, true],
      [{ success: [local], failure: [op.range("a")] }, true, false],
      [{ success: [op.put("a")] }, false, false],
      [{ success: [op.txn({ success: [local] })] }, false, false],
      [{ failure: [op.del("a")] }, false, false],
      [{}, true, false],
      [{ compare: [compare("a")] }, true, false],
    ];
    for (const [parts, readOnly, serializable] of cases) {
      expect([isReadOnly(txn(parts)), isSerializable(txn(parts))]).toEqual([readOnly, serializable]);
    }
  });
});

it("refuses with the code that belongs to the text", () => {
  expect.assertions(1);
  try {
    validatePut({ ...put("a"), key: bytes("") });
  } catch (error) {
    expect(error).toMatchObject(like(status.EmptyKey));
  }
});
