/** Every RPC as data: its path, how its messages travel, and how it may be repeated. */
import * as election from "../../proto/gen/etcd/election.js";
import * as health from "../../proto/gen/etcd/health.js";
import * as lock from "../../proto/gen/etcd/lock.js";
import * as rpc from "../../proto/gen/etcd/rpc.js";
import type { Method } from "./transport.js";

interface Definition<Req, Res> {
  readonly path: string;
  readonly requestSerialize: (value: Req) => Uint8Array;
  readonly responseDeserialize: (bytes: Buffer) => Res;
}
interface RequestType<Req> {
  encode(request: Req): { finish(): Uint8Array };
  fromPartial(partial: unknown): Req;
}

function method<Req, Res>(
  definition: Definition<Req, Res>,
  request: unknown,
  kind: Method<Req, Res>["kind"],
): Method<Req, Res> {
  // The generated `fromPartial` has a type that only a literal can satisfy; the definition already ties Req to it.
  const type = request as RequestType<Req>;
  return {
    path: definition.path,
    encode: (value) => type.encode(value).finish(),
    decode: (bytes) => definition.responseDeserialize(bytes as Buffer),
    fromPartial: (partial) => type.fromPartial(partial),
    kind,
  };
}

const { KVService, LeaseService, ClusterService, MaintenanceService, AuthService, WatchService } = rpc;

export const kvMethods = {
  range: method(KVService.range, rpc.RangeRequest, "read"),
  put: method(KVService.put, rpc.PutRequest, "write"),
  deleteRange: method(KVService.deleteRange, rpc.DeleteRangeRequest, "write"),
  txn: method(KVService.txn, rpc.TxnRequest, "write"),
  compact: method(KVService.compact, rpc.CompactionRequest, "write"),
};

export const leaseMethods = {
  leaseGrant: method(LeaseService.leaseGrant, rpc.LeaseGrantRequest, "write"),
  leaseRevoke: method(LeaseService.leaseRevoke, rpc.LeaseRevokeRequest, "write"),
  leaseTimeToLive: method(LeaseService.leaseTimeToLive, rpc.LeaseTimeToLiveRequest, "read"),
  leaseLeases: method(LeaseService.leaseLeases, rpc.LeaseLeasesRequest, "read"),
};

export const clusterMethods = {
  memberAdd: method(ClusterService.memberAdd, rpc.MemberAddRequest, "write"),
  memberRemove: method(ClusterService.memberRemove, rpc.MemberRemoveRequest, "write"),
  memberUpdate: method(ClusterService.memberUpdate, rpc.MemberUpdateRequest, "write"),
  memberList: method(ClusterService.memberList, rpc.MemberListRequest, "read"),
  memberPromote: method(ClusterService.memberPromote, rpc.MemberPromoteRequest, "write"),
};

export const maintenanceMethods = {
  alarm: method(MaintenanceService.alarm, rpc.AlarmRequest, "write"),
  status: method(MaintenanceService.status, rpc.StatusRequest, "read"),
  defragment: method(MaintenanceService.defragment, rpc.DefragmentRequest, "local"),
  hash: method(MaintenanceService.hash, rpc.HashRequest, "read"),
  hashKv: method(MaintenanceService.hashKv, rpc.HashKVRequest, "read"),
  moveLeader: method(MaintenanceService.moveLeader, rpc.MoveLeaderRequest, "write"),
  downgrade: method(MaintenanceService.downgrade, rpc.DowngradeRequest, "write"),
};

export const authMethods = {
  authEnable: method(AuthService.authEnable, rpc.AuthEnableRequest, "write"),
  authDisable: method(AuthService.authDisable, rpc.AuthDisableRequest, "write"),
  authStatus: method(AuthService.authStatus, rpc.AuthStatusRequest, "read"),
  authenticate: method(AuthService.authenticate, rpc.AuthenticateRequest, "read"),
  userAdd: method(AuthService.userAdd, rpc.AuthUserAddRequest, "write"),
  userGet: method(AuthService.userGet, rpc.AuthUserGetRequest, "read"),
  userList: method(AuthService.userList, rpc.AuthUserListRequest, "read"),
  userDelete: method(AuthService.userDelete, rpc.AuthUserDeleteRequest, "write"),
  userChangePassword: method(AuthService.userChangePassword, rpc.AuthUserChangePasswordRequest, "write"),
  userGrantRole: method(AuthService.userGrantRole, rpc.AuthUserGrantRoleRequest, "write"),
  userRevokeRole: method(AuthService.userRevokeRole, rpc.AuthUserRevokeRoleRequest, "write"),
  roleAdd: method(AuthService.roleAdd, rpc.AuthRoleAddRequest, "write"),
  roleGet: method(AuthService.roleGet, rpc.AuthRoleGetRequest, "read"),
  roleList: method(AuthService.roleList, rpc.AuthRoleListRequest, "read"),
  roleDelete: method(AuthService.roleDelete, rpc.AuthRoleDeleteRequest, "write"),
  roleGrantPermission: method(AuthService.roleGrantPermission, rpc.AuthRoleGrantPermissionRequest, "write"),
  roleRevokePermission: method(AuthService.roleRevokePermission, rpc.AuthRoleRevokePermissionRequest, "write"),
};

export const lockMethods = {
  lock: method(lock.LockService.lock, lock.LockRequest, "write"),
  unlock: method(lock.LockService.unlock, lock.UnlockRequest, "write"),
};

export const electionMethods = {
  campaign: method(election.ElectionService.campaign, election.CampaignRequest, "write"),
  proclaim: method(election.ElectionService.proclaim, election.ProclaimRequest, "write"),
  leader: method(election.ElectionService.leader, election.LeaderRequest, "read"),
  resign: method(election.ElectionService.resign, election.ResignRequest, "write"),
};

export const healthMethods = {
  check: method(health.HealthService.check, health.HealthCheckRequest, "read"),
};

export const streamMethods = {
  watch: method(WatchService.watch, rpc.WatchRequest, "read"),
  leaseKeepAlive: method(LeaseService.leaseKeepAlive, rpc.LeaseKeepAliveRequest, "write"),
  rangeStream: method(KVService.rangeStream, rpc.RangeRequest, "read"),
  snapshot: method(MaintenanceService.snapshot, rpc.SnapshotRequest, "read"),
  observe: method(election.ElectionService.observe, election.LeaderRequest, "read"),
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
