/**
 * The traps of spec/server.md 15.1: what stops or fools etcd 3.5.30 and must not do so here. One test a number; 6 and 7 need
 * several members and are in test/cluster.
 */
import { afterEach, expect, it } from "vitest";
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../../proto/status.js";
import { compare, like, op, open, put, range, txn } from "./wire.js";
import { memberId, worlds } from "./world.js";

const world = worlds(afterEach);
const unknown = 9 as never;

it("1: an unknown sort target is refused, alone and inside a write transaction, and never enters the log", async () => {
  const { services, context, replica } = world();
  const odd = { sortTarget: unknown };
  for (const call of [
    services.kv.range(range("a", "b", odd), context()),
    services.kv.txn(txn({ success: [op.put("x"), op.range("a", "b", odd)] }), context()),
    services.kv.txn(txn({ success: [op.put("x"), op.txn({ failure: [op.range("a", "b", odd)] })] }), context()),
  ]) {
    await expect(call).rejects.toMatchObject(like(status.InvalidSortOption));
  }
  expect(replica.proposed).toEqual([]);
});

it("2: a delete with an open end covers every higher key, at every level, and nothing of it enters the log", async () => {
  const { services, context, replica } = world();
  const keep = { ignoreValue: true };
  for (const success of [
    [op.del("a", open), op.put("z", "", keep)],
    [op.put("z", "", keep), op.del("a", open)],
    [op.txn({ success: [op.del("a", open)] }), op.put("z", "", keep)],
    [op.del("a", open), op.txn({ failure: [op.put("z", "", keep)] })],
  ]) {
    await expect(services.kv.txn(txn({ success }), context())).rejects.toMatchObject(like(status.DuplicateKey));
  }
  expect(replica.proposed).toEqual([]);
});

it("2: a write of a key that the same transaction deleted before fails whole, or not at all", async () => {
  const { services, context, replica } = world();
  await services.kv.put(put("z"), context());
  // Siblings in this order pass the overlap check, as in etcd.
  const success = [
    op.txn({ success: [op.put("z", "", { ignoreValue: true })] }),
    op.txn({ success: [op.del("a", open)] }),
  ];
  expect((await services.kv.txn(txn({ success }), context())).header?.revision).toBe(3n);
  expect((await services.kv.range(range("z"), context())).count).toBe(0n);
  expect(replica.state.revision()).toBe(3);
});

it("3: a member update with garbage for URLs is refused", async () => {
  const { services, context, replica } = world();
  const update = services.cluster.memberUpdate({ ID: memberId, peerURLs: ["garbage"] }, context());
  await expect(update).rejects.toMatchObject(like(status.MemberBadURLs));
  expect(replica.proposed).toEqual([]);
});

it("4: an unknown alarm action is refused", async () => {
  const { services, context, replica } = world();
  const call = services.maintenance.alarm({ action: unknown, memberID: 0n, alarm: AlarmType.NONE }, context());
  await expect(call).rejects.toMatchObject({ code: Code.INVALID_ARGUMENT });
  expect(replica.proposed).toEqual([]);
});

it("8: nested puts count, for the quota and for the alarm, in either branch", async () => {
  const nested = [op.txn({ failure: [op.txn({ success: [op.put("a")] })] })];
  const full = world({ limits: { quotaBackendBytes: 1 } });
  const alarmed = world();
  const on = { action: Action.ACTIVATE, memberID: 1n, alarm: AlarmType.NOSPACE };
  await alarmed.services.maintenance.alarm(on, alarmed.context());
  for (const { services, context } of [full, alarmed]) {
    for (const branch of [{ success: nested }, { failure: nested }]) {
      await expect(services.kv.txn(txn(branch), context())).rejects.toMatchObject(like(status.NoSpace));
    }
  }
});

it("9: a compaction at 0 is refused and changes no hash", async () => {
  const { services, context } = world();
  await services.kv.put(put("a"), context());
  const before = await services.maintenance.hashKv({ revision: 0n }, context());
  const compact = services.kv.compact({ revision: 0n, physical: true }, context());
  await expect(compact).rejects.toMatchObject(like(status.Compacted));
  expect(await services.maintenance.hashKv({ revision: 0n }, context())).toEqual(before);
});

it("10: enabling and canceling a downgrade are answered", async () => {
  const { services, context, replica } = world();
  await replica.propose({ $case: "clusterVersionSet", value: { version: "3.7.0" } });
  expect((await services.maintenance.downgrade({ action: 1, version: "3.6" }, context())).version).toBe("3.7");
  expect((await services.maintenance.downgrade({ action: 2, version: "" }, context())).version).toBe("3.7");
});

it("11: a transaction that only compares waits for the barrier", async () => {
  const { services, context, replica } = world();
  await services.kv.txn(txn({}), context());
  await services.kv.txn(txn({ compare: [compare("a")] }), context());
  expect(replica.barriers).toBe(2);
  replica.refusal = status.Timeout;
  await expect(services.kv.txn(txn({}), context())).rejects.toMatchObject(like(status.Timeout));
});
