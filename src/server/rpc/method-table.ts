/** Every method that the server offers over gRPC, by path. */

import * as election from "../../../proto/gen/etcd/election.js";
import * as health from "../../../proto/gen/etcd/health.js";
import * as lock from "../../../proto/gen/etcd/lock.js";
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Services } from "../api/types.js";
import { duplex, type Method, serverStream, unary } from "./method.js";

export function methodTable(services: Services): ReadonlyMap<string, Method> {
  const methods = [
    ...kvMethods(services),
    ...watchAndLeaseMethods(services),
    ...clusterMethods(services),
    ...maintenanceMethods(services),
    ...authMethods(services),
    ...userMethods(services),
    ...roleMethods(services),
    ...concurrencyMethods(services),
    ...healthMethods(services),
  ];
  return new Map(methods.map((method) => [method.path, method]));
}

function kvMethods({ kv }: Services): readonly Method[] {
  const path = "/etcdserverpb.KV";
  return [
    unary(`${path}/Range`, [rpc.RangeRequest, rpc.RangeResponse], kv.range),
    serverStream(`${path}/RangeStream`, [rpc.RangeRequest, rpc.RangeStreamResponse], kv.rangeStream),
    unary(`${path}/Put`, [rpc.PutRequest, rpc.PutResponse], kv.put),
    unary(`${path}/DeleteRange`, [rpc.DeleteRangeRequest, rpc.DeleteRangeResponse], kv.deleteRange),
    unary(`${path}/Txn`, [rpc.TxnRequest, rpc.TxnResponse], kv.txn),
    unary(`${path}/Compact`, [rpc.CompactionRequest, rpc.CompactionResponse], kv.compact),
  ];
}

function watchAndLeaseMethods({ watch, lease }: Services): readonly Method[] {
  const path = "/etcdserverpb.Lease";
  return [
    duplex("/etcdserverpb.Watch/Watch", [rpc.WatchRequest, rpc.WatchResponse], watch.watch),
    unary(`${path}/LeaseGrant`, [rpc.LeaseGrantRequest, rpc.LeaseGrantResponse], lease.leaseGrant),
    unary(`${path}/LeaseRevoke`, [rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse], lease.leaseRevoke),
    duplex(`${path}/LeaseKeepAlive`, [rpc.LeaseKeepAliveRequest, rpc.LeaseKeepAliveResponse], lease.leaseKeepAlive),
    unary(`${path}/LeaseTimeToLive`, [rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse], lease.leaseTimeToLive),
    unary(`${path}/LeaseLeases`, [rpc.LeaseLeasesRequest, rpc.LeaseLeasesResponse], lease.leaseLeases),
  ];
}

function clusterMethods({ cluster }: Services): readonly Method[] {
  const path = "/etcdserverpb.Cluster";
  return [
    unary(`${path}/MemberAdd`, [rpc.MemberAddRequest, rpc.MemberAddResponse], cluster.memberAdd),
    unary(`${path}/MemberRemove`, [rpc.MemberRemoveRequest, rpc.MemberRemoveResponse], cluster.memberRemove),
    unary(`${path}/MemberUpdate`, [rpc.MemberUpdateRequest, rpc.MemberUpdateResponse], cluster.memberUpdate),
    unary(`${path}/MemberList`, [rpc.MemberListRequest, rpc.MemberListResponse], cluster.memberList),
    unary(`${path}/MemberPromote`, [rpc.MemberPromoteRequest, rpc.MemberPromoteResponse], cluster.memberPromote),
  ];
}

function maintenanceMethods({ maintenance }: Services): readonly Method[] {
  const path = "/etcdserverpb.Maintenance";
  return [
    unary(`${path}/Alarm`, [rpc.AlarmRequest, rpc.AlarmResponse], maintenance.alarm),
    unary(`${path}/Status`, [rpc.StatusRequest, rpc.StatusResponse], maintenance.status),
    unary(`${path}/Defragment`, [rpc.DefragmentRequest, rpc.DefragmentResponse], maintenance.defragment),
    unary(`${path}/Hash`, [rpc.HashRequest, rpc.HashResponse], maintenance.hash),
    unary(`${path}/HashKV`, [rpc.HashKVRequest, rpc.HashKVResponse], maintenance.hashKv),
    serverStream(`${path}/Snapshot`, [rpc.SnapshotRequest, rpc.SnapshotResponse], maintenance.snapshot),
    unary(`${path}/MoveLeader`, [rpc.MoveLeaderRequest, rpc.MoveLeaderResponse], maintenance.moveLeader),
    unary(`${path}/Downgrade`, [rpc.DowngradeRequest, rpc.DowngradeResponse], maintenance.downgrade),
  ];
}

