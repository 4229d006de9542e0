/**
 * A thin etcd client for tests: the generated messages over grpc-js, a promise for each unary call and a reader for
 * each stream. It shares nothing with the SDK, so what it finds is the server's doing.
 */

import { type CallOptions, Client, credentials, Metadata } from "@grpc/grpc-js";
import * as election from "../../proto/gen/etcd/election.js";
import * as health from "../../proto/gen/etcd/health.js";
import * as lock from "../../proto/gen/etcd/lock.js";
import * as rpc from "../../proto/gen/etcd/rpc.js";
import { methodsOf } from "../../proto/methods.js";
import { StreamReader } from "./stream-reader.js";

const DEADLINE_MS = 15_000;

/** A generated method description, as much of it as a call needs. */
export interface Method<Req, Res> {
  readonly path: string;
  readonly requestType: MessageType<Req>;
  readonly responseType: MessageType<Res>;
}

interface MessageType<Value> {
  encode(message: Value): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Value;
}

interface Message<Req> {
  fromPartial(object: never): Req;
}

/** What a caller may add to one call. */
export interface CallExtras {
  readonly metadata?: Readonly<Record<string, string>>;
  /** Client-side deadline in milliseconds. */
  readonly timeoutMs?: number;
}

type Partial<Req> = rpc.DeepPartial<Req>;
type Unary<Req, Res> = (request?: Partial<Req>, extras?: CallExtras) => Promise<Res>;
type Reading<Req, Res> = (request?: Partial<Req>, extras?: CallExtras) => StreamReader<Res>;

/** A stream in both directions: `send` takes a partial message. */
export class DuplexReader<Req, Res> extends StreamReader<Res> {
  readonly #send: (request: Partial<Req>) => void;
  readonly #halfClose: () => void;

  constructor(
    call: ConstructorParameters<typeof StreamReader<Res>>[0],
    { send, halfClose }: { send: (request: Partial<Req>) => void; halfClose: () => void },
  ) {
    super(call);
    this.#send = send;
    this.#halfClose = halfClose;
  }

  send(request: Partial<Req>): void {
    this.#send(request);
  }

  /** Says that no more requests follow. */
  halfClose(): void {
    this.#halfClose();
  }
}

export type WatchStream = DuplexReader<rpc.WatchRequest, rpc.WatchResponse>;
export type KeepAliveStream = DuplexReader<rpc.LeaseKeepAliveRequest, rpc.LeaseKeepAliveResponse>;

/** One connection and the calls over it. Whoever makes it closes it. */
export class Channel {
  readonly #client: Client;

  constructor(endpoint: string) {
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
  }

  close(): void {
    this.#client.close();
  }

  /** Rejects with the ServiceError of grpc-js (code, details, metadata). */
  call<Req, Res>(method: Method<Req, Res>, request: Req, extras: CallExtras = {}): Promise<Res> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest<Req, Res>(
        method.path,
        (value) => Buffer.from(method.requestType.encode(value).finish()),
        (bytes) => method.responseType.decode(bytes),
        request,
        metadataOf(extras),
        optionsOf(extras),
        (error, response) => {
          if (error !== null) reject(error);
          else if (response === undefined) reject(new Error("neither an error nor a response"));
          else resolve(response);
        },
      );
    });
  }

  /** Sends raw bytes as the request message and gives back the raw response message. */
  callRaw(path: string, request: Uint8Array): Promise<Buffer> {
    return this.call<Uint8Array, Buffer>({ path, requestType: asItIs, responseType: asItIs }, request);
  }

  read<Req, Res>(method: Method<Req, Res>, request: Req, extras: CallExtras = {}): StreamReader<Res> {
    const call = this.#client.makeServerStreamRequest<Req, Res>(
      method.path,
      (value) => Buffer.from(method.requestType.encode(value).finish()),
      (bytes) => method.responseType.decode(bytes),
      request,
      metadataOf(extras),
      extras.timeoutMs === undefined ? {} : optionsOf(extras),
    );
    return new StreamReader(call);
  }

  duplex<Req, Res>(method: Method<Req, Res>, message: Message<Req>, extras: CallExtras = {}): DuplexReader<Req, Res> {
    const call = this.#client.makeBidiStreamRequest<Req, Res>(
      method.path,
      (value) => Buffer.from(method.requestType.encode(value).finish()),
      (bytes) => method.responseType.decode(bytes),
      metadataOf(extras),
      extras.timeoutMs === undefined ? {} : optionsOf(extras),
    );
    return new DuplexReader(call, {
      send: (request) => void call.write(message.fromPartial(request as never)),
      halfClose: () => void call.end(),
    });
  }

  /** A function that calls `method` with a partial message. */
  unary<Req, Res>(method: Method<Req, Res>, message: Message<Req>): Unary<Req, Res> {
    return (request = {} as Partial<Req>, extras = {}) =>
      this.call(method, message.fromPartial(request as never), extras);
  }

  reading<Req, Res>(method: Method<Req, Res>, message: Message<Req>): Reading<Req, Res> {
    return (request = {} as Partial<Req>, extras = {}) =>
      this.read(method, message.fromPartial(request as never), extras);
  }
}

