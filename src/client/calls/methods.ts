/** Every RPC as data: its path, how its messages travel, and how it may be repeated. */
import * as election from "../../../proto/gen/etcd/election.js";
import * as health from "../../../proto/gen/etcd/health.js";
import * as lock from "../../../proto/gen/etcd/lock.js";
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { methodsOf } from "../../../proto/methods.js";
import type { Method, MethodFacts } from "../connection/transport.js";

interface MessageType<Message> {
  encode(message: Message): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
}
interface Definition<Req, Res> {
  readonly path: string;
  readonly requestType: MessageType<Req>;
  readonly responseType: MessageType<Res>;
}
interface FromPartial<Req> {
  fromPartial(partial: unknown): Req;
}

function method<Req, Res>(
  definition: Definition<Req, Res>,
  kind: MethodFacts["kind"],
  leader: MethodFacts["leader"] = kind === "write" ? "serves" : kind === "read" ? "known" : "irrelevant",
): Method<Req, Res> {
  const { path, requestType, responseType } = definition;
  // The generated `fromPartial` has a type that only a literal can satisfy.
  const partial = requestType as unknown as FromPartial<Req>;
  return {
    path,
    encode: (value) => requestType.encode(value).finish(),
    decode: (bytes) => responseType.decode(bytes),
    fromPartial: (value) => partial.fromPartial(value),
    kind,
    leader,
  };
}

const kv = methodsOf(rpc.KVDefinition);
const lease = methodsOf(rpc.LeaseDefinition);
const cluster = methodsOf(rpc.ClusterDefinition);
const maintenance = methodsOf(rpc.MaintenanceDefinition);
const auth = methodsOf(rpc.AuthDefinition);
const locks = methodsOf(lock.LockDefinition);
const elections = methodsOf(election.ElectionDefinition);

export const kvMethods = {
  range: method(kv.range, "read"),
  put: method(kv.put, "write"),
  deleteRange: method(kv.deleteRange, "write"),
  txn: method(kv.txn, "write"),
  compact: method(kv.compact, "write"),
};

export const leaseMethods = {
  leaseGrant: method(lease.leaseGrant, "write"),
  leaseRevoke: method(lease.leaseRevoke, "write"),
  // Followers pass it on.
  leaseTimeToLive: method(lease.leaseTimeToLive, "read", "serves"),
  leaseLeases: method(lease.leaseLeases, "read"),
};

export const clusterMethods = {
  memberAdd: method(cluster.memberAdd, "write"),
  memberRemove: method(cluster.memberRemove, "write"),
  memberUpdate: method(cluster.memberUpdate, "write"),
  memberList: method(cluster.memberList, "read"),
  memberPromote: method(cluster.memberPromote, "write"),
};

export const maintenanceMethods = {
  alarm: method(maintenance.alarm, "write"),
  status: method(maintenance.status, "read", "irrelevant"),
  defragment: method(maintenance.defragment, "local"),
  hash: method(maintenance.hash, "read", "irrelevant"),
  hashKV: method(maintenance.hashKV, "read", "irrelevant"),
  moveLeader: method(maintenance.moveLeader, "write"),
  downgrade: method(maintenance.downgrade, "write"),
};

export const authMethods = {
  authEnable: method(auth.authEnable, "write"),
  authDisable: method(auth.authDisable, "write"),
  authStatus: method(auth.authStatus, "read"),
  authenticate: method(auth.authenticate, "read"),
  userAdd: method(auth.userAdd, "write"),
  userGet: method(auth.userGet, "read"),
  userList: method(auth.userList, "read"),
  userDelete: method(auth.userDelete, "write"),
  userChangePassword: method(auth.userChangePassword, "write"),
  userGrantRole: method(auth.userGrantRole, "write"),
  userRevokeRole: method(auth.userRevokeRole, "write"),
  roleAdd: method(auth.roleAdd, "write"),
  roleGet: method(auth.roleGet, "read"),
  roleList: method(auth.roleList, "read"),
  roleDelete: method(auth.roleDelete, "write"),
  roleGrantPermission: method(auth.roleGrantPermission, "write"),
  roleRevokePermission: method(auth.roleRevokePermission, "write"),
};

export const lockMethods = {
  lock: method(locks.lock, "write"),
  unlock: method(locks.unlock, "write"),
};

export const electionMethods = {
  campaign: method(elections.campaign, "write"),
  proclaim: method(elections.proclaim, "write"),
  leader: method(elections.leader, "read"),
  resign: method(elections.resign, "write"),
};

export const healthMethods = {
  check: method(methodsOf(health.HealthDefinition).check, "read", "irrelevant"),
};

export const streamMethods = {
  watch: method(methodsOf(rpc.WatchDefinition).watch, "read"),
  leaseKeepAlive: method(lease.leaseKeepAlive, "write"),
  rangeStream: method(kv.rangeStream, "read"),
  snapshot: method(maintenance.snapshot, "read", "irrelevant"),
  observe: method(elections.observe, "read"),
  healthWatch: method(methodsOf(health.HealthDefinition).watch, "read", "irrelevant"),
};

/** RPCs that take as long as others let them, so no default deadline applies. */
const patientPaths = new Set([
  lockMethods.lock.path,
  electionMethods.campaign.path,
  maintenanceMethods.defragment.path,
]);

export function waitsWithoutLimit(path: string): boolean {
  return patientPaths.has(path);
}

/**
 * What a request makes of its method: a transaction that changes nothing is a read, as is a look at the alarms; a
 * serializable read is the member's own affair.
 */
export function factsOf<Req, Res>(called: Method<Req, Res>, message: Req): MethodFacts {
  switch (called.path) {
    case kvMethods.range.path:
    case streamMethods.rangeStream.path:
      return (message as rpc.RangeRequest).serializable ? factsOfSerializable(called.path) : called;
    case kvMethods.txn.path:
      return changes(message as rpc.TxnRequest) ? called : readTxn;
    case clusterMethods.memberList.path:
      return (message as rpc.MemberListRequest).linearizable ? called : factsOfSerializable(called.path);
    case maintenanceMethods.alarm.path:
      return (message as rpc.AlarmRequest).action === rpc.AlarmRequest_AlarmAction.GET ? readAlarms : called;
  }
  return called;
}

const readTxn: MethodFacts = { path: kvMethods.txn.path, kind: "read", leader: "known" };
const readAlarms: MethodFacts = { path: maintenanceMethods.alarm.path, kind: "read", leader: "known" };

export const serializableRange: MethodFacts = { path: kvMethods.range.path, kind: "read", leader: "irrelevant" };

function factsOfSerializable(path: string): MethodFacts {
  return path === serializableRange.path ? serializableRange : { path, kind: "read", leader: "irrelevant" };
}

/** Whether any branch, of any depth, puts or deletes. */
function changes({ success, failure }: rpc.TxnRequest): boolean {
  return success.some(writes) || failure.some(writes);
}

function writes({ request }: rpc.RequestOp): boolean {
  switch (request?.$case) {
    case undefined:
    case "requestRange":
      return false;
    case "requestTxn":
      return changes(request.value);
    case "requestPut":
    case "requestDeleteRange":
      return true;
  }
}
