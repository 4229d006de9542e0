/** Conformance: alarms, what they forbid, and the quota that raises one. */

import { expect } from "vitest";
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, compare, deleteOp, headerOf, putOp, rangeOp, txnOp } from "./words.js";

const FRESH = { fresh: true } as const;
const { NONE, NOSPACE, CORRUPT } = AlarmType;

async function alarms(t: Context, request: Parameters<Context["client"]["alarm"]>[0] = {}): Promise<string[]> {
  const response = await t.client.alarm({ action: Action.GET, ...request });
  return response.alarms.map(({ memberID, alarm }) => `${memberID} ${alarm}`);
}

function raise(t: Context, alarm: AlarmType, memberID = 7n) {
  return t.client.alarm({ action: Action.ACTIVATE, alarm, memberID });
}

function lower(t: Context, alarm: AlarmType, memberID = 7n) {
  return t.client.alarm({ action: Action.DEACTIVATE, alarm, memberID });
}

conformance("Alarm", (test) => {
  test("there are none at first", async (t) => {
    const response = await t.client.alarm();
    expect(response.alarms).toEqual([]);
    expect(headerOf(response).revision).toBe(t.base);
  });

  test(
    "activate answers with the alarm and it stays until deactivate",
    async (t) => {
      expect((await raise(t, NOSPACE)).alarms).toEqual([{ memberID: 7n, alarm: NOSPACE }]);
      expect(await alarms(t)).toEqual([`7 ${NOSPACE}`]);
      expect((await lower(t, NOSPACE)).alarms).toEqual([{ memberID: 7n, alarm: NOSPACE }]);
      expect(await alarms(t)).toEqual([]);
    },
    FRESH,
  );

  test(
    "activating it again answers with the one there is",
    async (t) => {
      await raise(t, NOSPACE);
      expect((await raise(t, NOSPACE)).alarms).toEqual([{ memberID: 7n, alarm: NOSPACE }]);
      expect(await alarms(t)).toEqual([`7 ${NOSPACE}`]);
    },
    FRESH,
  );

  test("activating NONE does nothing", async (t) => {
    expect((await raise(t, NONE)).alarms).toEqual([]);
    expect(await alarms(t)).toEqual([]);
  });

  test(
    "get filters by type, NONE means all, the member is not looked at",
    async (t) => {
      await raise(t, NOSPACE, 7n);
      await raise(t, NOSPACE, 8n);
      await raise(t, CORRUPT, 7n);
      expect(new Set(await alarms(t, { alarm: NONE }))).toEqual(
        new Set([`7 ${NOSPACE}`, `8 ${NOSPACE}`, `7 ${CORRUPT}`]),
      );
      expect(new Set(await alarms(t, { alarm: NOSPACE, memberID: 99 }))).toEqual(
        new Set([`7 ${NOSPACE}`, `8 ${NOSPACE}`]),
      );
      expect(await alarms(t, { alarm: CORRUPT })).toEqual([`7 ${CORRUPT}`]);
    },
    FRESH,
  );

  test(
    "deactivate takes exactly this member and this type",
    async (t) => {
      await raise(t, NOSPACE);
      expect((await lower(t, NOSPACE, 0n)).alarms).toEqual([]);
      expect((await lower(t, NOSPACE, 8n)).alarms).toEqual([]);
      expect((await lower(t, CORRUPT, 7n)).alarms).toEqual([]);
      expect((await lower(t, NONE, 7n)).alarms).toEqual([]);
      expect(await alarms(t)).toEqual([`7 ${NOSPACE}`]);
    },
    FRESH,
  );

  test(
    "one of two members' alarms may be lowered; the other still forbids writes",
    async (t) => {
      await raise(t, NOSPACE, 7n);
      await raise(t, NOSPACE, 8n);
      await lower(t, NOSPACE, 7n);
      await t.rejects(t.put("a"), status.NoSpace);
      await lower(t, NOSPACE, 8n);
      await t.put("a");
    },
    FRESH,
  );

  test(
    "status lists each alarm as text",
    async (t) => {
      await raise(t, NOSPACE);
      await raise(t, CORRUPT, 0n);
      const why = "3.5 prints each field with a space after it";
      const expected = t.differs({
        etcd35: ["memberID:7 alarm:NOSPACE ", "alarm:CORRUPT "],
        ours: ["memberID:7 alarm:NOSPACE", "alarm:CORRUPT"],
        why,
      });
      expect(new Set((await t.client.status()).errors)).toEqual(new Set(expected));
    },
    FRESH,
  );

  test(
    "takes no revision",
    async (t) => {
      expect(headerOf(await raise(t, NOSPACE)).revision).toBe(t.base);
      expect(await t.revision()).toBe(t.base);
    },
    FRESH,
  );

  test(
    "an unknown action or type is refused",
    async (t) => {
      const unknown = [
        t.client.alarm({ action: 9 as never, alarm: NOSPACE }),
        t.client.alarm({ action: Action.ACTIVATE, alarm: 9 as never }),
      ];
      for (const call of unknown) await expect(call).rejects.toMatchObject({ code: Code.INVALID_ARGUMENT });
      expect(await alarms(t)).toEqual([]);
    },
    { oursOnly: "an unknown action ends the process of 3.5.30" },
  );
});

