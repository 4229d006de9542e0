/** The words of watching: what a watch may be asked, and what it delivers. */
import type { KeyValue, RevisionInput } from "../kv/types.js";
import type { Bytes, CallOptions } from "../options.js";

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
