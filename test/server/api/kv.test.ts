/** The KV service over a real state: barriers, headers, quota, chunks. */
import { afterEach, describe, expect, it } from "vitest";
import { AlarmRequest_AlarmAction, AlarmType } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { all, bytes, compare, del, like, next, op, open, put, range, text, times, txn } from "./wire.js";
import { clusterId, memberId, worlds } from "./world.js";

const world = worlds(afterEach);
const header = (revision: bigint) => ({ clusterId, memberId, revision, raftTerm: 2n });

describe("headers", () => {
  it("name the member, its term and the revision of the effect", async () => {
    const { services, context } = world();
    const call = context();
    expect((await services.kv.put(put("a"), call)).header).toEqual(header(2n));
    expect((await services.kv.deleteRange(del("zz"), call)).header).toEqual(header(2n));
    expect((await services.kv.deleteRange(del("a"), call)).header).toEqual(header(3n));
    expect((await services.kv.txn(txn({ success: [op.put("a"), op.put("b")] }), call)).header).toEqual(header(4n));
    expect((await services.kv.txn(txn({ success: [op.range("a")] }), call)).header).toEqual(header(4n));
    expect((await services.kv.compact({ revision: 3n, physical: false }, call)).header).toEqual(header(4n));
  });

  it("of a historical range show the revision of today", async () => {
    const { services, context } = world();
    for (const value of ["1", "2"]) await services.kv.put(put("a", value), context());
    const old = await services.kv.range(range("a", "", { revision: 2n }), context());
    expect([old.header?.revision, text(old.kvs[0]?.value)]).toEqual([3n, "1"]);
  });

  it("inside a transaction carry a revision only", async () => {
    const { services, context } = world();
    const { responses } = await services.kv.txn(txn({ success: [op.range("a"), op.put("a")] }), context());
    const inner = responses.map(({ response }) => response?.value.header);
    expect(inner).toEqual([
      { clusterId: 0n, memberId: 0n, revision: 1n, raftTerm: 0n },
      { clusterId: 0n, memberId: 0n, revision: 2n, raftTerm: 0n },
    ]);
  });
});

describe("the barrier", () => {
  it("stands before reads unless they are serializable", async () => {
    const { services, context, replica } = world();
    await services.kv.range(range("a", "", { serializable: true }), context());
    await services.kv.txn(txn({ success: [op.range("a", "", { serializable: true })] }), context());
    await all(services.kv.rangeStream(range("a", "", { serializable: true }), context()));
    expect(replica.barriers).toBe(0);
    await services.kv.range(range("a"), context());
    await services.kv.txn(txn({ success: [op.range("a")] }), context());
    await all(services.kv.rangeStream(range("a"), context()));
    expect(replica.barriers).toBe(3);
    expect(replica.proposed).toEqual([]);
  });

  it("comes after validation and its failure is the answer", async () => {
    const { services, context, replica } = world();
    replica.refusal = status.Timeout;
    await expect(services.kv.range(range(""), context())).rejects.toMatchObject(like(status.EmptyKey));
    await expect(services.kv.range(range("a"), context())).rejects.toMatchObject(like(status.Timeout));
    await expect(all(services.kv.rangeStream(range("a"), context()))).rejects.toMatchObject(like(status.Timeout));
    expect((await services.kv.range(range("a", "", { serializable: true }), context())).count).toBe(0n);
  });
});

it("counts what succeeded, and nothing else", async () => {
  const { services, context, calls } = world();
  await services.kv.put(put("a"), context());
  await expect(services.kv.put(put(""), context())).rejects.toThrow(WireError);
  await services.kv.range(range("a"), context());
  await services.kv.deleteRange(del("a"), context());
  await services.kv.txn(txn({}), context());
  expect(calls).toEqual(["put", "range", "deleteRange", "txn"]);
});

it("answers a physical compaction when the history is gone from the file", async () => {
  const { services, context, state } = world();
  for (let n = 0; n < 5; n += 1) await services.kv.put(put("a"), context());
  await services.kv.compact({ revision: 5n, physical: true }, context());
  expect(state.compactStep()).toBe(false);
});

