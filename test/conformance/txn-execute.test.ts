/** Conformance: how a transaction runs, what it answers, and that it is all or nothing. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { bytes, compare, deleteOp, headerOf, putOp, rangeOp, responseOf, txnOp } from "./words.js";

conformance("Txn execution", (test) => {
  test("the empty txn succeeds with no responses and no revision", async (t) => {
    const response = await t.client.txn();
    expect({ succeeded: response.succeeded, responses: response.responses }).toEqual({
      succeeded: true,
      responses: [],
    });
    expect(headerOf(response).revision).toBe(t.base);
  });

  test("success runs when the compares hold, failure when they do not", async (t) => {
    const txn = (version: bigint) => ({
      compare: [compare(t.key("k")).version("=", version)],
      success: [putOp(t.key("k"), "yes")],
      failure: [putOp(t.key("k"), "no")],
    });
    expect((await t.client.txn(txn(0n))).succeeded).toBe(true);
    expect(t.facts((await t.get("k")).kvs[0])?.value).toBe("yes");
    expect((await t.client.txn(txn(0n))).succeeded).toBe(false);
    expect(t.facts((await t.get("k")).kvs[0])?.value).toBe("no");
  });

  test("a failed compare without failure ops writes nothing and answers nothing", async (t) => {
    const response = await t.client.txn({
      compare: [compare(t.key("k")).version("=", 7n)],
      success: [putOp(t.key("k"))],
    });
    expect({ succeeded: response.succeeded, responses: response.responses }).toEqual({
      succeeded: false,
      responses: [],
    });
    expect(headerOf(response).revision).toBe(t.base);
  });

  test("all changes of a txn share one revision", async (t) => {
    const response = await t.client.txn({ success: [putOp(t.key("a")), putOp(t.key("b")), putOp(t.key("c"))] });
    expect(t.since(headerOf(response).revision)).toBe(1);
    expect((await t.list()).kvs.map((kv) => t.since(kv.modRevision))).toEqual([1, 1, 1]);
    expect(await t.revision()).toBe(t.base + 1n);
  });

  test("a read-only txn takes no revision", async (t) => {
    await t.put("a", "v");
    const response = await t.client.txn({ success: [rangeOp(t.key("a")), rangeOp(t.key("b"))] });
    expect(t.since(headerOf(response).revision)).toBe(1);
    expect(t.names(responseOf(response.responses[0], "responseRange").kvs)).toEqual(["a"]);
    expect(responseOf(response.responses[1], "responseRange").count).toBe(0n);
    expect(await t.revision()).toBe(t.base + 1n);
  });

  test("a txn whose deletes match nothing takes no revision", async (t) => {
    const response = await t.client.txn({ success: [deleteOp(t.key("a")), deleteOp(t.key("b"))] });
    expect(headerOf(response).revision).toBe(t.base);
    expect(responseOf(response.responses[0], "responseDeleteRange").deleted).toBe(0n);
  });

  test("the responses stand in the order of the ops, one kind for each", async (t) => {
    await t.put("old", "v");
    const { responses } = await t.client.txn({
      success: [putOp(t.key("a"), "1"), rangeOp(t.key("a")), deleteOp(t.key("old")), txnOp({})],
    });
    expect(responses.map(({ response }) => response?.$case)).toEqual([
      "responsePut",
      "responseRange",
      "responseDeleteRange",
      "responseTxn",
    ]);
  });

  test("a range sees the earlier puts and deletes of its txn", async (t) => {
    await t.putAll("a", "b");
    const { responses } = await t.client.txn({
      success: [putOp(t.key("c"), "3"), deleteOp(t.key("a")), rangeOp(t.everything.key, t.everything)],
    });
    const range = responseOf(responses[2], "responseRange");
    expect(t.names(range.kvs)).toEqual(["b", "c"]);
    expect(range.count).toBe(2n);
    expect(range.kvs.map((kv) => t.since(kv.modRevision))).toEqual([2, 3]);
  });

  test("a range before the first change sees the old state", async (t) => {
    await t.put("a", "old");
    const { responses } = await t.client.txn({ success: [rangeOp(t.key("a")), putOp(t.key("a"), "new")] });
    expect(t.facts(responseOf(responses[0], "responseRange").kvs[0])?.value).toBe("old");
  });

  test("a range at an older revision reads history inside a txn", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    const { responses } = await t.client.txn({
      success: [putOp(t.key("a"), "three"), rangeOp(t.key("a"), { revision: t.base + 1n })],
    });
    expect(t.facts(responseOf(responses[1], "responseRange").kvs[0])?.value).toBe("one");
  });

  test("a range at the txn's own coming revision is a future revision", async (t) => {
    const call = t.client.txn({ success: [putOp(t.key("a")), rangeOp(t.key("a"), { revision: t.base + 1n })] });
    await t.rejects(call, status.FutureRev);
    expect((await t.get("a")).count).toBe(0n);
  });

  test("range options work inside a txn", async (t) => {
    await t.putAll("c", "a", "b");
    const options = { ...t.everything, sortOrder: 2, sortTarget: 3, limit: 2, keysOnly: true } as const;
    const { responses } = await t.client.txn({ success: [rangeOp(t.key("x"), options)] });
    const range = responseOf(responses[0], "responseRange");
    expect({ names: t.names(range.kvs), more: range.more, count: range.count }).toEqual({
      names: ["b", "a"],
      more: true,
      count: 3n,
    });
    expect(range.kvs.every((kv) => kv.value.length === 0)).toBe(true);
  });

  test("prev_kv of a put and of a delete inside a txn", async (t) => {
    await t.putAll("a", "b");
    const { responses } = await t.client.txn({
      success: [putOp(t.key("a"), "new", { prevKv: true }), deleteOp(t.key("b"), { prevKv: true })],
    });
    expect(t.facts(responseOf(responses[0], "responsePut").prevKv)).toMatchObject({ value: "a", modified: 1 });
    expect(responseOf(responses[1], "responseDeleteRange").prevKvs.map((kv) => t.facts(kv)?.value)).toEqual(["b"]);
  });

  test("prev_kv sees an earlier change of the same txn", async (t) => {
    const key = t.key("a");
    const { responses } = await t.client.txn({
      success: [txnOp({ success: [putOp(key, "inner")] }), txnOp({ success: [deleteOp(key, { prevKv: true })] })],
    });
    const inner = responseOf(responses[1], "responseTxn");
    const { prevKvs } = responseOf(inner.responses[0], "responseDeleteRange");
    expect(prevKvs.map((kv) => t.facts(kv))).toEqual([
      { key: "a", value: "inner", created: 1, modified: 1, version: 1, lease: 0n },
    ]);
  });

  test("put with a lease inside a txn attaches it", async (t) => {
    const lease = await t.grant();
    await t.client.txn({ success: [putOp(t.key("a"), "v", { lease })] });
    const { keys } = await t.client.leaseTimeToLive({ ID: lease, keys: true });
    expect(keys.map((key) => t.name(key))).toEqual(["a"]);
  });

  test("ignore_value and ignore_lease work inside a txn", async (t) => {
    const lease = await t.grant();
    await t.put("a", "kept", { lease });
    await t.client.txn({ success: [putOp(t.key("a"), "", { ignoreValue: true, ignoreLease: true })] });
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ value: "kept", lease, version: 2 });
  });
});

conformance("Txn headers", (test) => {
  test("the headers of sub responses hold the revision alone", async (t) => {
    await t.put("old");
    const { responses } = await t.client.txn({
      success: [putOp(t.key("a")), rangeOp(t.key("a")), deleteOp(t.key("old"))],
    });
    const own = { clusterId: 0n, memberId: 0n, raftTerm: 0n, revision: t.base + 2n };
    expect(responseOf(responses[0], "responsePut").header).toEqual(own);
    expect(responseOf(responses[1], "responseRange").header).toEqual(own);
    expect(responseOf(responses[2], "responseDeleteRange").header).toEqual(own);
  });

  test("a nested txn has a header with nothing in it", async (t) => {
    const { responses } = await t.client.txn({ success: [txnOp({ success: [putOp(t.key("a"))] })] });
    const nested = responseOf(responses[0], "responseTxn");
    expect(nested.header).toEqual({ clusterId: 0n, memberId: 0n, raftTerm: 0n, revision: 0n });
    expect(headerOf(responseOf(nested.responses[0], "responsePut")).revision).toBe(t.base + 1n);
  });

  test("sub headers show the revision as it stood at each op", async (t) => {
    const { responses } = await t.client.txn({
      success: [rangeOp(t.key("a")), deleteOp(t.key("none")), putOp(t.key("a")), rangeOp(t.key("a"))],
    });
    const revisions = [
      responseOf(responses[0], "responseRange"),
      responseOf(responses[1], "responseDeleteRange"),
      responseOf(responses[2], "responsePut"),
      responseOf(responses[3], "responseRange"),
    ].map((response) => t.since(headerOf(response).revision));
    expect(revisions).toEqual([0, 0, 1, 1]);
  });

  test("a delete that matches nothing after a put shows the new revision", async (t) => {
    const { responses } = await t.client.txn({ success: [putOp(t.key("a")), deleteOp(t.key("none"))] });
    expect(t.since(headerOf(responseOf(responses[1], "responseDeleteRange")).revision)).toBe(1);
  });

  test("the outer header of a writing txn has all four fields", async (t) => {
    const header = headerOf(await t.client.txn({ success: [putOp(t.key("a"))] }));
    expect(header.clusterId).not.toBe(0n);
    expect(header.memberId).not.toBe(0n);
    expect(header.raftTerm).toBeGreaterThan(0n);
    expect(t.since(header.revision)).toBe(1);
  });

  test("sub headers of a read-only txn", async (t) => {
    await t.put("a");
    const { responses } = await t.client.txn({ success: [rangeOp(t.key("a"))] });
    expect(responseOf(responses[0], "responseRange").header).toEqual({
      clusterId: 0n,
      memberId: 0n,
      raftTerm: 0n,
      revision: t.base + 1n,
    });
  });
});

conformance("Txn atomicity", (test) => {
  test("an unknown lease undoes the whole txn", async (t) => {
    const success = [putOp(t.key("a")), deleteOp(t.key("b")), putOp(t.key("c"), "", { lease: 4242 })];
    await t.put("b");
    await t.rejects(t.client.txn({ success }), status.LeaseNotFound);
    expect(t.names((await t.list()).kvs)).toEqual(["b"]);
    expect(await t.revision()).toBe(t.base + 1n);
  });

  test("a future revision in a range undoes the whole txn", async (t) => {
    const success = [putOp(t.key("a")), rangeOp(t.key("a"), { revision: t.base + 100n })];
    await t.rejects(t.client.txn({ success }), status.FutureRev);
    expect((await t.list()).count).toBe(0n);
  });

  test("ignore_value on a missing key undoes the whole txn", async (t) => {
    const success = [putOp(t.key("a")), putOp(t.key("b"), "", { ignoreValue: true })];
    await t.rejects(t.client.txn({ success }), status.KeyNotFound);
    expect((await t.list()).count).toBe(0n);
  });

  test("ignore_lease looks at the state before the txn", async (t) => {
    await t.put("a");
    const success = [
      txnOp({ success: [putOp(t.key("b"))] }),
      txnOp({ success: [putOp(t.key("c"), "", { ignoreLease: true })] }),
    ];
    await t.rejects(t.client.txn({ success }), status.KeyNotFound);
    expect(t.names((await t.list()).kvs)).toEqual(["a"]);
  });

  test("a fault on the branch not taken is no fault", async (t) => {
    const response = await t.client.txn({
      success: [putOp(t.key("a"))],
      failure: [putOp(t.key("b"), "", { lease: 4242 }), rangeOp(t.key("b"), { revision: t.base + 100n })],
    });
    expect(response.succeeded).toBe(true);
  });

  test("a fault in a nested txn undoes the outer one", async (t) => {
    const success = [putOp(t.key("a")), txnOp({ success: [putOp(t.key("b"), "", { lease: 4242 })] })];
    await t.rejects(t.client.txn({ success }), status.LeaseNotFound);
    expect((await t.list()).count).toBe(0n);
  });

  test("a fault on the branch not taken of a nested txn is no fault", async (t) => {
    const nested = txnOp({ failure: [putOp(t.key("b"), "", { lease: 4242 })] });
    expect((await t.client.txn({ success: [putOp(t.key("a")), nested] })).succeeded).toBe(true);
    expect(t.names((await t.list()).kvs)).toEqual(["a"]);
  });

  test("a future revision in a read-only txn is refused", async (t) => {
    const success = [rangeOp(t.key("a"), { revision: t.base + 100n })];
    await t.rejects(t.client.txn({ success }), status.FutureRev);
  });

  test("counters raised by compare-and-swap lose nothing", async (t) => {
    await t.put("n", "0");
    const raise = async (): Promise<void> => {
      for (;;) {
        const kv = (await t.get("n")).kvs[0];
        const next = String(Number(t.facts(kv)?.value) + 1);
        const swap = {
          compare: [compare(t.key("n")).mod("=", kv?.modRevision ?? 0n)],
          success: [putOp(t.key("n"), next)],
        };
        if ((await t.client.txn(swap)).succeeded) return;
      }
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let turn = 0; turn < 5; turn += 1) await raise();
      }),
    );
    expect(t.facts((await t.get("n")).kvs[0])).toMatchObject({ value: "40", version: 41 });
  });

  test("a reader never sees half a txn", async (t) => {
    const write = (value: string) => t.client.txn({ success: [putOp(t.key("x"), value), putOp(t.key("y"), value)] });
    await write("0");
    const writing = (async () => {
      for (let turn = 1; turn <= 40; turn += 1) await write(String(turn));
    })();
    for (let turn = 0; turn < 40; turn += 1) {
      const [x, y] = (await t.list()).kvs;
      expect(t.facts(x)?.value).toBe(t.facts(y)?.value);
    }
    await writing;
  });
});

conformance("Txn nesting", (test) => {
  test("a nested compare sees the state before the outer txn", async (t) => {
    const nested = txnOp({
      compare: [compare(t.key("a")).version("=", 0n)],
      success: [putOp(t.key("saw"), "before")],
      failure: [putOp(t.key("saw"), "after")],
    });
    await t.client.txn({ success: [putOp(t.key("a")), nested] });
    expect(t.facts((await t.get("saw")).kvs[0])?.value).toBe("before");
  });

  test("a nested compare does not see a sibling's put either", async (t) => {
    const first = txnOp({ success: [putOp(t.key("a"))] });
    const second = txnOp({ compare: [compare(t.key("a")).create(">", 0n)] });
    const { responses } = await t.client.txn({ success: [first, second] });
    expect(responseOf(responses[1], "responseTxn").succeeded).toBe(false);
  });

  test("a nested range sees the outer put", async (t) => {
    const nested = txnOp({ success: [rangeOp(t.key("a"))] });
    const { responses } = await t.client.txn({ success: [putOp(t.key("a"), "v"), nested] });
    const range = responseOf(responseOf(responses[1], "responseTxn").responses[0], "responseRange");
    expect(t.facts(range.kvs[0])?.value).toBe("v");
  });

  test("a nested failure does not fail the outer txn", async (t) => {
    const nested = txnOp({ compare: [compare(t.key("a")).version("=", 9n)], failure: [putOp(t.key("b"))] });
    const response = await t.client.txn({ success: [nested] });
    expect(response.succeeded).toBe(true);
    expect(responseOf(response.responses[0], "responseTxn").succeeded).toBe(false);
    expect(t.names((await t.list()).kvs)).toEqual(["b"]);
  });

  test("outer and nested changes share one revision", async (t) => {
    const deep = txnOp({ success: [putOp(t.key("b")), txnOp({ success: [putOp(t.key("c"))] })] });
    await t.client.txn({ success: [putOp(t.key("a")), deep] });
    expect((await t.list()).kvs.map((kv) => t.since(kv.modRevision))).toEqual([1, 1, 1]);
  });

  test("a txn of nested reads alone takes no revision", async (t) => {
    const response = await t.client.txn({ success: [txnOp({ success: [rangeOp(t.key("a"))] })] });
    expect(headerOf(response).revision).toBe(t.base);
  });

  test("put and delete of one key in one txn leave a tombstone at that revision", async (t) => {
    await t.put("a", "old");
    const key = t.key("a");
    await t.client.txn({ success: [txnOp({ success: [putOp(key, "new")] }), txnOp({ success: [deleteOp(key)] })] });
    expect((await t.get("a")).count).toBe(0n);
    expect((await t.get("a", { revision: t.base + 1n })).count).toBe(1n);
    await t.put("a", "again");
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ version: 1, created: 3 });
  });

  test("two deletes of one key in one txn: the second finds nothing", async (t) => {
    await t.put("a");
    const { responses } = await t.client.txn({ success: [deleteOp(t.key("a")), deleteOp(t.key("a"))] });
    const deleted = responses.map((op) => responseOf(op, "responseDeleteRange").deleted);
    expect(deleted).toEqual([1n, 0n]);
  });

  test("values of other txns are not touched by a refused one", async (t) => {
    await t.client.put({ key: t.key("a"), value: bytes("v") });
    await t.rejects(t.client.txn({ success: [deleteOp(t.key("a")), {}] }), status.KeyNotFound);
    expect(t.facts((await t.get("a")).kvs[0])?.value).toBe("v");
  });
});
