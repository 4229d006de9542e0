/**
 * What has arrived for the reader of a watch and was not read yet. It says when it is full, by events and by bytes;
 * whoever fills it then holds back, so memory is bounded.
 */
import type { WatchResponse } from "../../../proto/gen/etcd/rpc.js";

/** The most a full inbox may hold; what makes it full is still taken whole. */
export interface InboxLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
}
interface Weight {
  readonly events: number;
  readonly bytes: number;
}
interface Entry {
  readonly response: WatchResponse;
  readonly weight: Weight;
}

/** Read entries are cut off the front once there are so many of them. */
const readEntriesMax = 64;

export class WatchInbox implements AsyncIterable<WatchResponse> {
  private readonly limits: InboxLimits;
  private entries: Entry[] = [];
  /** Entries before this one were read. */
  private start = 0;
  private events = 0;
  private bytes = 0;
  private ending: { readonly error: unknown } | "end" | undefined;
  /** Readers that wait for a message, and writers that wait for room. */
  private readers: (() => void)[] = [];
  private writers: (() => void)[] = [];

  constructor(limits: InboxLimits) {
    this.limits = limits;
  }

  get full(): boolean {
    return this.events >= this.limits.eventsMax || this.bytes >= this.limits.bytesMax;
  }

  get empty(): boolean {
    return this.start === this.entries.length;
  }

  /** Takes the message even if full; a writer that minds waits for `room()` first. */
  push(response: WatchResponse): void {
    if (this.ending !== undefined) return;
    const weight = weightOf(response);
    this.entries.push({ response, weight });
    this.events += weight.events;
    this.bytes += weight.bytes;
    if (this.readers.length > 0) wake(this.readers);
  }

  /** Of several messages about progress in a row, only the newest tells anything. */
  pushProgress(response: WatchResponse): void {
    const newest = this.empty ? undefined : this.entries.at(-1);
    if (newest !== undefined && newest.response.events.length === 0) {
      this.entries.pop();
      this.release(newest.weight);
    }
    this.push(response);
  }

  /** Resolves when there is room, when nothing more will be read, or when the inbox ends. */
  async room(): Promise<void> {
    while (this.full && this.ending === undefined) await waiting(this.writers);
  }

  /** What was pushed is still read; then the reader's loop ends. */
  end(): void {
    this.ending ??= "end";
    wake(this.readers);
    wake(this.writers);
  }

  /** What was pushed is still read; then the reader gets the error, once. */
  fail(error: unknown): void {
    this.ending ??= { error };
    wake(this.readers);
    wake(this.writers);
  }

  /** The oldest message that was not read, if there is one; it stays. */
  peek(): WatchResponse | undefined {
    return this.entries[this.start]?.response;
  }

  /** The revision of the oldest event that was not read; undefined if there is none. */
  get oldestRevision(): bigint | undefined {
    for (let index = this.start; index < this.entries.length; index++) {
      const event = this.entries[index]?.response.events[0];
      if (event !== undefined) return event.kv?.modRevision;
    }
    return undefined;
  }

  /** Takes the oldest message out. */
  shift(): WatchResponse | undefined {
    const entry = this.entries[this.start];
    if (entry === undefined) return undefined;
    this.start++;
    this.release(entry.weight);
    // A read entry must not keep its message alive; cutting in steps keeps a long queue from being moved for every item.
    if (this.start === this.entries.length || this.start >= readEntriesMax) {
      this.entries = this.start === this.entries.length ? [] : this.entries.slice(this.start);
      this.start = 0;
    }
    if (this.writers.length > 0) wake(this.writers);
    return entry.response;
  }

  /** Readers that have left get to know it. */
  wakeReaders(): void {
    wake(this.readers);
  }

  /**
   * Resolves with true when there is a message to read, with false at the end, or after `wakeReaders` if the reader has
   * left; rejects with the error, once.
   */
  async ready(hasLeft: () => boolean = () => false): Promise<boolean> {
    for (;;) {
      if (hasLeft()) return false;
      if (!this.empty) return true;
      if (this.ending !== undefined) return this.over(this.ending);
      await waiting(this.readers);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchResponse> {
    while (await this.ready()) {
      const response = this.shift();
      if (response !== undefined) yield response;
    }
  }

  private release(weight: Weight): void {
    this.events -= weight.events;
    this.bytes -= weight.bytes;
  }

  private over(ending: { readonly error: unknown } | "end"): false {
    if (ending === "end") return false;
    this.ending = "end";
    throw ending.error;
  }
}

/** A message about progress counts as an event, so that there cannot be any number of them. */
function weightOf({ events }: WatchResponse): Weight {
  let bytes = 0;
  for (const { kv, prevKv } of events) {
    bytes += (kv?.key.length ?? 0) + (kv?.value.length ?? 0) + (prevKv?.value.length ?? 0);
  }
  return { events: Math.max(1, events.length), bytes };
}

function wake(waiters: (() => void)[]): void {
  for (const waiter of waiters.splice(0)) waiter();
}

function waiting(waiters: (() => void)[]): Promise<void> {
  return new Promise((resolve) => waiters.push(resolve));
}
