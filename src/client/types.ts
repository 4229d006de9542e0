/**
 * The words of the SDK: keys, results and the faces of its parts. What identifies or orders is `bigint` (revisions,
 * ids, terms); sizes, counts and seconds are `number`.
 */
import type { LeaseLostError } from "./errors.js";
import type { Bytes, CallOptions } from "./options.js";
import type { RawClient } from "./raw-types.js";
import type { Op, TxnResult, TxnSpec } from "./txn-types.js";

/** Text is UTF-8. */
export type Key = string | Bytes;
/** One key, everything under a prefix, `from <= key < to` (no upper end without `to`), or everything. */
export type KeyRange =
  | Key
  | { readonly prefix: Key }
  | { readonly from: Key; readonly to?: Key }
  | { readonly all: true };
export type RevisionInput = bigint | number | `${bigint}`;

/** How values travel. `decode` gets bytes that are its own. */
export interface Codec<T> {
  encode(value: T): Bytes;
  decode(bytes: Bytes): T;
}

export interface Header {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: bigint;
  readonly raftTerm: bigint;
}

export interface KeyValue<V> {
  /** The key as UTF-8 text; `keyBytes` is exact for keys that are not. */
  readonly key: string;
  readonly keyBytes: Bytes;
  readonly value: V;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly version: number;
  /** The lease the key is bound to, if any. */
  readonly lease?: bigint;
}

export interface RangeResult<V> {
  readonly header: Header;
  readonly kvs: KeyValue<V>[];
  /** Keys in the range, whatever `limit` says. */
  readonly count: number;
  readonly more: boolean;
}
export interface PutResult<V> {
  readonly header: Header;
  readonly previous?: KeyValue<V>;
}
export interface DeleteResult<V> {
  readonly header: Header;
  readonly deleted: number;
  readonly previous: KeyValue<V>[];
}

export interface ReadOptions extends CallOptions {
  readonly revision?: RevisionInput;
  /** Refuse to answer from a store older than this. */
  readonly minRevision?: bigint;
  readonly consistency?: "linearizable" | "serializable";
}
export interface Span {
  readonly min?: bigint;
  readonly max?: bigint;
}
export interface Sort {
  readonly by: "key" | "value" | "version" | "create" | "mod";
  readonly order?: "asc" | "desc";
}
export interface ListOptions extends ReadOptions {
  readonly limit?: number;
  readonly sort?: Sort;
  readonly keysOnly?: boolean;
  readonly modRevision?: Span;
  readonly createRevision?: Span;
}
export interface PutOptions extends CallOptions {
  /** Bind to a lease; "keep" leaves the key's lease as it is. */
  readonly lease?: Lease | bigint | "keep";
  /** Only if the key was last modified at this revision (0n: does not exist); else ConflictError. */
  readonly ifRevision?: bigint;
  readonly ifAbsent?: boolean;
  /** Return the value that is replaced. */
  readonly previous?: boolean;
}
export interface DeleteOptions extends CallOptions {
  /** Only if the key was last modified at this revision; one key only; else ConflictError. */
  readonly ifRevision?: bigint;
  readonly previous?: boolean;
}

/** `timeoutMs` bounds the wait until a server confirms the watch; a watch that was confirmed has no deadline. */
export interface WatchOptions extends CallOptions {
  /** First revision to deliver; the next one after now if absent. */
  readonly from?: RevisionInput;
  readonly previous?: boolean;
  readonly only?: "put" | "delete";
  /** Also deliver batches without events that say how far the watch has come. */
  readonly progress?: boolean;
  /** Events held for a slow reader before the overflow rule applies. */
  readonly highWaterMark?: number;
  readonly overflow?: "pause" | "error";
  /** Give up when no server could be reached for so long; for ever if absent. */
  readonly maxDisconnectedMs?: number;
}
export type WatchState = "starting" | "live" | "catching-up" | "disconnected" | "closed";
/** One or more whole revisions, in order. `revision` is the last one it covers. */
export interface WatchBatch<V> {
  readonly revision: bigint;
  readonly events: WatchEvent<V>[];
  readonly progress: boolean;
}
export type WatchEvent<V> =
  | { readonly type: "put"; readonly kv: KeyValue<V>; readonly created: boolean; readonly previous?: KeyValue<V> }
  | {
      readonly type: "delete";
      readonly key: string;
      readonly keyBytes: Bytes;
      readonly modRevision: bigint;
      readonly previous?: KeyValue<V>;
    };
/** Iterators share one queue; breaking out of a loop leaves the watch open, closing the watch ends every loop. */
export interface Watch<V> extends AsyncIterable<WatchBatch<V>>, AsyncDisposable {
  /** The first revision this watch covers, once a server has confirmed it. */
  readonly started: Promise<bigint>;
  /** A new watch from here would deliver exactly what this one has not. */
  readonly resumeRevision: bigint;
  readonly state: WatchState;
  events(): AsyncIterable<WatchEvent<V>>;
  /** Resolves with a revision up to which everything was received. */
  requestProgress(options?: CallOptions): Promise<bigint>;
  close(): Promise<void>;
}

