/** What makes a watch exact: where to resume, what was passed on already, and whole revisions out of fragments. Pure. */
import type { ResponseHeader, WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import type { StatusName } from "../../../proto/status.js";
import { SlowConsumerError, statusName } from "../errors.js";

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

  /** What of the message is new to the reader; undefined if nothing is. */
  pass(response: WatchResponse): WatchResponse | undefined {
    const revision = response.header?.revision ?? 0n;
    if (revision > this.seen) this.seen = revision;
    if (response.events.length === 0) {
      this.onProgress(revision, response.watchId);
      return response;
    }
    const events = response.events.filter((event) => (event.kv?.modRevision ?? 0n) >= this.floor);
    const last = events.at(-1)?.kv?.modRevision;
    if (last === undefined) return undefined;
    this.floor = last;
    this.advance(last + 1n);
    return events.length === response.events.length ? response : { ...response, events };
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

/** The messages with their fragments joined. A stream that ends in the middle loses the pieces, which are resent. */
export async function* joinFragments(stream: AsyncIterable<WatchResponse>): AsyncGenerator<WatchResponse> {
  let pieces: WatchResponse["events"] = [];
  for await (const response of stream) {
    if (response.fragment) {
      pieces = [...pieces, ...response.events];
      continue;
    }
    if (pieces.length === 0) yield response;
    else yield { ...response, events: [...pieces, ...response.events] };
    pieces = [];
  }
}

/** The status inside a cancel reason such as `rpc error: code = X desc = text`. */
export function cancelText(reason: string): string {
  return /^rpc error: code = \w+ desc = (.*)$/s.exec(reason)?.[1] ?? reason;
}

const tokenRefusals: ReadonlySet<StatusName> = new Set(["InvalidAuthToken", "AuthOldRevision", "UserEmpty"]);

/** True if the watch was refused for its token, which may have run out while it was disconnected. */
export function refusedForToken(response: WatchResponse): boolean {
  const name = statusName(cancelText(response.cancelReason));
  return name !== undefined && tokenRefusals.has(name);
}
