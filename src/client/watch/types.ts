/** The words of watching: what a watch may be asked, and what it delivers. */
import type { KeyValue, RevisionInput } from "../kv/types.js";
import type { Bytes, CallOptions } from "../options.js";

/** `timeoutMs` bounds the wait until a server confirms the watch; a watch that was confirmed has no deadline. */
export interface WatchOptions extends CallOptions {
  /** First revision to deliver; the next one after now if absent. */
  readonly from?: RevisionInput;
  /** Deliver what each event replaced, unless that is compacted. */
  readonly previous?: boolean;
  readonly only?: "put" | "delete";
  /** Also deliver batches without events that say how far the watch has come. */
  readonly progress?: boolean;
  /** Events held for a slow reader before the overflow rule applies; so do 4 MiB of them. 4096 if absent. */
  readonly highWaterMark?: number;
  /**
   * "pause", the default: the server is held back, and nothing is lost unless compaction passes the place the reader has
   * reached. "error": the watch ends with a SlowConsumerError that says where to resume.
   */
  readonly overflow?: "pause" | "error";
  /** Give up when no server could be reached for so long; for ever if absent. */
  readonly maxDisconnectedMs?: number;
}
/**
 * "stale": the server has fallen silent although it has been asked, and another is being looked for. "disconnected": no
 * server serves the watch at the moment. Both pass by themselves.
 */
export type WatchState = "starting" | "live" | "catching-up" | "stale" | "disconnected" | "closed";
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
/**
 * It runs from the moment it is made, whether or not anyone reads it, and has to be closed. Iterators share one queue;
 * breaking out of a loop leaves the watch open and the next loop goes on behind the last batch (`events()`: behind the
 * batch of the last event). Closing the watch, or the client, ends every loop; what was received before is still read.
 * A loop rejects with a CompactedError when history that was not delivered is gone, with a SlowConsumerError if
 * `overflow` asks for it, and with the server's refusal; the watch is then closed. If a codec throws, the loop rejects
 * with that, and the batch stays unread.
 */
export interface Watch<V> extends AsyncIterable<WatchBatch<V>>, AsyncDisposable {
  /** The first revision this watch covers, once a server has confirmed it. */
  readonly started: Promise<bigint>;
  /** A new watch from here would deliver exactly what this one has not. 0n until a watch from now knows when now is. */
  readonly resumeRevision: bigint;
  readonly state: WatchState;
  events(): AsyncIterable<WatchEvent<V>>;
  /** Resolves with a revision up to which everything was received. */
  requestProgress(options?: CallOptions): Promise<bigint>;
  close(): Promise<void>;
}

export interface FollowOptions extends Omit<WatchOptions, "from"> {
  /** Whether history lost to a compaction is made good by a new snapshot, which is the default, or ends the loop. */
  readonly onCompacted?: "resync" | "throw";
  /** Keys read with one request while a snapshot is taken; 1000 if absent. */
  readonly pageSize?: number;
}
/**
 * All keys of the range at one revision, by their text (keys that are no UTF-8 may share one). `resync` is true for one
 * that replaces what was followed so far: keys that are not in it are gone.
 */
export interface Snapshot<V> {
  readonly kind: "snapshot";
  readonly revision: bigint;
  readonly kvs: ReadonlyMap<string, KeyValue<V>>;
  readonly resync: boolean;
}
/** What changed since the last snapshot or delta, in order; no events if it only says how far the follower has come. */
export interface Delta<V> {
  readonly kind: "delta";
  readonly revision: bigint;
  readonly events: WatchEvent<V>[];
}