const authPath = "/etcdserverpb.Auth";

function authMethods({ auth }: Services): readonly Method[] {
  return [
    unary(`${authPath}/AuthEnable`, [rpc.AuthEnableRequest, rpc.AuthEnableResponse], auth.authEnable),
    unary(`${authPath}/AuthDisable`, [rpc.AuthDisableRequest, rpc.AuthDisableResponse], auth.authDisable),
    unary(`${authPath}/AuthStatus`, [rpc.AuthStatusRequest, rpc.AuthStatusResponse], auth.authStatus),
    unary(`${authPath}/Authenticate`, [rpc.AuthenticateRequest, rpc.AuthenticateResponse], auth.authenticate),
  ];
}

function userMethods({ auth }: Services): readonly Method[] {
  return [
    unary(`${authPath}/UserAdd`, [rpc.AuthUserAddRequest, rpc.AuthUserAddResponse], auth.userAdd),
    unary(`${authPath}/UserGet`, [rpc.AuthUserGetRequest, rpc.AuthUserGetResponse], auth.userGet),
    unary(`${authPath}/UserList`, [rpc.AuthUserListRequest, rpc.AuthUserListResponse], auth.userList),
    unary(`${authPath}/UserDelete`, [rpc.AuthUserDeleteRequest, rpc.AuthUserDeleteResponse], auth.userDelete),
    unary(
      `${authPath}/UserChangePassword`,
      [rpc.AuthUserChangePasswordRequest, rpc.AuthUserChangePasswordResponse],
      auth.userChangePassword,
    ),
    unary(
      `${authPath}/UserGrantRole`,
      [rpc.AuthUserGrantRoleRequest, rpc.AuthUserGrantRoleResponse],
      auth.userGrantRole,
    ),
    unary(
      `${authPath}/UserRevokeRole`,
      [rpc.AuthUserRevokeRoleRequest, rpc.AuthUserRevokeRoleResponse],
      auth.userRevokeRole,
    ),
  ];
}

function roleMethods({ auth }: Services): readonly Method[] {
  return [
    unary(`${authPath}/RoleAdd`, [rpc.AuthRoleAddRequest, rpc.AuthRoleAddResponse], auth.roleAdd),
    unary(`${authPath}/RoleGet`, [rpc.AuthRoleGetRequest, rpc.AuthRoleGetResponse], auth.roleGet),
    unary(`${authPath}/RoleList`, [rpc.AuthRoleListRequest, rpc.AuthRoleListResponse], auth.roleList),
    unary(`${authPath}/RoleDelete`, [rpc.AuthRoleDeleteRequest, rpc.AuthRoleDeleteResponse], auth.roleDelete),
    unary(
      `${authPath}/RoleGrantPermission`,
      [rpc.AuthRoleGrantPermissionRequest, rpc.AuthRoleGrantPermissionResponse],
      auth.roleGrantPermission,
    ),
    unary(
      `${authPath}/RoleRevokePermission`,
      [rpc.AuthRoleRevokePermissionRequest, rpc.AuthRoleRevokePermissionResponse],
      auth.roleRevokePermission,
    ),
  ];
}

function concurrencyMethods({ lock: locks, election: elections }: Services): readonly Method[] {
  const path = "/v3electionpb.Election";
  return [
    unary("/v3lockpb.Lock/Lock", [lock.LockRequest, lock.LockResponse], locks.lock),
    unary("/v3lockpb.Lock/Unlock", [lock.UnlockRequest, lock.UnlockResponse], locks.unlock),
    unary(`${path}/Campaign`, [election.CampaignRequest, election.CampaignResponse], elections.campaign),
    unary(`${path}/Proclaim`, [election.ProclaimRequest, election.ProclaimResponse], elections.proclaim),
    unary(`${path}/Leader`, [election.LeaderRequest, election.LeaderResponse], elections.leader),
    serverStream(`${path}/Observe`, [election.LeaderRequest, election.LeaderResponse], elections.observe),
    unary(`${path}/Resign`, [election.ResignRequest, election.ResignResponse], elections.resign),
  ];
}

function healthMethods({ health: checks }: Services): readonly Method[] {
  const path = "/grpc.health.v1.Health";
  return [
    unary(`${path}/Check`, [health.HealthCheckRequest, health.HealthCheckResponse], checks.check),
    serverStream(`${path}/Watch`, [health.HealthCheckRequest, health.HealthCheckResponse], checks.watch),
  ];
}
