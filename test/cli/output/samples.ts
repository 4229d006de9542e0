/** Responses to print: one of each kind, small and with every field that a format shows. */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import type { Result, ResultKind, ResultOf } from "../../../src/cli/output/results.js";

/** Ids beyond 2^53, so that a detour over `number` would show. */
export const header = {
  clusterId: 0x1234_5678_9abc_def1n,
  memberId: 0xcafe_f00d_0000_0003n,
  revision: 9n,
  raftTerm: 2n,
};
const headerWithoutRevision = { ...header, revision: 0n };

export function pair(key: string, value: string | Uint8Array, more: Partial<KeyValue> = {}): KeyValue {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  const revisions = { createRevision: 2n, modRevision: 4n, version: 3n, lease: 0n };
  return { key: Buffer.from(key), value: bytes, ...revisions, ...more };
}

const member = {
  ID: 0xcafe_f00d_0000_0003n,
  name: "m1",
  peerURLs: ["http://a:2380", "http://b:2380"],
  clientURLs: ["http://a:2379"],
  isLearner: false,
};
const unstarted = { ID: 0xabcn, name: "", peerURLs: ["http://c:2380"], clientURLs: [], isLearner: true };
const status = {
  header,
  version: "3.7.0",
  dbSize: 24_576n,
  leader: header.memberId,
  raftIndex: 13n,
  raftTerm: 2n,
  raftAppliedIndex: 12n,
  errors: [] as string[],
  dbSizeInUse: 16_384n,
  isLearner: false,
  storageVersion: "3.7.0",
  dbSizeQuota: 2_147_483_648n,
  downgradeInfo: { enabled: false, targetVersion: "" },
};
const lease = 0x694d_5765_fc71_500bn;

/** The samples by kind. */
export const samples: { readonly [Kind in ResultKind]: ResultOf<Kind> & Result } = {
  range: {
    kind: "range",
    response: {
      header,
      kvs: [pair("foo", "bar"), pair("k\n", Uint8Array.of(0, 0xff), { lease })],
      more: true,
      count: 5n,
    },
  },
  put: { kind: "put", response: { header, prevKv: pair("foo", "old") } },
  deleteRange: { kind: "deleteRange", response: { header, deleted: 1n, prevKvs: [pair("foo", "old")] } },
  txn: {
    kind: "txn",
    response: {
      header,
      succeeded: true,
      responses: [
        { response: { $case: "responsePut", value: { header: { ...zero(), revision: 9n }, prevKv: undefined } } },
        {
          response: {
            $case: "responseRange",
            value: { header: { ...zero(), revision: 9n }, kvs: [pair("k", "v")], more: false, count: 1n },
          },
        },
        { response: { $case: "responseDeleteRange", value: { header: undefined, deleted: 0n, prevKvs: [] } } },
      ],
    },
  },
  watch: {
    kind: "watch",
    response: {
      header,
      watchId: 3n,
      created: false,
      canceled: false,
      compactRevision: 0n,
      cancelReason: "",
      fragment: true,
      events: [
        { type: 0, kv: pair("foo", "new"), prevKv: pair("foo", "old") },
        { type: 1, kv: pair("foo", "", { createRevision: 0n, version: 0n, modRevision: 9n }), prevKv: undefined },
      ],
    },
  },
  leaseGrant: { kind: "leaseGrant", response: { header, ID: lease, TTL: 60n, error: "" } },
  leaseTimeToLive: {
    kind: "leaseTimeToLive",
    withKeys: true,
    response: { header, ID: lease, TTL: 57n, grantedTTL: 60n, keys: [Buffer.from("k1"), Buffer.from("k2")] },
  },
  leaseList: { kind: "leaseList", response: { header, leases: [{ ID: lease }, { ID: 1n }] } },
  leaseKeepAlive: { kind: "leaseKeepAlive", response: { header, ID: lease, TTL: 60n } },
  alarm: { kind: "alarm", response: { header, alarms: [{ memberID: 7n, alarm: 1 }] } },
  memberList: { kind: "memberList", response: { header: headerWithoutRevision, members: [member, unstarted] } },
  memberAdd: {
    kind: "memberAdd",
    name: 'm"2',
    response: { header: headerWithoutRevision, member: unstarted, members: [member, unstarted] },
  },
  memberChange: {
    kind: "memberChange",
    message: "Member changed",
    response: { header: headerWithoutRevision, members: [member] },
  },
  endpointHealth: {
    kind: "endpointHealth",
    endpoints: [
      { endpoint: "a:1", isHealthy: true, tookNs: 2_100_000n, error: "" },
      { endpoint: "b:2", isHealthy: false, tookNs: 2_000_000_000n, error: "context deadline exceeded" },
    ],
  },
  endpointStatus: { kind: "endpointStatus", endpoints: [{ endpoint: "a:1", status }] },
  endpointHash: {
    kind: "endpointHash",
    endpoints: [{ endpoint: "a:1", hash: { header, hash: 4_294_967_295, compactRevision: -1n, hashRevision: 9n } }],
  },
  snapshotStatus: {
    kind: "snapshotStatus",
    status: { hash: 4_294_967_295, revision: 2 ** 43, keys: 0, sizeBytes: 20_480, version: "3.7.0" },
  },
  hashKv: { kind: "hashKv", hash: { hash: 4_294_967_295, hashRevision: 9, compactRevision: -1 } },
  moveLeader: { kind: "moveLeader", response: { header: undefined }, message: "Leadership transferred from 1 to 2" },
  roleGet: {
    kind: "roleGet",
    role: "r",
    response: {
      header,
      perm: [
        { permType: 0, key: Buffer.from("p/"), rangeEnd: Buffer.from("p0") },
        { permType: 1, key: Buffer.from("k"), rangeEnd: new Uint8Array() },
        { permType: 2, key: Buffer.from("from"), rangeEnd: Uint8Array.of(0) },
      ],
    },
  },
  roleList: { kind: "roleList", response: { header, roles: ["r1", "r2"] } },
  userGet: { kind: "userGet", user: "u", response: { header, roles: ["r1", "r2"] } },
  userList: { kind: "userList", response: { header, users: ["u1", "u2"] } },
  authStatus: { kind: "authStatus", response: { header, enabled: true, authRevision: 4n } },
  downgrade: { kind: "downgrade", response: { header, version: "3.7" }, message: "Downgrade validate success" },
  change: { kind: "change", response: { header }, message: "Role r created" },
};

function zero() {
  return { clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n };
}
