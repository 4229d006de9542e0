/** A copy of a range in memory: reads that no server has to answer, as consistent as the caller wants them. */
import { EtcdError, type Key, type KeyRange, type KeyValue, type Kv } from "../index.js";
import { type Bounds, bounded } from "./bounded.js";
import { Feed } from "./feed.js";
import { byteKey, covers, firstKey, type Span, spanOf, within } from "./key-order.js";
import { Subscription } from "./subscription.js";
import type {
  Cache,
  CacheBatch,
  CacheList,
  CacheOptions,
  CacheReadOptions,
  CacheState,
  CacheWatchOptions,
} from "./types.js";

const readTimeoutMsDefault = 8_000;
const cancelled = 1;

/**
 * Resolves when the cache has its first content. `kv` may be a client, a namespace of it, or a view with a codec. The
 * caller closes the cache; closing the client ends it too. Rejects as a scan does, or with code "CacheFull".
 */
export async function createCache<V>(kv: Kv<V>, range: KeyRange, options: CacheOptions<V> = {}): Promise<Cache<V>> {
  const cache = new RangeCache(kv, range, options);
  await cache.begin();
  return cache;
}

class RangeCache<V> implements Cache<V> {
  failure: Error | undefined;
  private readonly kv: Kv<V>;
  private readonly range: KeyRange;
  private readonly span: Span;
  private readonly options: CacheOptions<V>;
  private readonly feed: Feed<V>;
  private readonly closer = new AbortController();
  private readonly subscriptions = new Set<Subscription<V>>();
  private running: Promise<void> = Promise.resolve();
  /** The question to the server that is on its way, and the one that will be asked behind it. */
  private asked: Promise<bigint> | undefined;
  private next: Promise<bigint> | undefined;

  constructor(kv: Kv<V>, range: KeyRange, options: CacheOptions<V>) {
    this.kv = kv;
    this.range = range;
    this.span = spanOf(range);
    this.options = options;
    this.feed = new Feed({ kv, range, options, events: { onBatch: (batch) => this.publish(batch) } });
  }

  get revision(): bigint {
    return this.feed.content.revision;
  }

  get state(): CacheState {
    return this.feed.state;
  }

  get staleMs(): number {
    return performance.now() - this.feed.completeAtMs;
  }

  get size(): number {
    return this.feed.content.size;
  }

  async begin(): Promise<void> {
    const { timeoutMs = Number.POSITIVE_INFINITY, signal } = this.options;
    try {
      await bounded(this.feed.load(this.closer.signal), { timeoutMs, signal });
    } catch (error) {
      this.closer.abort();
      throw error;
    }
    signal?.addEventListener("abort", this.stop, { once: true });
    if (signal?.aborted === true) this.stop();
    this.running = this.run();
  }

  async get(key: Key, options: CacheReadOptions = {}): Promise<KeyValue<V> | undefined> {
    this.placeOf(key);
    await this.freshEnough(options);
    return this.peek(key);
  }

  async list(range: KeyRange = this.range, options: CacheReadOptions = {}): Promise<CacheList<V>> {
    this.partOf(range);
    await this.freshEnough(options);
    return this.peekList(range);
  }

  peek(key: Key): KeyValue<V> | undefined {
    this.checkOpen();
    return this.feed.content.get(this.placeOf(key));
  }

  peekList(range: KeyRange = this.range): CacheList<V> {
    this.checkOpen();
    const { content } = this.feed;
    return { revision: content.revision, kvs: content.list(this.partOf(range)) };
  }

  watch(range: KeyRange = this.range, options: CacheWatchOptions = {}): AsyncIterable<CacheBatch<V>> {
    this.partOf(range);
    return { [Symbol.asyncIterator]: () => this.changes(range, options) };
  }

  async catchUp(options: Omit<CacheReadOptions, "consistency" | "minRevision"> = {}): Promise<bigint> {
    this.checkOpen();
    // A question on its way may have been answered before this call began; the one behind it has not.
    this.next ??= this.askBehind(this.asked);
    return bounded(this.next, this.boundsOf(options));
  }

