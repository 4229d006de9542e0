/**
 * The raw face: every RPC on etcd's own messages. Requests may be partial; what is left out is zero. Errors are
 * EtcdErrors whose `serverMessage` is the server's exact text.
 */
import type * as election from "../../../proto/gen/etcd/election.js";
import type * as health from "../../../proto/gen/etcd/health.js";
import type * as lock from "../../../proto/gen/etcd/lock.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { CallOptions } from "../options.js";

interface UnaryDefinition {
  readonly requestStream: false;
  readonly responseStream: false;
}
type Decodes<Message> = { decode(bytes: Uint8Array): Message };
type RawUnary<Method> = Method extends {
  readonly requestType: Decodes<infer Req>;
  readonly responseType: Decodes<infer Res>;
}
  ? (request: rpc.DeepPartial<Req>, options?: CallOptions) => Promise<Res>
  : never;

/** Every unary RPC of a generated service, by its generated name. */
export type RawUnaries<Service extends { readonly methods: object }> = {
  readonly [Name in keyof Service["methods"] as Service["methods"][Name] extends UnaryDefinition
    ? Name
    : never]: RawUnary<Service["methods"][Name]>;
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

export interface RawKv extends RawUnaries<typeof rpc.KVDefinition> {
  rangeStream(
    request: rpc.DeepPartial<rpc.RangeRequest>,
    options?: CallOptions,
  ): AsyncIterable<rpc.RangeStreamResponse>;
}
export interface RawLease extends RawUnaries<typeof rpc.LeaseDefinition> {
  /**
   * Renews `id` at once and then at a third of its TTL, yielding every answer; ends after an answer with TTL 0 (the
   * lease is gone) and rejects when it could not be renewed in time.
   */
  keepAlive(id: bigint, options?: CallOptions): AsyncIterable<rpc.LeaseKeepAliveResponse>;
  /** One renewal. */
  keepAliveOnce(id: bigint, options?: CallOptions): Promise<rpc.LeaseKeepAliveResponse>;
}
export interface RawMaintenance extends RawUnaries<typeof rpc.MaintenanceDefinition> {
  snapshot(request?: rpc.SnapshotRequest, options?: CallOptions): AsyncIterable<rpc.SnapshotResponse>;
}
export interface RawElection extends RawUnaries<typeof election.ElectionDefinition> {
  observe(
    request: rpc.DeepPartial<election.LeaderRequest>,
    options?: CallOptions,
  ): AsyncIterable<election.LeaderResponse>;
}
export interface RawHealth extends RawUnaries<typeof health.HealthDefinition> {
  /** The state now, and after every change. */
  watch(request?: health.HealthCheckRequest, options?: CallOptions): AsyncIterable<health.HealthCheckResponse>;
}

/** Every RPC of every service. */
export interface RawClient {
  readonly kv: RawKv;
  readonly lease: RawLease;
  readonly cluster: RawUnaries<typeof rpc.ClusterDefinition>;
  readonly maintenance: RawMaintenance;
  readonly auth: RawUnaries<typeof rpc.AuthDefinition>;
  readonly lock: RawUnaries<typeof lock.LockDefinition>;
  readonly election: RawElection;
  readonly health: RawHealth;
  watch(request: rpc.DeepPartial<rpc.WatchCreateRequest>, options?: RawWatchOptions): RawWatch;
}
