/** The words of reading and writing keys. What identifies or orders is `bigint`; sizes, counts and seconds are `number`. */

import type { Lease } from "../lease/types.js";
import type { Bytes, CallOptions } from "../options.js";
import type { Delta, FollowOptions, Snapshot, Watch, WatchOptions } from "../watch/types.js";
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

/** How values travel. Both directions are synchronous; what they throw is told to the caller, see `KeyValue.value`. */
export interface Codec<T> {
  encode(value: T): Bytes;
  /** Gets bytes that are its own to keep, unless `borrows`. */
  decode(bytes: Bytes): T;
  /** `decode` keeps nothing of the bytes it is given, so they need not be copied for it. */
  readonly borrows?: boolean;
}

export interface Header {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: bigint;
  readonly raftTerm: bigint;
  /** Who leads, where the server says so: advice, and no proof. */
  readonly leaderId?: bigint;
}

export interface KeyValue<V> {
  /** The key as UTF-8 text; `keyBytes` is exact for keys that are not. */
  readonly key: string;
  readonly keyBytes: Bytes;
  /**
   * A value that its codec cannot decode throws a DecodeError here, when it is read: it spoils neither the list it is
   * in nor the news that a write was applied.
   */
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
/** `timeoutMs` bounds each wait for a server, not the whole scan: the reader may take its time. */
export interface ScanOptions extends ReadOptions {
  /** Most keys in a page; pages are smaller where values are large. 512 if absent. */
  readonly pageSize?: number;
  readonly keysOnly?: boolean;
}
export interface ScanPage<V> {
  /** The revision of the whole scan: what is read is the range as it was then. */
  readonly revision: bigint;
  readonly kvs: KeyValue<V>[];
}
/** Reads while it is iterated, a page ahead of nobody; each iteration is a scan of its own, at the revision of its start. */
export interface Scan<V> extends AsyncIterable<KeyValue<V>> {
  /** The same by pages, at least one, so that an empty range tells its revision too. */
  pages(): AsyncIterable<ScanPage<V>>;
}
/** Which key of a range: by the order of keys, or by the revision they were created or last modified at. */
export interface EdgeOptions extends ReadOptions {
  readonly by?: "key" | "create" | "mod";
  readonly keysOnly?: boolean;
}
export interface PutOptions extends CallOptions {
  /** Bind to a lease; "keep" leaves the key's lease as it is. */
  readonly lease?: Lease | bigint | "keep";
  /**
   * Only if the key was last modified at this revision (0n: does not exist); else ConflictError. With
   * `retry: "idempotent"` an attempt without an answer is settled by the key's history: a value like this one, under
   * the same lease, right after that revision counts as this put's. Writers that compete should differ in either.
   */
  readonly ifRevision?: bigint;
  /** The same as `ifRevision: 0n`. */
  readonly ifAbsent?: boolean;
  /** Return the value that is replaced. */
  readonly previous?: boolean;
}
/** What a key is bound to: its own lease's end is the key's end. */
export type Binding = Lease | bigint | "none";
export interface BindOptions extends CallOptions {
  readonly ifRevision?: bigint;
  readonly previous?: boolean;
}
export interface DeleteOptions extends CallOptions {
  /**
   * Only if the key was last modified at this revision; one key only; else ConflictError. If an answer was lost and the
   * key is gone, the outcome is "unknown" in any case: a key that is gone does not tell who deleted it.
   */
  readonly ifRevision?: bigint;
  readonly previous?: boolean;
}

export interface Kv<V = string> {
  get(key: Key, options?: ReadOptions): Promise<KeyValue<V> | undefined>;
  list(range: KeyRange, options?: ListOptions): Promise<RangeResult<V>>;
  /**
   * Every key of the range, in order, as of one revision, whatever its size: only a page at a time is held. Rejects with
   * a CompactedError if that revision is compacted while the scan goes on.
   */
  scan(range: KeyRange, options?: ScanOptions): Scan<V>;
  /** The first key of the range; undefined if there is none. */
  first(range: KeyRange, options?: EdgeOptions): Promise<KeyValue<V> | undefined>;
  last(range: KeyRange, options?: EdgeOptions): Promise<KeyValue<V> | undefined>;
  count(range: KeyRange, options?: ReadOptions): Promise<number>;
  put(key: Key, value: V, options?: PutOptions): Promise<PutResult<V>>;
  /** Puts the key under another lease, or none, with the value it has. Rejects with code "KeyNotFound" if it is not there. */
  bind(key: Key, lease: Binding, options?: BindOptions): Promise<PutResult<V>>;
  delete(range: KeyRange, options?: DeleteOptions): Promise<DeleteResult<V>>;
  txn<const T extends readonly Op[], const E extends readonly Op[] = []>(
    spec: TxnSpec<T, E>,
    options?: CallOptions,
  ): Promise<TxnResult<T, E, V>>;
  watch(range: KeyRange, options?: WatchOptions): Watch<V>;
  /**
   * What is there, and then what changes: a snapshot first and deltas from then on, nothing missed in between. Each loop
   * follows on its own, and ends only with an error, with the client, or by being left.
   */
  follow(range: KeyRange, options?: FollowOptions): AsyncIterable<Snapshot<V> | Delta<V>>;
  /**
   * The keys under a prefix as a store of their own: keys are given and shown without it, everywhere. Revisions are the
   * store's. Nests. The key that is the prefix itself is not in it.
   */
  namespace(prefix: Key): Kv<V>;
  /** The same connection, other values. */
  as<U>(codec: Codec<U>): Kv<U>;
}