  async close(): Promise<void> {
    this.stop();
    await this.running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private readonly stop = (): void => {
    this.closer.abort();
  };

  /** Until closed. Never rejects: `failure` and the readers are told. */
  private async run(): Promise<void> {
    const { signal } = this.closer;
    try {
      await this.feed.run(signal);
    } catch (error) {
      if (!signal.aborted) this.failure = error instanceof Error ? error : new Error(String(error));
    }
    this.options.signal?.removeEventListener("abort", this.stop);
    this.closer.abort();
    this.feed.end(this.endError());
    const { failure } = this;
    for (const subscription of this.subscriptions) subscription.end(failure === undefined ? "end" : { error: failure });
  }

  /** Listens from now on, not only from when it is first read. */
  private changes(range: KeyRange, options: CacheWatchOptions): AsyncIterator<CacheBatch<V>> {
    this.checkOpen();
    const subscription = new Subscription<V>(range, options);
    if (options.initial === "state") subscription.begin(this.asPuts(range));
    this.subscriptions.add(subscription);
    const { signal } = options;
    const giveUp = (): void => subscription.end({ error: signal?.reason });
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    const leave = (): void => {
      signal?.removeEventListener("abort", giveUp);
      this.subscriptions.delete(subscription);
      // A step that waits for a change would keep the loop from being left.
      subscription.end("end");
    };
    const batches = subscription.batches(leave);
    return {
      next: () => batches.next(),
      return: () => {
        // A loop that was left before its first step has nothing else to tell.
        leave();
        return batches.return(undefined);
      },
    };
  }

  private asPuts(range: KeyRange): CacheBatch<V> {
    const { revision, kvs } = this.peekList(range);
    return { revision, events: kvs.map((kv) => ({ type: "put", kv, created: kv.version === 1 })), resync: false };
  }

  private publish(batch: CacheBatch<V>): void {
    for (const subscription of this.subscriptions) subscription.push(batch);
  }

  private async freshEnough(options: CacheReadOptions): Promise<void> {
    this.checkOpen();
    const { consistency = "linearizable", minRevision = 0n } = options;
    const tooOld = this.staleMs > (this.options.maxStaleMs ?? Number.POSITIVE_INFINITY);
    if (consistency === "linearizable" || tooOld) await this.catchUp(options);
    if (minRevision <= this.revision) return;
    // Nobody is asked any more on behalf of one who has given up.
    const given = new AbortController();
    try {
      await bounded(this.feed.reach(minRevision, given.signal), this.boundsOf(options));
    } finally {
      given.abort();
    }
  }

  private askBehind(before: Promise<bigint> | undefined): Promise<bigint> {
    const turn = before === undefined ? Promise.resolve() : before.then(noted, noted);
    const answer = turn.then(() => {
      this.asked = answer;
      this.next = undefined;
      return this.ask();
    });
    const done = (): void => {
      if (this.asked === answer) this.asked = undefined;
    };
    void answer.catch(noted).finally(done);
    return answer;
  }

  /** A read of one key tells the revision of the store; the content is complete once it has come that far. */
  private async ask(): Promise<bigint> {
    const startedMs = performance.now();
    const read = { keysOnly: true, signal: this.closer.signal };
    const { header } = await this.kv.list(firstKey(this.range), read);
    await this.feed.reach(header.revision);
    this.feed.completeAtMs = Math.max(this.feed.completeAtMs, startedMs);
    return this.revision;
  }

  private boundsOf({ timeoutMs, signal }: CacheReadOptions): Bounds {
    return { timeoutMs: timeoutMs ?? this.options.timeoutMs ?? readTimeoutMsDefault, signal };
  }

  private placeOf(key: Key): string {
    const place = byteKey(key);
    if (!within(place, this.span)) throw new RangeError("the key is outside the range of the cache");
    return place;
  }

  private partOf(range: KeyRange): Span {
    const span = spanOf(range);
    if (!covers(this.span, span)) throw new RangeError("the range is not inside the range of the cache");
    return span;
  }

  private checkOpen(): void {
    if (this.closer.signal.aborted) throw this.endError();
  }

  private endError(): Error {
    if (this.failure !== undefined) return this.failure;
    const facts = { code: "ClientClosed", grpcStatus: cancelled, outcome: "not-applied" } as const;
    return new EtcdError("the cache is closed", facts);
  }
}

/** The failure of a question is its own callers' news. */
const noted = (): void => {};