/** A message that is its own bytes. */
const asItIs = {
  encode: (message: Uint8Array) => ({ finish: () => message }),
  decode: (bytes: Uint8Array) => Buffer.from(bytes),
};

function metadataOf({ metadata = {} }: CallExtras): Metadata {
  const result = new Metadata();
  for (const [key, value] of Object.entries(metadata)) result.set(key, value);
  return result;
}

function optionsOf({ timeoutMs = DEADLINE_MS }: CallExtras): CallOptions {
  return { deadline: Date.now() + timeoutMs };
}

export type RawClient = ReturnType<typeof rawClient>;

/** Every etcd service over one connection to `endpoint` ("host:port"). The caller closes it. */
export function rawClient(endpoint: string) {
  const channel = new Channel(endpoint);
  return {
    channel,
    close: () => channel.close(),
    ...kvAndWatch(channel),
    ...leases(channel),
    ...members(channel),
    ...maintenance(channel),
    ...auth(channel),
    ...helpers(channel),
  };
}

function kvAndWatch(channel: Channel) {
  return {
    range: channel.unary(methodsOf(rpc.KVDefinition).range, rpc.RangeRequest),
    rangeStream: channel.reading(methodsOf(rpc.KVDefinition).rangeStream, rpc.RangeRequest),
    put: channel.unary(methodsOf(rpc.KVDefinition).put, rpc.PutRequest),
    deleteRange: channel.unary(methodsOf(rpc.KVDefinition).deleteRange, rpc.DeleteRangeRequest),
    txn: channel.unary(methodsOf(rpc.KVDefinition).txn, rpc.TxnRequest),
    compact: channel.unary(methodsOf(rpc.KVDefinition).compact, rpc.CompactionRequest),
    watch: (extras: CallExtras = {}): WatchStream =>
      channel.duplex(methodsOf(rpc.WatchDefinition).watch, rpc.WatchRequest, extras),
  };
}

function leases(channel: Channel) {
  const service = methodsOf(rpc.LeaseDefinition);
  return {
    leaseGrant: channel.unary(service.leaseGrant, rpc.LeaseGrantRequest),
    leaseRevoke: channel.unary(service.leaseRevoke, rpc.LeaseRevokeRequest),
    leaseTimeToLive: channel.unary(service.leaseTimeToLive, rpc.LeaseTimeToLiveRequest),
    leaseLeases: channel.unary(service.leaseLeases, rpc.LeaseLeasesRequest),
    leaseKeepAlive: (extras: CallExtras = {}): KeepAliveStream =>
      channel.duplex(service.leaseKeepAlive, rpc.LeaseKeepAliveRequest, extras),
  };
}

