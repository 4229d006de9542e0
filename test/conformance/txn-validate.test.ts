/** Conformance: what a transaction may contain. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, compare, deleteOp, FROM_KEY, type Op, putOp, rangeOp, txnOp } from "./words.js";

const NO_KEY = new Uint8Array(0);

function puts(t: Context, count: number, from = 0): Op[] {
  return Array.from({ length: count }, (_, index) => putOp(t.key(`k${from + index}`)));
}

function ranges(t: Context, count: number): Op[] {
  return Array.from({ length: count }, () => rangeOp(t.key("k")));
}

conformance("Txn limits", (test) => {
  test("128 ops are accepted, 129 are not", async (t) => {
    expect((await t.client.txn({ success: puts(t, 128) })).responses).toHaveLength(128);
    await t.rejects(t.client.txn({ success: puts(t, 129) }), status.TooManyOps);
  });

  test("each list is counted by itself", async (t) => {
    const compares = Array.from({ length: 128 }, (_, index) => compare(t.key(`k${index}`)).version("=", 0n));
    const txn = { compare: compares, success: puts(t, 128), failure: puts(t, 128) };
    expect((await t.client.txn(txn)).succeeded).toBe(true);
  });

  test("129 compares are too many", async (t) => {
    const compares = Array.from({ length: 129 }, () => compare(t.key("k")).version("=", 0n));
    await t.rejects(t.client.txn({ compare: compares }), status.TooManyOps);
  });

  test("129 ops on the branch not taken are too many", async (t) => {
    await t.rejects(t.client.txn({ failure: ranges(t, 129) }), status.TooManyOps);
  });

  test("range ops count too", async (t) => {
    expect((await t.client.txn({ success: ranges(t, 128) })).responses).toHaveLength(128);
    await t.rejects(t.client.txn({ success: ranges(t, 129) }), status.TooManyOps);
  });

  test("a parent of 64 ops may hold a child of 64, not of 65", async (t) => {
    const txn = (childOps: number) => ({
      success: [...puts(t, 63), txnOp({ success: puts(t, childOps, 1000) })],
    });
    expect((await t.client.txn(txn(64))).responses).toHaveLength(64);
    await t.rejects(t.client.txn(txn(65)), status.TooManyOps);
  });

  test("children do not add up: two of 64 fit beside 62 puts", async (t) => {
    const success = [...puts(t, 62), txnOp({ success: puts(t, 64, 1000) }), txnOp({ success: puts(t, 64, 2000) })];
    expect((await t.client.txn({ success })).responses).toHaveLength(64);
  });

  test("a full parent may hold an empty child, not one with an op", async (t) => {
    expect((await t.client.txn({ success: [...puts(t, 127), txnOp({})] })).responses).toHaveLength(128);
    const withChild = [...puts(t, 127), txnOp({ success: [rangeOp(t.key("k"))] })];
    await t.rejects(t.client.txn({ success: withChild }), status.TooManyOps);
  });

  test("a parent's compares reduce what its children may hold", async (t) => {
    const compares = Array.from({ length: 100 }, () => compare(t.key("k")).version("=", 0n));
    const txn = (childOps: number) => ({ compare: compares, success: [txnOp({ success: puts(t, childOps) })] });
    expect((await t.client.txn(txn(28))).succeeded).toBe(true);
    await t.rejects(t.client.txn(txn(29)), status.TooManyOps);
  });

  test("the reduction goes on level by level", async (t) => {
    const nest = (leafOps: number): Op[] => [
      ...ranges(t, 59),
      txnOp({ success: [...ranges(t, 39), txnOp({ success: puts(t, leafOps) })] }),
    ];
    expect((await t.client.txn({ success: nest(28) })).succeeded).toBe(true);
    await t.rejects(t.client.txn({ success: nest(29) }), status.TooManyOps);
  });

  test(
    "max-txn-ops moves the limit",
    async (t) => {
      expect((await t.client.txn({ success: puts(t, 3) })).responses).toHaveLength(3);
      await t.rejects(t.client.txn({ success: puts(t, 4) }), status.TooManyOps);
    },
    { fresh: { "max-txn-ops": "3" } },
  );
});

conformance("Txn validation", (test) => {
  test("a compare without key is refused", async (t) => {
    await t.rejects(t.client.txn({ compare: [compare(NO_KEY).version("=", 0n)] }), status.EmptyKey);
  });

  for (const [name, op] of [
    ["range", rangeOp(NO_KEY)],
    ["put", putOp(NO_KEY, "v")],
    ["delete", deleteOp(NO_KEY)],
  ] as const) {
    test(`a ${name} without key is refused in either branch`, async (t) => {
      await t.rejects(t.client.txn({ success: [op] }), status.EmptyKey);
      await t.rejects(t.client.txn({ failure: [op] }), status.EmptyKey);
    });
  }

  test("a nested op without key is refused", async (t) => {
    await t.rejects(t.client.txn({ success: [txnOp({ failure: [putOp(NO_KEY)] })] }), status.EmptyKey);
  });

  test("a nested compare without key is refused", async (t) => {
    const nested = txnOp({ compare: [compare(NO_KEY).version("=", 0n)] });
    await t.rejects(t.client.txn({ success: [nested] }), status.EmptyKey);
  });

  test("an op that is nothing is refused", async (t) => {
    await t.rejects(t.client.txn({ success: [{}] }), status.KeyNotFound);
    await t.rejects(t.client.txn({ failure: [{}] }), status.KeyNotFound);
    await t.rejects(t.client.txn({ success: [txnOp({ success: [{}] })] }), status.KeyNotFound);
  });

  test("ignore_value with a value is refused, also on the branch not taken", async (t) => {
    await t.rejects(t.client.txn({ failure: [putOp(t.key("a"), "v", { ignoreValue: true })] }), status.ValueProvided);
  });

  test("ignore_lease with a lease is refused, also on the branch not taken", async (t) => {
    const op = putOp(t.key("a"), "", { ignoreLease: true, lease: 5 });
    await t.rejects(t.client.txn({ failure: [op] }), status.LeaseProvided);
  });

  test("too many ops are complained about before an empty key", async (t) => {
    const success = [...puts(t, 128), putOp(NO_KEY)];
    await t.rejects(t.client.txn({ success }), status.TooManyOps);
  });

  test("an empty key of a compare comes before one of an op", async (t) => {
    const call = t.client.txn({ compare: [compare(NO_KEY).version("=", 0n)], success: [{}] });
    await t.rejects(call, status.EmptyKey);
  });

  test("success is checked before failure", async (t) => {
    await t.rejects(t.client.txn({ success: [{}], failure: [putOp(NO_KEY)] }), status.KeyNotFound);
    await t.rejects(t.client.txn({ success: [putOp(NO_KEY)], failure: [{}] }), status.EmptyKey);
  });

  test("an op's own fault comes before a duplicate key", async (t) => {
    const key = t.key("a");
    await t.rejects(t.client.txn({ success: [putOp(key), putOp(key)], failure: [{}] }), status.KeyNotFound);
  });

  test("nothing is written by a refused txn", async (t) => {
    await t.rejects(t.client.txn({ success: [putOp(t.key("a")), {}] }), status.KeyNotFound);
    expect((await t.list()).count).toBe(0n);
    expect(await t.revision()).toBe(t.base);
  });

  test(
    "an unknown sort target in an op is refused and harms nothing",
    async (t) => {
      const sorted = rangeOp(t.key("a"), { sortOrder: 1, sortTarget: 9 as never });
      await t.rejects(t.client.txn({ success: [putOp(t.key("a")), sorted] }), status.InvalidSortOption);
      expect((await t.list()).count).toBe(0n);
    },
    { oursOnly: "3.5.30 ends the process, and again at each restart" },
  );
});

type Shape = (key: (name: string) => Uint8Array) => Op[];

conformance("Txn duplicate keys", (test) => {
  const refused: readonly [string, Shape][] = [
    ["two puts of one key", (k) => [putOp(k("a")), putOp(k("a"))]],
    ["a put and a delete of one key", (k) => [putOp(k("a")), deleteOp(k("a"))]],
    ["a delete and a put of one key", (k) => [deleteOp(k("a")), putOp(k("a"))]],
    ["a delete interval that covers a put", (k) => [deleteOp(k("a"), { rangeEnd: k("c") }), putOp(k("b"))]],
    ["a put that a later delete interval covers", (k) => [putOp(k("b")), deleteOp(k("a"), { rangeEnd: k("c") })]],
    ["a put and a nested put", (k) => [putOp(k("a")), txnOp({ success: [putOp(k("a"))] })]],
    ["a nested put in failure and a put", (k) => [txnOp({ failure: [putOp(k("a"))] }), putOp(k("a"))]],
    ["puts in two nested txns", (k) => [txnOp({ success: [putOp(k("a"))] }), txnOp({ success: [putOp(k("a"))] })]],
    [
      "puts in opposite branches of two nested txns",
      (k) => [txnOp({ success: [putOp(k("a"))] }), txnOp({ failure: [putOp(k("a"))] })],
    ],
    ["a put and a nested delete", (k) => [putOp(k("a")), txnOp({ success: [deleteOp(k("a"))] })]],
    ["a nested put and an outer delete", (k) => [txnOp({ success: [putOp(k("a"))] }), deleteOp(k("a"))]],
    [
      "a nested delete before a nested put",
      (k) => [txnOp({ success: [deleteOp(k("a"))] }), txnOp({ success: [putOp(k("a"))] })],
    ],
    ["two levels down", (k) => [putOp(k("a")), txnOp({ success: [txnOp({ failure: [putOp(k("a"))] })] })]],
  ];
  for (const [name, shape] of refused) {
    test(`refused: ${name}`, async (t) => {
      const key = (part: string) => t.key(part);
      await t.rejects(t.client.txn({ success: shape(key) }), status.DuplicateKey);
      await t.rejects(t.client.txn({ failure: shape(key) }), status.DuplicateKey);
      await t.rejects(t.client.txn({ success: [txnOp({ success: shape(key) })] }), status.DuplicateKey);
    });
  }

  const accepted: readonly [string, Shape][] = [
    ["two deletes of one key", (k) => [deleteOp(k("a")), deleteOp(k("a"))]],
    [
      "overlapping delete intervals",
      (k) => [deleteOp(k("a"), { rangeEnd: k("c") }), deleteOp(k("b"), { rangeEnd: k("d") })],
    ],
    ["a put and a range of one key", (k) => [putOp(k("a")), rangeOp(k("a"))]],
    ["a put at the excluded end of a delete interval", (k) => [deleteOp(k("a"), { rangeEnd: k("c") }), putOp(k("c"))]],
    ["a put below a delete interval", (k) => [deleteOp(k("b"), { rangeEnd: k("c") }), putOp(k("a"))]],
    ["a put inside an inverted delete interval", (k) => [deleteOp(k("c"), { rangeEnd: k("a") }), putOp(k("b"))]],
    [
      "one key in both branches of a nested txn",
      (k) => [txnOp({ success: [putOp(k("a"))], failure: [putOp(k("a"))] })],
    ],
    [
      "a put and a delete in opposite branches of a nested txn",
      (k) => [txnOp({ success: [putOp(k("a"))], failure: [deleteOp(k("a"))] })],
    ],
    [
      "a nested put before a nested delete",
      (k) => [txnOp({ success: [putOp(k("a"))] }), txnOp({ success: [deleteOp(k("a"))] })],
    ],
  ];
  for (const [name, shape] of accepted) {
    test(`accepted: ${name}`, async (t) => {
      const { succeeded } = await t.client.txn({ success: shape((part) => t.key(part)) });
      expect(succeeded).toBe(true);
    });
  }

  test("accepted: one key in both branches of the top", async (t) => {
    const key = t.key("a");
    await t.client.txn({ success: [putOp(key, "yes")], failure: [putOp(key, "no")] });
    expect(t.facts((await t.get("a")).kvs[0])?.value).toBe("yes");
  });

  test("a nested put before a nested delete: the delete takes the fresh key", async (t) => {
    const key = t.key("a");
    const success = [txnOp({ success: [putOp(key)] }), txnOp({ success: [deleteOp(key)] })];
    await t.client.txn({ success });
    expect((await t.get("a")).count).toBe(0n);
    expect(await t.revision()).toBe(t.base + 1n);
  });

  test("a delete with an open end and a put of a key above it", async (t) => {
    const success = [deleteOp(bytes("zz"), { rangeEnd: FROM_KEY }), putOp(bytes("zzz"), "v")];
    const call = t.client.txn({ success });
    if (t.target.isEtcd35)
      expect((await call).succeeded).toBe(true); // 3.5 takes the open end for one key
    else await t.rejects(call, status.DuplicateKey);
    await t.client.deleteRange({ key: bytes("zz"), rangeEnd: FROM_KEY });
  });
});
