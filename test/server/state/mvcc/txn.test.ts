/** Transactions: paths, checks before the first change, headers, compares (spec/server.md 3.5). */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Compare, TxnResponse } from "../../../../proto/gen/etcd/rpc.js";
import { status } from "../../../../proto/status.js";
import { compare, failure, none, op, text, toEnd, txn, World } from "../world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

const is = { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } as const;
const target = { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } as const;

function run(request: Parameters<typeof txn>[0]): TxnResponse {
  return world.ok<"txn">({ $case: "txn", value: txn(request) }).response;
}

/** Revisions in the headers of the steps. */
function headers({ responses }: TxnResponse): (bigint | undefined)[] {
  return responses.map(({ response }) => response?.value.header?.revision);
}

function succeeds(...conditions: Compare[]): boolean {
  return run({ compare: conditions }).succeeded;
}

function versionOf(key: string, result: Compare["result"], value: bigint): Compare {
  return compare(key, { target: target.VERSION, result, targetUnion: { $case: "version", value } });
}

describe("running", () => {
  it("succeeds without conditions and steps, and changes nothing", () => {
    expect(run({})).toEqual({ header: undefined, succeeded: true, responses: [] });
    expect(world.reader.revision()).toBe(1);
  });

  it("takes one revision for all its changes", () => {
    const applied = world.txn({ success: [op.put("a", "1"), op.put("b", "2"), op.del("a", "c")] });
    expect(applied.result.revision).toBe(2);
    expect(applied.changes?.changes.map(({ kind, kv }) => `${kind} ${text(kv.key)}`)).toEqual([
      "put a",
      "put b",
      "delete a",
      "delete b",
    ]);
  });

  it("takes none if it changes nothing", () => {
    world.put("a", "1");
    const applied = world.txn({ success: [op.range("a"), op.del("x")] });
    expect(applied.result.revision).toBe(2);
    expect(applied.changes).toBeUndefined();
  });

  it("shows each step the changes before it", () => {
    const { responses } = run({
      success: [op.put("a", "1"), op.range("a"), op.put("a", "2", { prevKv: true }), op.del("a", none, true)],
    });
    const [, read, put, deleted] = responses.map(({ response }) => response);
    expect(read?.$case === "responseRange" && text(read.value.kvs[0]?.value ?? none)).toBe("1");
    expect(put?.$case === "responsePut" && text(put.value.prevKv?.value ?? none)).toBe("1");
    expect(deleted?.$case === "responseDeleteRange" && text(deleted.value.prevKvs[0]?.value ?? none)).toBe("2");
  });

  it("puts the revision as it stands into the headers of the steps, and nothing else", () => {
    world.put("a", "1");
    const response = run({ success: [op.range("a"), op.del("x"), op.put("a", "2"), op.range("a"), op.del("x")] });
    expect(headers(response)).toEqual([2n, 2n, 3n, 3n, 3n]);
    expect(response.responses[0]?.response?.value.header).toEqual({
      clusterId: 0n,
      memberId: 0n,
      revision: 2n,
      raftTerm: 0n,
    });
  });

  it("gives an inner transaction an empty header", () => {
    const { responses } = run({ success: [op.txn({ success: [op.put("a", "1")] })] });
    const inner = responses[0]?.response;
    expect(inner?.$case === "responseTxn" && inner.value.header).toEqual({
      clusterId: 0n,
      memberId: 0n,
      revision: 0n,
      raftTerm: 0n,
    });
    expect(inner?.$case === "responseTxn" && headers(inner.value)).toEqual([2n]);
  });

  it("reads history at an older revision, and its own changes only without one", () => {
    world.put("a", "1");
    world.put("a", "2");
    const { responses } = run({
      success: [
        op.put("a", "3"),
        op.range("a", none, { revision: 3n }),
        op.range("a", none, { revision: 2n }),
        op.range("a"),
      ],
    });
    const values = responses.map(({ response }) =>
      response?.$case === "responseRange" ? text(response.value.kvs[0]?.value ?? none) : "put",
    );
    expect(values).toEqual(["put", "2", "1", "3"]);
  });
});

describe("checks before the first change", () => {
  beforeEach(() => {
    world.put("a", "1");
  });

  it.each([
    ["a lease that does not exist", op.put("b", "1", { lease: 7n }), status.LeaseNotFound],
    ["a kept value of a missing key", op.put("b", "", { ignoreValue: true }), status.KeyNotFound],
    ["a kept lease of a missing key", op.put("b", "1", { ignoreLease: true }), status.KeyNotFound],
    ["a revision of the future", op.range("a", none, { revision: 9n }), status.FutureRev],
    ["its own revision", op.range("a", none, { revision: 3n }), status.FutureRev],
    ["a step without a request", { request: undefined }, status.KeyNotFound],
  ])("refuse %s, and nothing is written", (_what, step, expected) => {
    const applied = world.txn({ success: [op.put("a", "2"), op.txn({ success: [step] })] });
    expect(failure(applied)).toBe(expected.message);
    expect(applied.result.revision).toBe(2);
    expect(world.list("\0", toEnd)).toEqual(["a=1"]);
  });

  it("do not look at the branch that is not taken", () => {
    const applied = world.txn({ success: [op.put("a", "2")], failure: [op.put("b", "1", { lease: 7n })] });
    expect(failure(applied)).toBeUndefined();
  });

  it("look at the state before the transaction: a key it has just put does not count", () => {
    const applied = world.txn({
      success: [op.put("b", "1"), op.txn({ success: [op.put("b", "", { ignoreValue: true })] })],
    });
    expect(failure(applied)).toBe(status.KeyNotFound.message);
  });

  it("survive the request that ends etcd 3.5.30: keep the value of a key that an earlier step deletes", () => {
    const applied = world.txn({ success: [op.del("a", toEnd), op.put("a", "", { ignoreValue: true })] });
    expect(failure(applied)).toBe(status.KeyNotFound.message);
    expect(world.list("a")).toEqual(["a=1"]);
    expect(world.put("a", "2")).toBe(3);
  });

  it("refuse a compacted revision", () => {
    world.put("a", "2");
    world.compact(3);
    const applied = world.txn({ success: [op.range("a", none, { revision: 2n }), op.put("a", "3")] });
    expect(failure(applied)).toBe(status.Compacted.message);
  });
});