export interface Kv<V = string> {
  get(key: Key, options?: ReadOptions): Promise<KeyValue<V> | undefined>;
  list(range: KeyRange, options?: ListOptions): Promise<RangeResult<V>>;
  count(range: KeyRange, options?: ReadOptions): Promise<number>;
  put(key: Key, value: V, options?: PutOptions): Promise<PutResult<V>>;
  delete(range: KeyRange, options?: DeleteOptions): Promise<DeleteResult<V>>;
  txn<const T extends readonly Op[], const E extends readonly Op[] = []>(
    spec: TxnSpec<T, E>,
    options?: CallOptions,
  ): Promise<TxnResult<T, E, V>>;
  watch(range: KeyRange, options?: WatchOptions): Watch<V>;
  /** The same connection, other values. */
  as<U>(codec: Codec<U>): Kv<U>;
}

export interface LeaseInfo {
  readonly id: bigint;
  /** Seconds left. */
  readonly ttl: number;
  readonly grantedTtl: number;
  /** Empty unless asked for. */
  readonly keys: Bytes[];
}
/** A lease this process holds. Disposing revokes it. */
export interface Lease extends AsyncDisposable {
  readonly id: bigint;
  /** Seconds, as the server granted them. */
  readonly ttl: number;
  /** Aborts with a LeaseLostError no later than the server can let the lease expire. */
  readonly signal: AbortSignal;
  /** Time for which the lease surely lives, counted from when the last acknowledged renewal was sent. */
  readonly remainingMs: number;
  /** Resolves once, when the lease is lost. */
  readonly lost: Promise<LeaseLostError>;
  /** Renews now; resolves with the granted seconds. */
  refresh(options?: CallOptions): Promise<number>;
  /** Stops renewing; the lease then runs out by itself. */
  release(): void;
  revoke(options?: CallOptions): Promise<void>;
}
export interface Leases {
  /** A lease that is renewed until it is released, revoked or lost; `keepAlive: false` lets it run out. */
  grant(
    ttlSeconds: number,
    options?: CallOptions & { readonly id?: bigint; readonly keepAlive?: boolean },
  ): Promise<Lease>;
  /** Takes over the renewal of a lease that exists. */
  attach(id: bigint, options?: CallOptions): Promise<Lease>;
  list(options?: CallOptions): Promise<bigint[]>;
  timeToLive(id: bigint, options?: CallOptions & { readonly keys?: boolean }): Promise<LeaseInfo | undefined>;
  revoke(id: bigint, options?: CallOptions): Promise<void>;
}

export interface MemberInfo {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}
export interface Cluster {
  members(options?: CallOptions & { readonly consistency?: ReadOptions["consistency"] }): Promise<MemberInfo[]>;
  add(peerUrls: readonly string[], options?: CallOptions & { readonly learner?: boolean }): Promise<MemberInfo>;
  update(id: bigint, peerUrls: readonly string[], options?: CallOptions): Promise<void>;
  promote(id: bigint, options?: CallOptions): Promise<void>;
  remove(id: bigint, options?: CallOptions): Promise<void>;
}

export interface MemberStatus {
  readonly header: Header;
  readonly version: string;
  readonly storageVersion: string;
  /** Bytes. */
  readonly dbSize: number;
  readonly dbSizeInUse: number;
  /** Bytes; 0 before etcd 3.6. */
  readonly dbSizeQuota: number;
  /** The member this one believes to lead; undefined if it knows none. */
  readonly leader: bigint | undefined;
  readonly raftIndex: bigint;
  readonly raftTerm: bigint;
  readonly raftAppliedIndex: bigint;
  readonly learner: boolean;
  readonly errors: readonly string[];
}
export interface HashKv {
  readonly header: Header;
  readonly hash: number;
  readonly compactRevision: bigint;
  /** 0n before etcd 3.6. */
  readonly hashRevision: bigint;
}
export interface Alarm {
  readonly memberId: bigint;
  readonly alarm: "nospace" | "corrupt";
}
/** Calls about one member: name it with `target`, or any answers. */
export interface Maintenance {
  status(options?: CallOptions): Promise<MemberStatus>;
  hashKv(options?: CallOptions & { readonly revision?: RevisionInput }): Promise<HashKv>;
  alarms(options?: CallOptions): Promise<Alarm[]>;
  disarm(alarm: Alarm, options?: CallOptions): Promise<void>;
  /** No default deadline: it takes as long as the file is big. */
  defragment(options?: CallOptions): Promise<void>;
  /** The bytes of a snapshot file, its trailing SHA-256 checked; rejects with code "SnapshotCorrupt". */
  snapshot(options?: CallOptions): AsyncIterable<Bytes>;
  moveLeader(memberId: bigint, options?: CallOptions): Promise<void>;
}

/** Lazy: nothing is connected before the first call, and making a client never fails for the network's sake. */
export interface EtcdClient extends Kv, AsyncDisposable {
  readonly leases: Leases;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  /** etcd's own requests and responses, with this client's routing, authentication and deadlines. */
  readonly raw: RawClient;
  readonly endpoints: readonly string[];
  setEndpoints(endpoints: string | readonly string[]): void;
  compact(revision: RevisionInput, options?: CallOptions & { readonly physical?: boolean }): Promise<Header>;
  close(): Promise<void>;
}