conformance("Alarm NOSPACE", (test) => {
  test(
    "refuses put, lease grant and every txn with a put in either branch",
    async (t) => {
      await t.put("a", "v");
      await raise(t, NOSPACE);
      await t.rejects(t.put("b"), status.NoSpace);
      await t.rejects(t.client.leaseGrant({ TTL: 60 }), status.NoSpace);
      await t.rejects(t.client.txn({ success: [putOp(t.key("b"))] }), status.NoSpace);
      await t.rejects(t.client.txn({ failure: [putOp(t.key("b"))] }), status.NoSpace);
      await t.rejects(t.client.txn({ success: [rangeOp(t.key("a")), putOp(t.key("b"))] }), status.NoSpace);
      expect(await t.revision()).toBe(t.base + 1n);
    },
    FRESH,
  );

  test(
    "a put in a nested txn",
    async (t) => {
      await raise(t, NOSPACE);
      const call = t.client.txn({ success: [txnOp({ success: [putOp(t.key("b"))] })] });
      if (t.target.isEtcd35)
        expect((await call).succeeded).toBe(true); // counted since 3.5.33
      else await t.rejects(call, status.NoSpace);
    },
    FRESH,
  );

  test(
    "allows reads, deletes, compaction, revoke, keep alive and defragmentation",
    async (t) => {
      const lease = await t.grant();
      await t.put("a", "v");
      await t.put("b", "v");
      await raise(t, NOSPACE);
      expect((await t.list()).count).toBe(2n);
      expect((await t.del("a")).deleted).toBe(1n);
      expect((await t.client.txn({ success: [rangeOp(t.key("b"))] })).succeeded).toBe(true);
      expect((await t.client.txn({ success: [deleteOp(t.key("b"))] })).succeeded).toBe(true);
      expect((await t.client.txn({ compare: [compare(t.key("b")).version("=", 0n)] })).succeeded).toBe(true);
      await t.client.compact({ revision: await t.revision(), physical: true });
      const stream = t.client.leaseKeepAlive();
      stream.send({ ID: lease });
      expect((await stream.next()).TTL).toBe(600n);
      stream.cancel();
      await t.client.leaseRevoke({ ID: lease });
      await t.client.defragment();
      expect((await t.client.memberList()).members).toHaveLength(1);
    },
    FRESH,
  );

  test(
    "a fault of the request itself comes first",
    async (t) => {
      await raise(t, NOSPACE);
      await t.rejects(t.client.put({}), status.EmptyKey);
      await t.rejects(t.client.txn({ success: [{}] }), status.KeyNotFound);
      // The TTL is looked at when the entry is applied, after the alarm.
      await t.rejects(t.client.leaseGrant({ TTL: 2n ** 62n }), status.NoSpace);
    },
    FRESH,
  );

  test(
    "the quota raises it for this member; delete, compact, defragment and disarm bring the member back",
    async (t) => {
      const value = "x".repeat(500_000);
      let refused = false;
      for (let index = 0; index < 40 && !refused; index += 1) {
        refused = await t.put(`k${index}`, value).then(
          () => false,
          () => true,
        );
      }
      await t.rejects(t.put("more", value), status.NoSpace);
      const { header } = await t.client.status();
      await t.eventually(async () => {
        expect(await alarms(t)).toEqual([`${header?.memberId} ${NOSPACE}`]);
      });
      // What would not fit is refused before the request itself is looked at.
      await t.rejects(t.client.put({ value: bytes(value) }), status.NoSpace);
      await t.rejects(t.client.txn({ success: [putOp(t.key("k0"), value), {}] }), status.NoSpace);
      await t.delAll();
      await t.client.compact({ revision: await t.revision(), physical: true });
      await t.client.defragment();
      await t.rejects(t.put("a"), status.NoSpace);
      await lower(t, NOSPACE, header?.memberId);
      await t.put("a", "again");
      expect((await t.list()).count).toBe(1n);
    },
    { fresh: { "quota-backend-bytes": "4194304" } },
  );
});

conformance("Alarm CORRUPT", (test) => {
  test(
    "refuses every write with DATA_LOSS",
    async (t) => {
      const lease = await t.grant();
      await t.put("a", "v");
      await raise(t, CORRUPT);
      await t.rejects(t.put("b"), status.Corrupt);
      await t.rejects(t.del("a"), status.Corrupt);
      await t.rejects(t.client.txn({ success: [putOp(t.key("b"))] }), status.Corrupt);
      await t.rejects(t.client.txn({ success: [deleteOp(t.key("a"))] }), status.Corrupt);
      await t.rejects(t.client.compact({ revision: t.base + 1n }), status.Corrupt);
      await t.rejects(t.client.leaseGrant({ TTL: 60 }), status.Corrupt);
      await t.rejects(t.client.leaseRevoke({ ID: lease }), status.Corrupt);
      await lower(t, CORRUPT);
      expect((await t.del("a")).deleted).toBe(1n);
    },
    FRESH,
  );

  test(
    "allows reads, read-only txns, HashKV and alarms",
    async (t) => {
      await t.put("a", "v");
      await raise(t, CORRUPT);
      expect((await t.list()).count).toBe(1n);
      expect((await t.client.txn({ success: [rangeOp(t.key("a"))] })).responses).toHaveLength(1);
      expect((await t.client.hashKv({})).hash).toBeGreaterThan(0);
      expect(await alarms(t)).toEqual([`7 ${CORRUPT}`]);
    },
    FRESH,
  );
});
