/**
 * The shape of every handler: a plain function of a request and its context. No gRPC type appears here, so that
 * gRPC and the HTTP gateway are two skins over the same functions.
 */

import type * as election from "../../../proto/gen/etcd/election.js";
import type * as health from "../../../proto/gen/etcd/health.js";
import type * as lock from "../../../proto/gen/etcd/lock.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";

/** What a handler may know of its caller. */
export interface CallContext {
  /** Lower-case keys; values as sent. */
  readonly metadata: ReadonlyMap<string, readonly string[]>;
  /** Aborts when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
  readonly remote: string;
  /** Common name of the verified client certificate, if the listener asked for one. */
  readonly certificateName: string | undefined;
}

/** Rejects with a WireError (proto/status.ts); any other rejection is a bug and travels as UNKNOWN. */
export type Unary<Req, Res> = (request: Req, context: CallContext) => Promise<Res>;
export type ServerStream<Req, Res> = (request: Req, context: CallContext) => AsyncIterable<Res>;
export type Duplex<Req, Res> = (requests: AsyncIterable<Req>, context: CallContext) => AsyncIterable<Res>;

export interface KvHandlers {
  range: Unary<rpc.RangeRequest, rpc.RangeResponse>;
  rangeStream: ServerStream<rpc.RangeRequest, rpc.RangeStreamResponse>;
  put: Unary<rpc.PutRequest, rpc.PutResponse>;
  deleteRange: Unary<rpc.DeleteRangeRequest, rpc.DeleteRangeResponse>;
  txn: Unary<rpc.TxnRequest, rpc.TxnResponse>;
  compact: Unary<rpc.CompactionRequest, rpc.CompactionResponse>;
}

export interface WatchHandlers {
  watch: Duplex<rpc.WatchRequest, rpc.WatchResponse>;
}

export interface LeaseHandlers {
  leaseGrant: Unary<rpc.LeaseGrantRequest, rpc.LeaseGrantResponse>;
  leaseRevoke: Unary<rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse>;
  leaseKeepAlive: Duplex<rpc.LeaseKeepAliveRequest, rpc.LeaseKeepAliveResponse>;
  leaseTimeToLive: Unary<rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse>;
  leaseLeases: Unary<rpc.LeaseLeasesRequest, rpc.LeaseLeasesResponse>;
}

export interface ClusterHandlers {
  memberAdd: Unary<rpc.MemberAddRequest, rpc.MemberAddResponse>;
  memberRemove: Unary<rpc.MemberRemoveRequest, rpc.MemberRemoveResponse>;
  memberUpdate: Unary<rpc.MemberUpdateRequest, rpc.MemberUpdateResponse>;
  memberList: Unary<rpc.MemberListRequest, rpc.MemberListResponse>;
  memberPromote: Unary<rpc.MemberPromoteRequest, rpc.MemberPromoteResponse>;
}

export interface MaintenanceHandlers {
  alarm: Unary<rpc.AlarmRequest, rpc.AlarmResponse>;
  status: Unary<rpc.StatusRequest, rpc.StatusResponse>;
  defragment: Unary<rpc.DefragmentRequest, rpc.DefragmentResponse>;
  hash: Unary<rpc.HashRequest, rpc.HashResponse>;
  hashKv: Unary<rpc.HashKVRequest, rpc.HashKVResponse>;
  snapshot: ServerStream<rpc.SnapshotRequest, rpc.SnapshotResponse>;
  moveLeader: Unary<rpc.MoveLeaderRequest, rpc.MoveLeaderResponse>;
  downgrade: Unary<rpc.DowngradeRequest, rpc.DowngradeResponse>;
}

export interface AuthHandlers {
  authEnable: Unary<rpc.AuthEnableRequest, rpc.AuthEnableResponse>;
  authDisable: Unary<rpc.AuthDisableRequest, rpc.AuthDisableResponse>;
  authStatus: Unary<rpc.AuthStatusRequest, rpc.AuthStatusResponse>;
  authenticate: Unary<rpc.AuthenticateRequest, rpc.AuthenticateResponse>;
  userAdd: Unary<rpc.AuthUserAddRequest, rpc.AuthUserAddResponse>;
  userGet: Unary<rpc.AuthUserGetRequest, rpc.AuthUserGetResponse>;
  userList: Unary<rpc.AuthUserListRequest, rpc.AuthUserListResponse>;
  userDelete: Unary<rpc.AuthUserDeleteRequest, rpc.AuthUserDeleteResponse>;
  userChangePassword: Unary<rpc.AuthUserChangePasswordRequest, rpc.AuthUserChangePasswordResponse>;
  userGrantRole: Unary<rpc.AuthUserGrantRoleRequest, rpc.AuthUserGrantRoleResponse>;
  userRevokeRole: Unary<rpc.AuthUserRevokeRoleRequest, rpc.AuthUserRevokeRoleResponse>;
  roleAdd: Unary<rpc.AuthRoleAddRequest, rpc.AuthRoleAddResponse>;
  roleGet: Unary<rpc.AuthRoleGetRequest, rpc.AuthRoleGetResponse>;
  roleList: Unary<rpc.AuthRoleListRequest, rpc.AuthRoleListResponse>;
  roleDelete: Unary<rpc.AuthRoleDeleteRequest, rpc.AuthRoleDeleteResponse>;
  roleGrantPermission: Unary<rpc.AuthRoleGrantPermissionRequest, rpc.AuthRoleGrantPermissionResponse>;
  roleRevokePermission: Unary<rpc.AuthRoleRevokePermissionRequest, rpc.AuthRoleRevokePermissionResponse>;
}

export interface LockHandlers {
  lock: Unary<lock.LockRequest, lock.LockResponse>;
  unlock: Unary<lock.UnlockRequest, lock.UnlockResponse>;
}

export interface ElectionHandlers {
  campaign: Unary<election.CampaignRequest, election.CampaignResponse>;
  proclaim: Unary<election.ProclaimRequest, election.ProclaimResponse>;
  leader: Unary<election.LeaderRequest, election.LeaderResponse>;
  observe: ServerStream<election.LeaderRequest, election.LeaderResponse>;
  resign: Unary<election.ResignRequest, election.ResignResponse>;
}

export interface HealthHandlers {
  check: Unary<health.HealthCheckRequest, health.HealthCheckResponse>;
  watch: ServerStream<health.HealthCheckRequest, health.HealthCheckResponse>;
}

/** Every service the server offers; `rpc/` and `http/` are built from this and nothing else. */
export interface Services {
  readonly kv: KvHandlers;
  readonly watch: WatchHandlers;
  readonly lease: LeaseHandlers;
  readonly cluster: ClusterHandlers;
  readonly maintenance: MaintenanceHandlers;
  readonly auth: AuthHandlers;
  readonly lock: LockHandlers;
  readonly election: ElectionHandlers;
  readonly health: HealthHandlers;
}

/** Limits that the api rooms enforce; each comes from a flag of spec/server.md 13.2. */
export interface ApiLimits {
  readonly requestBytesMax: number;
  readonly txnOpsMax: number;
  readonly quotaBackendBytes: number;
}
