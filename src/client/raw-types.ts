/**
 * The raw face: every RPC on etcd's own messages. Requests may be partial; what is left out is zero. Errors are
 * EtcdErrors whose `serverMessage` is the server's exact text.
 */
import type * as election from "../../proto/gen/etcd/election.js";
import type * as health from "../../proto/gen/etcd/health.js";
import type * as lock from "../../proto/gen/etcd/lock.js";
import type * as rpc from "../../proto/gen/etcd/rpc.js";
import type { CallOptions } from "./options.js";

interface UnaryDefinition<Req, Res> {
  readonly requestStream: false;
  readonly responseStream: false;
  readonly requestSerialize: (value: Req) => Uint8Array;
  readonly responseDeserialize: (value: never) => Res;
}
type RawUnary<D> = D extends {
  readonly requestSerialize: (value: infer Req) => Uint8Array;
  readonly responseDeserialize: (value: never) => infer Res;
}
  ? (request: rpc.DeepPartial<Req>, options?: CallOptions) => Promise<Res>
  : never;

/** Every unary RPC of a generated service, by its generated name. */
export type RawUnaries<S> = {
  readonly [K in keyof S as S[K] extends UnaryDefinition<infer _Req, infer _Res> ? K : never]: RawUnary<S[K]>;
};

/** What a raw watch takes besides its create request. */
export interface RawWatchOptions extends CallOptions {
  /** Give up when no server could be reached for so long; for ever if absent. */
  readonly maxDisconnectedMs?: number;
}

/**
 * The server's answers to one create request. It resumes by itself after a broken stream: nothing lost, nothing twice,
 * no second `created`; fragments arrive joined. It ends after a `canceled` answer and rejects when no server can help.
 * One reader.
 */
export interface RawWatch extends AsyncIterable<rpc.WatchResponse>, AsyncDisposable {
  /** Asks for a message without events that says how far the watch has come; it arrives among the others. */
  requestProgress(): void;
  close(): Promise<void>;
}

export interface RawKv extends RawUnaries<typeof rpc.KVService> {
  rangeStream(
    request: rpc.DeepPartial<rpc.RangeRequest>,
    options?: CallOptions,
  ): AsyncIterable<rpc.RangeStreamResponse>;
}
export interface RawLease extends RawUnaries<typeof rpc.LeaseService> {
  /**
   * Renews `id` at once and then at a third of its TTL, yielding every answer; ends after an answer with TTL 0 (the
   * lease is gone) and rejects when it could not be renewed in time.
   */
  keepAlive(id: bigint, options?: CallOptions): AsyncIterable<rpc.LeaseKeepAliveResponse>;
  /** One renewal. */
  keepAliveOnce(id: bigint, options?: CallOptions): Promise<rpc.LeaseKeepAliveResponse>;
}
export interface RawMaintenance extends RawUnaries<typeof rpc.MaintenanceService> {
  snapshot(request?: rpc.SnapshotRequest, options?: CallOptions): AsyncIterable<rpc.SnapshotResponse>;
}
export interface RawElection extends RawUnaries<typeof election.ElectionService> {
  observe(
    request: rpc.DeepPartial<election.LeaderRequest>,
    options?: CallOptions,
  ): AsyncIterable<election.LeaderResponse>;
}

export interface RawClient {
  readonly kv: RawKv;
  readonly lease: RawLease;
  readonly cluster: RawUnaries<typeof rpc.ClusterService>;
  readonly maintenance: RawMaintenance;
  readonly auth: RawUnaries<typeof rpc.AuthService>;
  readonly lock: RawUnaries<typeof lock.LockService>;
  readonly election: RawElection;
  readonly health: RawUnaries<typeof health.HealthService>;
  watch(request: rpc.DeepPartial<rpc.WatchCreateRequest>, options?: RawWatchOptions): RawWatch;
}