describe("the quota", () => {
  const quota = { limits: { quotaBackendBytes: 1 } };

  it("refuses writes that cost space before it validates them, and raises the alarm once", async () => {
    const { services, context, replica } = world(quota);
    for (const call of [
      services.kv.put(put(""), context()),
      services.kv.txn(txn({ failure: [op.txn({ success: [op.put("")] })] }), context()),
      services.lease.leaseGrant({ ID: 0n, TTL: 2n ** 62n }, context()),
    ]) {
      await expect(call).rejects.toMatchObject(like(status.NoSpace));
    }
    const alarm = { action: AlarmRequest_AlarmAction.ACTIVATE, memberID: memberId, alarm: AlarmType.NOSPACE };
    expect(replica.proposed).toContainEqual({ $case: "alarm", value: alarm });
    await expect(services.kv.put(put("a"), context())).rejects.toMatchObject(like(status.NoSpace));
    expect(replica.state.alarms()).toEqual([{ memberId, type: "NOSPACE" }]);
    expect(replica.proposed.every(({ $case }) => $case === "alarm")).toBe(true);
  });

  it("lets pass what costs nothing", async () => {
    const { services, context } = world(quota);
    await services.kv.deleteRange(del("a"), context());
    await services.kv.range(range("a"), context());
    await services.kv.txn(txn({ success: [op.del("a"), op.range("a")] }), context());
  });

  it("refuses the write although the alarm could not be raised", async () => {
    const { services, context, replica } = world(quota);
    replica.refusal = status.Timeout;
    await expect(services.kv.put(put("a"), context())).rejects.toMatchObject(like(status.NoSpace));
  });

  it("is off when it is negative and 2 GiB when it is 0", async () => {
    for (const [quotaBackendBytes, shown] of [
      [-1, -1n],
      [0, 2_147_483_648n],
    ] as const) {
      const { services, context } = world({ limits: { quotaBackendBytes } });
      await services.kv.put(put("a"), context());
      expect((await services.maintenance.status({}, context())).dbSizeQuota).toBe(shown);
    }
  });

  it("counts what was written since it last looked at the file", async () => {
    const { services, context, state } = world({ limits: { quotaBackendBytes: 400_000 } });
    const write = () => services.kv.put(put("a", "x".repeat(50_000)), context());
    await expect(
      (async () => {
        for (let n = 0; n < 40; n += 1) await write();
      })(),
    ).rejects.toMatchObject(like(status.NoSpace));
    // The file never passed the quota by more than one write and the pages that it takes.
    expect(state.reader.size().allocatedBytes).toBeLessThan(480_000);
  });

  it("stays closed while the alarm is on, and opens when it is taken back and space was found", async () => {
    const { services, context, replica } = world();
    const { kv, maintenance } = services;
    await maintenance.alarm(
      { action: AlarmRequest_AlarmAction.ACTIVATE, memberID: 7n, alarm: AlarmType.NOSPACE },
      context(),
    );
    await expect(kv.put(put("a"), context())).rejects.toMatchObject(like(status.NoSpace));
    await maintenance.alarm(
      { action: AlarmRequest_AlarmAction.DEACTIVATE, memberID: 7n, alarm: AlarmType.NOSPACE },
      context(),
    );
    await kv.put(put("a"), context());
    expect(replica.state.alarms()).toEqual([]);
  });
});

function keyOf(n: number): string {
  return `k${String(n).padStart(4, "0")}`;
}

