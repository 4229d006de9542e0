/** One reader of a cache's changes, with a queue of its own that has an end. */
import { type KeyRange, SlowConsumerError, type WatchEvent } from "../index.js";
import { byteKey, type Span, spanOf, within } from "./key-order.js";
import type { CacheBatch, CacheWatchOptions } from "./types.js";

const highWaterMarkDefault = 65_536;

export class Subscription<V> {
  private readonly span: Span;
  private readonly eventsMax: number;
  private readonly queue: CacheBatch<V>[] = [];
  private held = 0;
  private ending: { readonly error: unknown } | "end" | undefined;
  private wake: () => void = () => {};

  constructor(range: KeyRange, options: CacheWatchOptions) {
    this.span = spanOf(range);
    this.eventsMax = options.highWaterMark ?? highWaterMarkDefault;
  }

  /** What there is at the start, also if that is nothing. */
  begin(batch: CacheBatch<V>): void {
    this.held += batch.events.length;
    this.queue.push(batch);
  }

  /** What of the batch is in the range. A reader that is too far behind gets an error in its place. */
  push(batch: CacheBatch<V>): void {
    if (this.ending !== undefined) return;
    const events = batch.events.filter((event) => within(byteKey(keyOf(event)), this.span));
    if (events.length === 0) return;
    // A batch that is too large by itself still gets through to a reader that has kept up.
    if (this.held > 0 && this.held + events.length > this.eventsMax) {
      this.end({ error: new SlowConsumerError(batch.revision) });
      return;
    }
    this.held += events.length;
    this.queue.push({ ...batch, events });
    this.wake();
  }

  /** What was pushed is still read. */
  end(ending: { readonly error: unknown } | "end"): void {
    this.ending ??= ending;
    this.wake();
  }

  /** One reader; `leave` is called when it is done. */
  async *batches(leave: () => void): AsyncGenerator<CacheBatch<V>, undefined> {
    try {
      for (;;) {
        const next = this.queue.shift();
        if (next !== undefined) {
          this.held -= next.events.length;
          yield next;
        } else if (this.ending === undefined) {
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
        } else if (this.ending === "end") return undefined;
        else throw this.ending.error;
      }
    } finally {
      leave();
    }
  }
}

function keyOf<V>(event: WatchEvent<V>): Uint8Array {
  return event.type === "put" ? event.kv.keyBytes : event.keyBytes;
}
