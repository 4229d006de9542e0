/** The words of reading and writing keys. What identifies or orders is `bigint`; sizes, counts and seconds are `number`. */

import type { Lease } from "../lease/types.js";
import type { Bytes, CallOptions } from "../options.js";
import type { Watch, WatchOptions } from "../watch/types.js";
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
