/** The words of transactions that are functions. */
import type { Bytes, Codec, Key, KeyRange, Lease } from "../index.js";
import type { Patience } from "./bounds.js";

/**
 * What a transaction is kept from, as in Go's STM.
 * - "serializable-snapshot": all of the below, and nobody has written since its first read what it writes unread.
 * - "serializable": it reads one revision throughout, and what it read, ranges too, is unchanged when it commits.
 * - "repeatable-reads": the keys it read are unchanged when it commits. They may come from different revisions, and keys
 *   may have been added to ranges.
 * - "read-committed": nothing; what others write between its reads and its commit is overwritten.
 */
export type Isolation = "serializable-snapshot" | "serializable" | "repeatable-reads" | "read-committed";

export interface StmOptions extends Patience {
  /** Default "serializable-snapshot". */
  readonly isolation?: Isolation;
  /** How often the function is run before the call rejects with code "Conflict". Default 100. */
  readonly maxAttempts?: number;
}

export interface StmEntry<V> {
  /** As UTF-8 text. */
  readonly key: string;
  readonly keyBytes: Bytes;
  readonly value: V;
}

/** What the function sees: the store, with its own writes in it. Of use only while the function runs. */
export interface StmTransaction<V = string> {
  /** 1 for the first run. */
  readonly attempt: number;
  get(key: Key): Promise<V | undefined>;
  /** In the order of keys. Each key found is guarded by itself, and servers take some hundred guards at most. */
  list(range: KeyRange): Promise<StmEntry<V>[]>;
  put(key: Key, value: V, options?: { readonly lease?: Lease | bigint }): void;
  delete(key: Key): void;
  /** The same transaction, other values. */
  as<U>(codec: Codec<U>): StmTransaction<U>;
}