describe("a range in chunks", () => {
  it("gives ten keys first, then twice as many each time, at one revision", async () => {
    const { services, context } = world();
    for (let n = 0; n < 4; n += 1) {
      await services.kv.txn(txn({ success: times(25, (m) => op.put(keyOf(n * 25 + m))) }), context());
    }
    const stream = services.kv.rangeStream(range("k", "l"), context())[Symbol.asyncIterator]();
    const first = await next(stream);
    await services.kv.put(put("k9999"), context());
    await services.kv.deleteRange(del(keyOf(99)), context());
    const rest: Awaited<ReturnType<typeof next<{ rangeResponse: unknown }>>>[] = [];
    for (let step = await stream.next(); step.done !== true; step = await stream.next()) rest.push(step.value);
    const chunks = [first, ...(rest as (typeof first)[])].map(({ rangeResponse }) => rangeResponse);
    expect(chunks.map((chunk) => chunk?.kvs.length)).toEqual([10, 20, 40, 30]);
    expect(chunks.flatMap((chunk) => chunk?.kvs.map(({ key }) => text(key)))).toEqual(
      Array.from({ length: 100 }, (_, n) => keyOf(n)),
    );
    expect(chunks.map((chunk) => [chunk?.header, chunk?.count, chunk?.more])).toEqual([
      [undefined, 0n, false],
      [undefined, 0n, false],
      [undefined, 0n, false],
      [header(5n), 100n, false],
    ]);
  });

  it("gives fewer keys when values are large", async () => {
    const { services, context } = world({ limits: { requestBytesMax: 4000 } });
    for (let n = 0; n < 30; n += 1) await services.kv.put(put(keyOf(n), "x".repeat(1000)), context());
    const messages = await all(services.kv.rangeStream(range("k", "l"), context()));
    expect(messages.map(({ rangeResponse }) => rangeResponse?.kvs.length)).toEqual([10, 5, 5, 5, 5]);
  });

  it("never passes the caller's limit, and says whether there is more", async () => {
    const { services, context } = world();
    for (let n = 0; n < 20; n += 1) await services.kv.put(put(keyOf(n)), context());
    for (const [limit, lengths, more] of [
      [3n, [3], true],
      [10n, [10], true],
      [15n, [10, 5], true],
      [20n, [10, 10], false],
      [25n, [10, 10], false],
    ] as const) {
      const messages = await all(services.kv.rangeStream(range("k", open, { limit }), context()));
      const chunks = messages.map(({ rangeResponse }) => rangeResponse);
      expect(chunks.map((chunk) => chunk?.kvs.length)).toEqual(lengths);
      expect([chunks.at(-1)?.more, chunks.at(-1)?.count]).toEqual([more, 20n]);
    }
  });

  it("refuses orders and filters that chunks cannot have", async () => {
    const { services, context } = world();
    const ask = (more: Parameters<typeof range>[2]) => all(services.kv.rangeStream(range("a", "b", more), context()));
    await expect(ask({ sortOrder: 2 })).rejects.toMatchObject(like(status.RangeStreamSortUnsupported));
    await expect(ask({ sortOrder: 1, sortTarget: 1 })).rejects.toMatchObject(like(status.RangeStreamSortUnsupported));
    await expect(ask({ minModRevision: 1n })).rejects.toMatchObject(like(status.RangeStreamFilterUnsupported));
    await expect(ask({ sortTarget: 9 as never })).rejects.toMatchObject(like(status.InvalidSortOption));
    expect(await ask({ sortOrder: 1 })).toHaveLength(1);
  });

  it("ends with the compacted error when its revision is compacted away meanwhile", async () => {
    const { services, context } = world();
    for (let n = 0; n < 20; n += 1) await services.kv.put(put(keyOf(n)), context());
    const stream = services.kv.rangeStream(range("k", "l"), context())[Symbol.asyncIterator]();
    await next(stream);
    for (let n = 0; n < 2; n += 1) await services.kv.put(put("z"), context());
    await services.kv.compact({ revision: 23n, physical: false }, context());
    await expect(stream.next()).rejects.toMatchObject(like(status.Compacted));
  });

  it("stops when its caller leaves", async () => {
    const { services, context } = world();
    for (let n = 0; n < 20; n += 1) await services.kv.put(put(keyOf(n)), context());
    const abort = new AbortController();
    const stream = services.kv.rangeStream(range("k", "l"), context(abort.signal))[Symbol.asyncIterator]();
    await next(stream);
    abort.abort();
    await expect(stream.next()).rejects.toMatchObject(like(status.Canceled));
  });
});

it("passes prev_kv of puts and deletes on", async () => {
  const { services, context } = world();
  await services.kv.put(put("a", "1"), context());
  expect(text((await services.kv.put(put("a", "2", { prevKv: true }), context())).prevKv?.value)).toBe("1");
  const deleted = await services.kv.deleteRange({ key: bytes("a"), rangeEnd: bytes(""), prevKv: true }, context());
  expect(deleted.prevKvs.map(({ value }) => text(value))).toEqual(["2"]);
  expect(deleted.deleted).toBe(1n);
});

it("compares before it writes", async () => {
  const { services, context } = world();
  const absent = compare("a", { target: 1, targetUnion: { $case: "createRevision", value: 0n } });
  const create = txn({ compare: [absent], success: [op.put("a", "mine")], failure: [op.range("a")] });
  expect((await services.kv.txn(create, context())).succeeded).toBe(true);
  expect((await services.kv.txn(create, context())).succeeded).toBe(false);
});