function members(channel: Channel) {
  const service = methodsOf(rpc.ClusterDefinition);
  return {
    memberAdd: channel.unary(service.memberAdd, rpc.MemberAddRequest),
    memberRemove: channel.unary(service.memberRemove, rpc.MemberRemoveRequest),
    memberUpdate: channel.unary(service.memberUpdate, rpc.MemberUpdateRequest),
    memberList: channel.unary(service.memberList, rpc.MemberListRequest),
    memberPromote: channel.unary(service.memberPromote, rpc.MemberPromoteRequest),
  };
}

function maintenance(channel: Channel) {
  const service = methodsOf(rpc.MaintenanceDefinition);
  return {
    alarm: channel.unary(service.alarm, rpc.AlarmRequest),
    status: channel.unary(service.status, rpc.StatusRequest),
    defragment: channel.unary(service.defragment, rpc.DefragmentRequest),
    hash: channel.unary(service.hash, rpc.HashRequest),
    hashKv: channel.unary(service.hashKV, rpc.HashKVRequest),
    snapshot: channel.reading(service.snapshot, rpc.SnapshotRequest),
    moveLeader: channel.unary(service.moveLeader, rpc.MoveLeaderRequest),
    downgrade: channel.unary(service.downgrade, rpc.DowngradeRequest),
  };
}

function auth(channel: Channel) {
  const service = methodsOf(rpc.AuthDefinition);
  return {
    authEnable: channel.unary(service.authEnable, rpc.AuthEnableRequest),
    authDisable: channel.unary(service.authDisable, rpc.AuthDisableRequest),
    authStatus: channel.unary(service.authStatus, rpc.AuthStatusRequest),
    authenticate: channel.unary(service.authenticate, rpc.AuthenticateRequest),
    userAdd: channel.unary(service.userAdd, rpc.AuthUserAddRequest),
    userGet: channel.unary(service.userGet, rpc.AuthUserGetRequest),
    userList: channel.unary(service.userList, rpc.AuthUserListRequest),
    userDelete: channel.unary(service.userDelete, rpc.AuthUserDeleteRequest),
    userChangePassword: channel.unary(service.userChangePassword, rpc.AuthUserChangePasswordRequest),
    userGrantRole: channel.unary(service.userGrantRole, rpc.AuthUserGrantRoleRequest),
    userRevokeRole: channel.unary(service.userRevokeRole, rpc.AuthUserRevokeRoleRequest),
    roleAdd: channel.unary(service.roleAdd, rpc.AuthRoleAddRequest),
    roleGet: channel.unary(service.roleGet, rpc.AuthRoleGetRequest),
    roleList: channel.unary(service.roleList, rpc.AuthRoleListRequest),
    roleDelete: channel.unary(service.roleDelete, rpc.AuthRoleDeleteRequest),
    roleGrantPermission: channel.unary(service.roleGrantPermission, rpc.AuthRoleGrantPermissionRequest),
    roleRevokePermission: channel.unary(service.roleRevokePermission, rpc.AuthRoleRevokePermissionRequest),
  };
}

function helpers(channel: Channel) {
  return {
    lock: channel.unary(methodsOf(lock.LockDefinition).lock, lock.LockRequest),
    unlock: channel.unary(methodsOf(lock.LockDefinition).unlock, lock.UnlockRequest),
    campaign: channel.unary(methodsOf(election.ElectionDefinition).campaign, election.CampaignRequest),
    proclaim: channel.unary(methodsOf(election.ElectionDefinition).proclaim, election.ProclaimRequest),
    leader: channel.unary(methodsOf(election.ElectionDefinition).leader, election.LeaderRequest),
    observe: channel.reading(methodsOf(election.ElectionDefinition).observe, election.LeaderRequest),
    resign: channel.unary(methodsOf(election.ElectionDefinition).resign, election.ResignRequest),
    healthCheck: channel.unary(methodsOf(health.HealthDefinition).check, health.HealthCheckRequest),
    healthWatch: channel.reading(methodsOf(health.HealthDefinition).watch, health.HealthCheckRequest),
  };
}