describe("paths", () => {
  it("are chosen before anything runs, inner transactions included", () => {
    const inner = op.txn({
      compare: [compare("a", { target: target.VERSION, result: is.GREATER })],
      success: [op.put("won", "1")],
      failure: [op.put("lost", "1")],
    });
    run({ success: [op.put("a", "1"), inner] });
    expect(world.list("lost")).toEqual(["lost=1"]);
    expect(world.list("won")).toEqual([]);
  });

  it("take the failure branch if one condition does not hold", () => {
    const response = run({
      compare: [compare("a", { result: is.EQUAL }), compare("a", { result: is.NOT_EQUAL })],
      success: [op.put("won", "1")],
      failure: [op.put("lost", "1")],
    });
    expect(response.succeeded).toBe(false);
    expect(world.list("\0", toEnd)).toEqual(["lost=1"]);
  });
});

describe("conditions", () => {
  beforeEach(() => {
    world.grant(7n);
    world.put("a", "x"); // 2
    world.put("a", "y", { lease: 7n }); // 3: create 2, mod 3, version 2
    world.put("b", "z"); // 4
  });

  it.each([
    ["version", { target: target.VERSION, targetUnion: { $case: "version", value: 2n } }],
    ["create revision", { target: target.CREATE, targetUnion: { $case: "createRevision", value: 2n } }],
    ["mod revision", { target: target.MOD, targetUnion: { $case: "modRevision", value: 3n } }],
    ["value", { target: target.VALUE, targetUnion: { $case: "value", value: Buffer.from("y") } }],
    ["lease", { target: target.LEASE, targetUnion: { $case: "lease", value: 7n } }],
  ] as const)("compare the %s", (_what, condition) => {
    const holds = (result: Compare["result"]): boolean => succeeds(compare("a", { ...condition, result }));
    expect([is.EQUAL, is.NOT_EQUAL, is.GREATER, is.LESS].map(holds)).toEqual([true, false, false, false]);
  });

  it("ask whether what is stored is greater or less than what is given", () => {
    expect(succeeds(versionOf("a", is.GREATER, 1n))).toBe(true);
    expect(succeeds(versionOf("a", is.LESS, 3n))).toBe(true);
    expect(succeeds(versionOf("a", is.LESS, 1n))).toBe(false);
  });

  it("never hold for the value of a missing key, not even unequal", () => {
    for (const result of Object.values(is)) {
      expect(succeeds(compare("x", { target: target.VALUE, result }))).toBe(false);
    }
  });

  it("take every other target of a missing key as 0", () => {
    for (const one of [target.VERSION, target.CREATE, target.MOD, target.LEASE]) {
      expect(succeeds(compare("x", { target: one, result: is.EQUAL }))).toBe(true);
    }
  });

  it("take an operand that does not fit the target as 0 or empty", () => {
    const targetUnion = { $case: "lease" as const, value: 2n };
    expect(succeeds(compare("a", { target: target.VERSION, result: is.EQUAL, targetUnion }))).toBe(false);
    expect(succeeds(compare("a", { target: target.VERSION, result: is.GREATER, targetUnion }))).toBe(true);
    expect(succeeds(compare("a", { target: target.VALUE, result: is.GREATER, targetUnion }))).toBe(true);
  });

  it("over a range have to hold for every key of it", () => {
    expect(succeeds({ ...versionOf("a", is.LESS, 3n), rangeEnd: toEnd })).toBe(true);
    expect(succeeds({ ...versionOf("a", is.LESS, 2n), rangeEnd: toEnd })).toBe(false);
  });

  it("over an empty range are those of a missing key", () => {
    expect(succeeds(compare("x", { rangeEnd: toEnd, result: is.EQUAL }))).toBe(true);
    expect(succeeds(compare("x", { rangeEnd: toEnd, target: target.VALUE, result: is.NOT_EQUAL }))).toBe(false);
  });

  it("do not see a deleted key", () => {
    world.del("a");
    expect(succeeds(compare("a", { target: target.MOD, result: is.EQUAL }))).toBe(true);
  });
});

describe("a transaction outside the log", () => {
  it("answers ranges with one revision", () => {
    world.put("a", "1");
    const { response, revision } = world.reader.readTxn(
      txn({ compare: [compare("a", { result: is.GREATER })], success: [op.range("a")] }),
    );
    expect([response.succeeded, revision, headers(response)]).toEqual([true, 2, [2n]]);
  });

  it("fails for a revision that can not be read", () => {
    expect(() => world.reader.readTxn(txn({ success: [op.range("a", none, { revision: 9n })] }))).toThrow(
      status.FutureRev.message,
    );
  });

  it("must not write", () => {
    expect(() => world.reader.readTxn(txn({ failure: [op.put("a", "1")] }))).toThrow("has to go through the log");
    expect(() => world.reader.readTxn(txn({ success: [op.txn({})] }))).toThrow("has to go through the log");
  });
});
