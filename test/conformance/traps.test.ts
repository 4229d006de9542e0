/** Conformance: ordinary requests that end a real etcd, or would end a careless server. */

import { expect } from "vitest";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { grpcCall } from "./http2-call.js";
import { bytes, compare, deleteOp, FROM_KEY, type Op, putOp, rangeOp, txnOp } from "./words.js";

async function alive(t: Context): Promise<void> {
  await t.put("alive");
  expect((await t.get("alive")).count).toBe(1n);
}

conformance("Traps that end a real etcd", (test) => {
  test(
    "a delete with an open end and a put with ignore_value of a key it covers",
    async (t) => {
      await t.client.put({ key: bytes("zz"), value: bytes("v") });
      const success = [deleteOp(bytes("z"), { rangeEnd: FROM_KEY }), putOp(bytes("zz"), "", { ignoreValue: true })];
      await t.rejects(t.client.txn({ success }), status.DuplicateKey);
      await alive(t);
    },
    { fresh: true, oursOnly: "3.5.30 ends, and again at each restart" },
  );

  test(
    "the same one level down",
    async (t) => {
      await t.client.put({ key: bytes("zz"), value: bytes("v") });
      const nested = txnOp({ success: [deleteOp(bytes("z"), { rangeEnd: FROM_KEY })] });
      const call = t.client.txn({ success: [nested, putOp(bytes("zz"), "", { ignoreLease: true })] });
      await t.rejects(call, status.DuplicateKey);
      await alive(t);
    },
    { fresh: true, oursOnly: "3.5.30 ends, and again at each restart" },
  );

  test("a nested put, a nested delete of it and a touch of the key that is gone by then", async (t) => {
    await t.put("a", "v");
    const key = t.key("a");
    const success = [
      txnOp({ success: [deleteOp(key)] }),
      txnOp({ compare: [compare(key).version(">", 0n)], failure: [putOp(key, "", { ignoreValue: true })] }),
    ];
    await t.rejects(t.client.txn({ success }), status.DuplicateKey);
    await alive(t);
  });

  for (const sortTarget of [5, 9, 2 ** 31 - 1, -1]) {
    test(
      `a range with sort target ${sortTarget}`,
      async (t) => {
        await t.put("a");
        const odd = { ...t.everything, sortOrder: 1, sortTarget: sortTarget as never } as const;
        await t.rejects(t.client.range(odd), status.InvalidSortOption);
        await t.rejects(t.client.txn({ success: [rangeOp(t.key("a"), odd)] }), status.InvalidSortOption);
        await t.rejects(t.client.txn({ failure: [rangeOp(t.key("a"), odd)] }), status.InvalidSortOption);
        const nested = txnOp({ failure: [rangeOp(t.key("a"), odd)] });
        await t.rejects(t.client.txn({ success: [nested] }), status.InvalidSortOption);
        await alive(t);
      },
      { oursOnly: "3.5.30 ends" },
    );
  }

  test(
    "an alarm with an action nobody knows",
    async (t) => {
      for (const action of [3, 9, -1]) {
        const call = t.client.alarm({ action: action as never, alarm: 1 });
        await expect(call).rejects.toMatchObject({ code: Code.INVALID_ARGUMENT });
      }
      await alive(t);
    },
    { oursOnly: "3.5.30 ends" },
  );

  test(
    "a member update with a URL that is none",
    async (t) => {
      const [member] = (await t.client.memberList()).members;
      for (const url of ["garbage", "http://[::1", "http://%zz:1", "http://a:b", "\u0000"]) {
        await t.rejects(t.client.memberUpdate({ ID: member?.ID ?? 0n, peerURLs: [url] }), status.MemberBadURLs);
      }
      await alive(t);
    },
    { oursOnly: "etcd ends, and again at each restart" },
  );
});

conformance("Traps in the metadata", (test) => {
  test(
    "a client-api-version that is no UTF-8 is refused",
    async (t) => {
      const headers = { "client-api-version": "\u00ff\u00fe" };
      const reply = await grpcCall(t.server.endpoint, "/etcdserverpb.KV/Range", { headers });
      const { code, message } = status.InvalidClientAPIVersion;
      expect([reply.code, reply.message]).toEqual([code, message]);
      await alive(t);
    },
    { oursOnly: "3.5.30 ends: its metrics take no label that is no UTF-8" },
  );

  test("an empty client-api-version is taken", async (t) => {
    const metadata = { "client-api-version": "" };
    expect((await t.client.range({ key: t.key("a") }, { metadata })).count).toBe(0n);
  });
});

