/** Conformance: the header of every response, RPC by RPC. */

import { expect } from "vitest";
import type { ResponseHeader } from "../../proto/gen/etcd/rpc.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, putOp, rangeOp } from "./words.js";

interface Answer {
  header: ResponseHeader | undefined;
}

type Call = (t: Context) => Promise<Answer>;

/** Calls that take no revision: their header has the store's current one. */
const current: readonly [string, Call][] = [
  ["Range", (t) => t.list()],
  ["Range at an older revision", (t) => t.list({ revision: t.base + 1n })],
  ["Range, serializable", (t) => t.list({ serializable: true })],
  ["Range, count only", (t) => t.list({ countOnly: true })],
  ["DeleteRange without a match", (t) => t.del("none")],
  ["Txn without ops", (t) => t.client.txn()],
  ["Txn that reads", (t) => t.client.txn({ success: [rangeOp(t.key("a"))] })],
  ["Txn on the branch that does not write", (t) => t.client.txn({ failure: [putOp(t.key("a"))] })],
  ["Compact", (t) => t.client.compact({ revision: t.base + 1n })],
  ["LeaseGrant", (t) => t.client.leaseGrant({ TTL: 60 })],
  ["LeaseTimeToLive", (t) => t.client.leaseTimeToLive({ ID: 1 })],
  ["LeaseLeases", (t) => t.client.leaseLeases()],
  ["Alarm", (t) => t.client.alarm()],
  ["Status", (t) => t.client.status()],
  ["Hash", (t) => t.client.hash()],
  ["HashKV", (t) => t.client.hashKv({})],
  ["HashKV at an older revision", (t) => t.client.hashKv({ revision: t.base + 2n })],
  ["AuthStatus", (t) => t.client.authStatus()],
  ["AuthDisable", (t) => t.client.authDisable()],
  ["UserList", (t) => t.client.userList()],
  ["RoleList", (t) => t.client.roleList()],
  ["Unlock without a key there", (t) => t.client.unlock({ key: t.key("none") })],
  ["LeaseRevoke of a lease without keys", async (t) => t.client.leaseRevoke({ ID: await t.grant() })],
];

/** Calls that write: their header has the revision they took. */
const own: readonly [string, Call][] = [
  ["Put", (t) => t.put("a")],
  ["DeleteRange", (t) => t.del("a")],
  ["Txn", (t) => t.client.txn({ success: [putOp(t.key("a")), putOp(t.key("b"))] })],
  ["LeaseRevoke of a lease with keys", (t) => t.client.leaseRevoke({ ID: 9001 })],
  ["Unlock", (t) => t.client.unlock({ key: t.key("a") })],
];

conformance("Headers", (test) => {
  for (const [name, call] of current) {
    test(`${name}: all four fields, the current revision`, async (t) => {
      await t.putAll("a", "b", "c");
      const { header } = await t.client.status();
      expect((await call(t)).header).toEqual({
        clusterId: header?.clusterId,
        memberId: header?.memberId,
        raftTerm: header?.raftTerm,
        revision: t.base + 3n,
      });
      expect(await t.revision()).toBe(t.base + 3n);
    });
  }

  for (const [name, call] of own) {
    test(`${name}: all four fields, its own revision`, async (t) => {
      await t.client.leaseGrant({ TTL: 60, ID: 9001 });
      t.cleanup(() => t.client.leaseRevoke({ ID: 9001 }).then(nothing, nothing));
      await t.put("a");
      await t.put("leased", "v", { lease: 9001 });
      const { header } = await t.client.status();
      expect((await call(t)).header).toEqual({
        clusterId: header?.clusterId,
        memberId: header?.memberId,
        raftTerm: header?.raftTerm,
        revision: t.base + 3n,
      });
    });
  }

  test("MemberList: no revision", async (t) => {
    await t.put("a");
    const { header } = await t.client.status();
    expect((await t.client.memberList()).header).toEqual({ ...header, revision: 0n });
  });

  test("Defragment and MoveLeader: no header", async (t) => {
    expect((await t.client.defragment()).header).toBeUndefined();
    const { leader } = await t.client.status();
    expect((await t.client.moveLeader({ targetID: leader })).header).toBeUndefined();
  });

  test("Watch: created, event, progress and canceled have all ids", async (t) => {
    const { header } = await t.client.status();
    const watch = t.watchStream();
    const created = await watch.create(t.everything);
    await t.put("a");
    const event = await watch.next();
    watch.requestProgress();
    const progress = await watch.next();
    watch.cancel(0n);
    const canceled = await watch.next();
    const revisions = [created, event, progress, canceled].map((message) => message.header?.revision);
    expect(revisions.map((revision) => t.since(revision))).toEqual([0, 1, 1, 1]);
    for (const message of [created, event, progress, canceled]) {
      expect({ ...message.header, revision: 0n }).toEqual({ ...header, revision: 0n });
    }
  });

  test("Lock and Campaign: all ids", async (t) => {
    const { header } = await t.client.status();
    const lock = await t.client.lock({ name: t.key("lock"), lease: await t.grant() });
    const campaign = await t.client.campaign({ name: t.key("e"), lease: await t.grant(), value: bytes("v") });
    for (const answer of [lock, campaign]) {
      expect({ ...answer.header, revision: 0n }).toEqual({ ...header, revision: 0n });
    }
  });

  test(
    "the revision of a fresh store is 1, the first write is 2, the term is 2",
    async (t) => {
      const { header } = await t.client.range({ key: bytes("a") });
      expect(header?.revision).toBe(1n);
      expect(header?.raftTerm).toBe(2n);
      expect((await t.client.put({ key: bytes("a") })).header?.revision).toBe(2n);
    },
    { fresh: true },
  );
});

function nothing(): void {
  // The case may have revoked the lease itself.
}
