/** What makes a watch exact: where to resume, what was passed on already, and whole revisions out of fragments. Pure. */
import type { ResponseHeader, WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { SlowConsumerError } from "../errors.js";

/**
 * Whether an answer to a progress request speaks for a watcher. Answers are for all watchers that were on the stream when
 * the server made them, so an answer may be older than a watcher that has joined since: that is "unclear".
 */
export type Coverage = "covered" | "unclear";

/** A position in the history of the store, kept over all streams of one watch. Never moves back. */
export class Bookmark {
  /** The first revision of the watch. */
  first: bigint;
  private next: bigint;
  /** Events below are repeats on the stream at hand. */
  private floor: bigint;
  /**
   * A progress message that was asked for. Old servers could send it ahead of events they still held, so it counts
   * only once the next one has come: by then those events have arrived.
   */
  private unverified: bigint | undefined;
  private streamStart = 0n;
  /** The next stream asks for the revision before `next`, which is known to exist. */
  private early: boolean;
  /** The highest revision the server has shown on the stream at hand. */
  private seen = 0n;

  /**
   * `start` is the first revision wanted; 0n leaves it to the first `created`. "early" is for watches that want progress
   * and start right after a revision that exists: servers tell none to a watcher that is ahead of their store. The
   * price is that a server counts such a watcher as one that catches up, which may cost its first event some time.
   */
  constructor(start: bigint, asking: "exactly" | "early" = "exactly") {
    this.first = start;
    this.next = start;
    this.floor = start;
    this.early = asking === "early";
  }

  /** Where a new stream has to start. */
  get resume(): bigint {
    return this.next;
  }

  /** The revision that the next stream asks for. What comes twice because it asks early is dropped. */
  beginStream(): bigint {
    this.floor = this.next;
    this.unverified = undefined;
    this.streamStart = this.early ? this.next - 1n : this.next;
    this.seen = 0n;
    return this.streamStart;
  }

  /** True if a compaction took only what was asked for early: nothing is lost, and the next stream asks exactly. */
  forgives(response: WatchResponse): boolean {
    const forgiven = this.streamStart < this.next && response.compactRevision === this.next;
    if (forgiven) this.early = false;
    return forgiven;
  }

  /** True while the server may not yet have reached the start of the stream: it then answers no progress request. */
  get serverMayBeSilent(): boolean {
    return this.seen < this.streamStart;
  }

  created(revision: bigint): void {
    this.seen = revision;
    if (this.next !== 0n) return;
    this.first = revision + 1n;
    this.next = this.first;
  }

  /** The server was heard, by another way than this watch, to have come so far. */
  heardOf(revision: bigint): void {
    if (revision > this.seen) this.seen = revision;
  }

  /** What of the message is new to the reader; undefined if nothing is. `coverage` is about progress that was asked for. */
  pass(response: WatchResponse, coverage: Coverage = "covered"): WatchResponse | undefined {
    const revision = response.header?.revision ?? 0n;
    this.heardOf(revision);
    const { events } = response;
    if (events.length === 0) {
      if (coverage === "covered") this.onProgress(revision, response.watchId);
      return response;
    }
    const last = revisionOf(events.at(-1));
    if (last < this.floor) return undefined;
    // Revisions never decrease within a message, so that repeats are at its front.
    const repeats =
      revisionOf(events[0]) >= this.floor ? 0 : events.findIndex((each) => revisionOf(each) >= this.floor);
    this.floor = last;
    this.advance(last + 1n);
    return repeats === 0 ? response : { ...response, events: events.slice(repeats) };
  }

  /** True if after this message the watch has everything the server had when it sent it. */
  caughtUpWith(response: WatchResponse): boolean {
    return response.events.length === 0 || this.next > (response.header?.revision ?? 0n);
  }

  /** The error for a reader that was too slow for `response`, which it therefore does not get. */
  slowConsumer(response: WatchResponse): SlowConsumerError {
    return new SlowConsumerError(response.events[0]?.kv?.modRevision ?? this.next);
  }

  private onProgress(revision: bigint, watchId: bigint): void {
    if (watchId !== broadcastId) return this.advance(revision + 1n);
    if (this.unverified !== undefined) this.advance(this.unverified + 1n);
    this.unverified = revision;
  }

  private advance(next: bigint): void {
    if (next > this.next) this.next = next;
  }
}

function revisionOf(event: WatchResponse["events"][number] | undefined): bigint {
  return event?.kv?.modRevision ?? 0n;
}

/** The watch id of an answer to a progress request: it speaks for all watchers of its stream. */
export const broadcastId = -1n;

/** A progress message for a reader, made here because the server stays silent when nothing is newer than the start. */
export function progressMessage(header: ResponseHeader): WatchResponse {
  return {
    header,
    watchId: broadcastId,
    created: false,
    canceled: false,
    compactRevision: 0n,
    cancelReason: "",
    fragment: false,
    events: [],
  };
}

/**
 * Makes whole revisions out of the fragments of one watcher's messages: what is complete is passed on at once, since a
 * message may be larger than memory, and only the last revision of a piece has to wait for the next one. What a stream
 * that ends leaves in here is resent by the next one.
 */
export class Fragments {
  /** Of one revision, which may go on in the next piece. */
  private tail: WatchResponse["events"] = [];

  /** What is whole after this piece; undefined if that is nothing. */
  join(response: WatchResponse): WatchResponse | undefined {
    const { events, fragment } = response;
    if (!fragment && this.tail.length === 0) return response;
    const joined = this.tail;
    // Pushed and not spread: a revision may have more events than a call may have arguments.
    for (const event of events) joined.push(event);
    this.tail = fragment ? joined.splice(startOfLast(joined)) : [];
    return joined.length === 0 && fragment ? undefined : { ...response, events: joined, fragment: false };
  }
}

/** Where the last revision of the events begins. */
function startOfLast(events: WatchResponse["events"]): number {
  const last = revisionOf(events.at(-1));
  let index = events.length;
  while (index > 0 && revisionOf(events[index - 1]) === last) index--;
  return index;
}
