/** What the cache holds: the keys of its range at one revision, in order, within its limits. Synchronous. */
import { EtcdError, isEtcdError, type KeyValue, type WatchBatch, type WatchEvent } from "../index.js";
import { byteKey, type Span } from "./key-order.js";
import { SortedMap } from "./sorted-map.js";
import type { CacheBatch, CacheOptions } from "./types.js";

const keysMaxDefault = 1_000_000;
const resourceExhausted = 8;

export class Content<V> {
  revision = 0n;
  private map = new SortedMap<KeyValue<V>>();
  private sizeBytes = 0;
  private readonly options: CacheOptions<V>;

  constructor(options: CacheOptions<V>) {
    this.options = options;
  }

  get size(): number {
    return this.map.size;
  }

  get(key: string): KeyValue<V> | undefined {
    return this.map.get(key);
  }

  list(span: Span): KeyValue<V>[] {
    return Array.from(this.map.entries(span), ([, kv]) => kv);
  }

  /** Adds to what is being filled before it is used. Throws an EtcdError with code "CacheFull". */
  fill(kvs: readonly KeyValue<V>[]): void {
    for (const kv of kvs) this.put(kv);
    this.checkLimits();
  }

  /** Takes changes on; returns them with what they replaced. Throws an EtcdError with code "CacheFull". */
  apply({ revision, events }: WatchBatch<V>): CacheBatch<V> {
    const changes = events.map((event) => this.change(event));
    if (revision > this.revision) this.revision = revision;
    this.checkLimits();
    return { revision: this.revision, events: changes, resync: false };
  }

  /** Becomes what `fresh` is; returns the difference. */
  replace(fresh: Content<V>): CacheBatch<V> {
    const events = [...this.missingIn(fresh), ...this.newIn(fresh)];
    this.map = fresh.map;
    this.sizeBytes = fresh.sizeBytes;
    this.revision = fresh.revision;
    return { revision: fresh.revision, events, resync: true };
  }

  private *missingIn(fresh: Content<V>): Generator<WatchEvent<V>> {
    for (const [key, previous] of this.map.entries(everything)) {
      if (fresh.map.get(key) !== undefined) continue;
      yield { type: "delete", key: previous.key, keyBytes: previous.keyBytes, modRevision: fresh.revision, previous };
    }
  }

  private *newIn(fresh: Content<V>): Generator<WatchEvent<V>> {
    for (const [key, kv] of fresh.map.entries(everything)) {
      const previous = this.map.get(key);
      if (previous?.modRevision === kv.modRevision) continue;
      yield { type: "put", kv, created: previous?.createRevision !== kv.createRevision, ...given(previous) };
    }
  }

  private change(event: WatchEvent<V>): WatchEvent<V> {
    switch (event.type) {
      case "put":
        return { ...event, ...given(this.put(event.kv)) };
      case "delete": {
        const key = byteKey(event.keyBytes);
        const previous = this.map.delete(key);
        if (previous !== undefined) this.sizeBytes -= this.weight(key, previous);
        return { ...event, ...given(previous) };
      }
    }
  }

  private put(kv: KeyValue<V>): KeyValue<V> | undefined {
    const key = byteKey(kv.keyBytes);
    const previous = this.map.set(key, kv);
    if (previous !== undefined) this.sizeBytes -= this.weight(key, previous);
    this.sizeBytes += this.weight(key, kv);
    return previous;
  }

  /** Nothing is weighed if nothing limits it. */
  private weight(key: string, kv: KeyValue<V>): number {
    if (this.options.bytesMax === undefined) return 0;
    return key.length + this.valueBytes(kv);
  }

  private valueBytes(kv: KeyValue<V>): number {
    const value = readable(kv);
    if (value === undefined) return 0;
    if (this.options.valueBytes !== undefined) return this.options.valueBytes(value);
    if (typeof value === "string") return Buffer.byteLength(value);
    if (value instanceof Uint8Array) return value.length;
    throw new TypeError("a cache with bytesMax needs valueBytes for values that are neither text nor bytes");
  }

  private checkLimits(): void {
    const { keysMax = keysMaxDefault, bytesMax = Number.POSITIVE_INFINITY } = this.options;
    if (this.map.size > keysMax) throw full(`more than ${keysMax} keys (keysMax)`);
    if (this.sizeBytes > bytesMax) throw full(`more than ${bytesMax} bytes (bytesMax)`);
  }
}

const everything: Span = { from: "", to: undefined };

function given<V>(previous: KeyValue<V> | undefined): { readonly previous?: KeyValue<V> } {
  return previous === undefined ? {} : { previous };
}

/** Undefined for a value that its codec could not read: its reader is told when it looks. */
function readable<V>(kv: KeyValue<V>): V | undefined {
  try {
    return kv.value;
  } catch (error) {
    if (isEtcdError(error, "Decode")) return undefined;
    throw error;
  }
}

function full(what: string): EtcdError {
  const facts = { code: "CacheFull", grpcStatus: resourceExhausted, outcome: "not-applied" } as const;
  return new EtcdError(`the cache would hold ${what}`, facts);
}