conformance("Traps for the careless", (test) => {
  test(
    "HashKV of revision 0 after a compaction at 0 was asked for",
    async (t) => {
      await t.put("a", "1");
      await t.client.compact({ revision: 0 }).catch(() => undefined);
      await t.put("b", "2");
      const now = await t.client.hashKv({ revision: 0 });
      const named = await t.client.hashKv({ revision: await t.revision() });
      // 3.5 answers revision 0 from the hash that the "compaction at 0" stored.
      if (t.target.isEtcd35) expect(now.hash).not.toBe(named.hash);
      else expect(now.hash).toBe(named.hash);
    },
    { fresh: true },
  );

  test("txns nested forty deep work", async (t) => {
    let op: Op = putOp(t.key("deep"), "v");
    for (let depth = 0; depth < 40; depth += 1) op = txnOp({ success: [op] });
    expect((await t.client.txn({ success: [op] })).succeeded).toBe(true);
    expect((await t.get("deep")).count).toBe(1n);
  });

  test("txns nested a thousand deep are refused and harm nothing", async (t) => {
    let op: Op = putOp(t.key("deep"), "v");
    for (let depth = 0; depth < 1000; depth += 1) op = txnOp({ success: [op] });
    const failure = await t.client.txn({ success: [op] }).catch((error: { code: number }) => error);
    expect([Code.INVALID_ARGUMENT, Code.INTERNAL]).toContain((failure as { code: number }).code);
    expect((await t.get("deep")).count).toBe(0n);
    await alive(t);
  });

  test("numbers at the ends of 64 bits", async (t) => {
    const [low, high] = [-(2n ** 63n), 2n ** 63n - 1n];
    await t.put("a", "v");
    expect((await t.list({ limit: high })).count).toBe(1n);
    expect((await t.list({ limit: low })).count).toBe(1n);
    expect((await t.list({ revision: low })).count).toBe(1n);
    await t.rejects(t.list({ revision: high }), status.FutureRev);
    expect((await t.list({ minModRevision: high })).kvs).toEqual([]);
    expect((await t.list({ maxModRevision: high })).kvs).toHaveLength(1);
    await t.rejects(t.client.compact({ revision: high }), status.FutureRev);
    await t.rejects(t.client.compact({ revision: low }), status.Compacted);
    await t.rejects(t.client.hashKv({ revision: high }), status.FutureRev);
    expect((await t.client.txn({ compare: [compare(t.key("a")).mod("<", high)] })).succeeded).toBe(true);
    expect((await t.client.txn({ compare: [compare(t.key("a")).mod(">", low)] })).succeeded).toBe(true);
    await alive(t);
  });

  test("a watch from the largest revision waits and can be canceled", async (t) => {
    const watch = await t.watch({ startRevision: 2n ** 63n - 1n });
    watch.cancel(0n);
    expect(await watch.next()).toMatchObject({ watchId: 0n, canceled: true });
    await alive(t);
  });

  test("a watch from the smallest revision is refused as compacted", async (t) => {
    const refusal = await t.watchStream().create({ ...t.everything, startRevision: -(2n ** 63n) });
    expect(refusal).toMatchObject({ watchId: -1n, canceled: true, cancelReason: status.Compacted.message });
  });

  test("watch ids at the ends of 64 bits", async (t) => {
    const watch = t.watchStream();
    for (const watchId of [2n ** 63n - 1n, -(2n ** 63n)]) {
      expect(await watch.create({ ...t.everything, watchId })).toMatchObject({ watchId, canceled: false });
    }
    await t.put("a");
    expect(new Set((await watch.take(2)).map(({ watchId }) => watchId))).toEqual(
      new Set([2n ** 63n - 1n, -(2n ** 63n)]),
    );
  });

  test("a stream that opens and goes away a hundred times leaves the server as it was", async (t) => {
    for (let turn = 0; turn < 100; turn += 1) {
      const watch = await t.watch();
      watch.cancelStream();
    }
    const watch = await t.watch();
    await t.put("a", "v");
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=v @1"]);
  });

  test("a watcher that never reads does not hold up writers or other watchers", async (t) => {
    const idle = t.client.watch();
    t.cleanup(() => idle.cancel());
    idle.send({ requestUnion: { $case: "createRequest", value: t.everything } });
    const watch = await t.watch();
    for (let turn = 0; turn < 20; turn += 1) await t.put("a", "x".repeat(200_000));
    expect(await watch.events(20)).toHaveLength(20);
  });
});
