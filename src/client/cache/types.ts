/** The words of caching: what a cache may be asked, and what it tells. */
import type { Key, KeyRange, KeyValue, WatchEvent } from "../index.js";

/** A cache that would pass a limit ends with code "CacheFull": with keys left out, its answers would be lies. */
export interface CacheOptions<V = unknown> {
  /** Most keys held; 1 000 000 if absent. */
  readonly keysMax?: number;
  /** Most bytes of keys and values held; no limit if absent. */
  readonly bytesMax?: number;
  /** What a value counts against `bytesMax`. Text counts as UTF-8 and bytes as they are; other values need this. */
  readonly valueBytes?: (value: V) => number;
  /**
   * How old a "serializable" answer may be, in milliseconds. Without it such an answer is whatever is there. With it, a
   * read waits for `catchUp` first if the content was not shown to be complete in that time.
   */
  readonly maxStaleMs?: number;
  /** Bounds the wait for the first content, which has no limit if absent, and each wait of a read: 8000 if absent. */
  readonly timeoutMs?: number;
  /** Ends the cache. */
  readonly signal?: AbortSignal;
}

/**
 * "live": the content follows the server. "catching-up": it is on the way there, after a gap. "disconnected": no server
 * is heard; the content stays and grows old. "closed": it has ended, and `failure` says why if it was not asked to.
 */
export type CacheState = "live" | "catching-up" | "disconnected" | "closed";

export interface CacheReadOptions {
  /**
   * "linearizable", the default: whatever was committed when the read was called is in the answer, as with a read of the
   * server. "serializable": at once, from what is there.
   */
  readonly consistency?: "linearizable" | "serializable";
  /** Wait until the content is at least this new: after a put, its `header.revision` lets one read one's own write. */
  readonly minRevision?: bigint;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface CacheList<V> {
  /** The revision of the store that this is the content of. */
  readonly revision: bigint;
  /** In the order of the keys' bytes. */
  readonly kvs: KeyValue<V>[];
}

/**
 * One or more whole revisions. After a gap that compaction tore, the difference between before and after arrives as one
 * batch with `resync`: what happened in between is not known, and a delete in it carries the revision by which the key
 * was gone.
 */
export interface CacheBatch<V> {
  readonly revision: bigint;
  readonly events: WatchEvent<V>[];
  readonly resync: boolean;
}

export interface CacheWatchOptions {
  /** "state": the first batch has all keys there are, as puts. "none", the default, begins with the next change. */
  readonly initial?: "state" | "none";
  /** Events held for a slow reader; beyond, it gets a SlowConsumerError. 65 536 if absent. */
  readonly highWaterMark?: number;
  readonly signal?: AbortSignal;
}

/** Disposing ends it, as does closing its client; reads then reject with code "ClientClosed", or with `failure`. */
export interface Cache<V> extends AsyncDisposable {
  /** Every change up to here is in the content; none after it is. */
  readonly revision: bigint;
  readonly state: CacheState;
  /** Milliseconds since the content was last shown to be complete: by the first read of the server, or a `catchUp`. */
  readonly staleMs: number;
  /** Keys held. */
  readonly size: number;
  /** Why it ended, if it did by itself. */
  readonly failure: Error | undefined;
  get(key: Key, options?: CacheReadOptions): Promise<KeyValue<V> | undefined>;
  /** The whole range of the cache if none is named. Ranges outside of it are a RangeError, as are keys. */
  list(range?: KeyRange, options?: CacheReadOptions): Promise<CacheList<V>>;
  /** What is there now, without waiting. */
  peek(key: Key): KeyValue<V> | undefined;
  peekList(range?: KeyRange): CacheList<V>;
  /** Changes as the content takes them on: no server is asked. Breaking out of the loop ends it. */
  watch(range?: KeyRange, options?: CacheWatchOptions): AsyncIterable<CacheBatch<V>>;
  /** Waits until the content has everything that was committed at the time of the call; resolves with its revision. */
  catchUp(options?: Omit<CacheReadOptions, "consistency" | "minRevision">): Promise<bigint>;
  close(): Promise<void>;
}
