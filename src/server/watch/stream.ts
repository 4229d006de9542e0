/**
 * One watch stream: its watchers and its bounded, ordered queue of messages. A watcher whose event finds no room
 * falls behind and reads from the state later, so that nothing is lost, repeated or reordered (spec/server.md 4).
 */
import type { Event } from "../../../proto/gen/etcd/kv.js";
import { invariant } from "../invariant.js";
import { type CatchUpReader, portionOf, type WatchSource } from "./catch-up.js";
import type { WatchLimits } from "./limits.js";
import { isEmpty } from "./ranges.js";
import { type EventSink, eventBytes, type Watcher, type WatchOptions } from "./watcher.js";
import type { WatcherIndex } from "./watcher-index.js";

/** The id that speaks for all watchers of a stream; none may have it. */
export const everyWatcher = -1n;

/** Why a watcher was not made. */
export type Refusal = "emptyRange" | "duplicateId" | "compacted";

/** What a stream says, in the order it must be sent. `revision` is that of the header. Source: spec/server.md 4. */
export type WatchMessage =
  | { readonly kind: "created"; readonly watchId: bigint; readonly revision: number }
  | { readonly kind: "refused"; readonly reason: Refusal; readonly revision: number }
  /** Whoever asked may not watch this; `reason` is what he is told. */
  | { readonly kind: "denied"; readonly reason: string; readonly revision: number }
  | { readonly kind: "canceled"; readonly watchId: bigint; readonly revision: number }
  | { readonly kind: "compacted"; readonly watchId: bigint; readonly compactRevision: number }
  | { readonly kind: "progress"; readonly watchId: bigint; readonly revision: number }
  | EventsMessage;

/** Whole revisions, oldest first; one revision if the watcher is synced. */
export interface EventsMessage {
  readonly kind: "events";
  readonly watchId: bigint;
  readonly revision: number;
  readonly events: Event[];
  readonly fragment: boolean;
  /** About the size of the encoded events. */
  readonly sizeBytes: number;
}

/** What streams share, kept by the hub. */
export interface StreamHost {
  readonly source: WatchSource;
  readonly index: WatcherIndex;
  readonly reader: CatchUpReader;
  readonly limits: WatchLimits;
  readonly tally: WatchTally;
  /** Highest revision whose changes were offered to every synced watcher. */
  seenRevision(): number;
  closed(stream: WatchStream): void;
}

/** Counts over all streams, for metrics. */
export interface WatchTally {
  watchers: number;
  /** Watchers that are behind. */
  slowWatchers: number;
  /** Events that wait in queues. */
  pendingEvents: number;
}

export class WatchStream implements EventSink {
  private readonly host: StreamHost;
  private readonly onReady: () => void;
  private readonly watchers = new Map<bigint, Watcher>();
  private readonly behindWatchers = new Set<Watcher>();
  /** Ids of watchers that a compaction ended: as in etcd they stay taken until the client cancels them too. */
  private readonly compactedIds = new Set<bigint>();
  private queue: WatchMessage[] = [];
  private queuedBytes = 0;
  private nextId = 0n;

  constructor(host: StreamHost, onReady: () => void) {
    this.host = host;
    this.onReady = onReady;
  }

  /** Messages that wait to be taken. */
  get queued(): number {
    return this.queue.length;
  }

  get full(): boolean {
    const { queueMessagesMax, queueBytesMax } = this.host.limits;
    return this.queue.length >= queueMessagesMax || this.queuedBytes >= queueBytesMax;
  }

  /** Whether some watcher must read from the state: see {@link catchUp}. */
  get behind(): boolean {
    return this.behindWatchers.size > 0;
  }

  /** Makes a watcher, or says why not: either way exactly one message, in the order of the calls. */
  create(options: WatchOptions): void {
    const revision = this.headRevision();
    const refusal = this.refusal(options);
    if (refusal !== undefined) {
      this.push({ kind: "refused", reason: refusal, revision });
      return;
    }
    const { startRevision } = options;
    const watcher: Watcher = {
      id: options.watchId === 0n ? this.freeId() : options.watchId,
      options,
      sink: this,
      next: startRevision === 0 ? revision + 1 : startRevision,
      synced: false,
      quiet: true,
      gathered: [],
    };
    this.watchers.set(watcher.id, watcher);
    this.host.tally.watchers += 1;
    this.place(watcher, this.host.seenRevision());
    this.push({ kind: "created", watchId: watcher.id, revision });
  }

  /** Says why there is no watcher, in the place of {@link create}. */
  deny(reason: string): void {
    this.push({ kind: "denied", reason, revision: this.headRevision() });
  }

  /** Ends a watcher; an unknown id is ignored. */
  cancel(watchId: bigint): void {
    const watcher = this.watchers.get(watchId);
    if (watcher === undefined && !this.compactedIds.delete(watchId)) return;
    if (watcher !== undefined) this.drop(watcher);
    this.push({ kind: "canceled", watchId, revision: this.headRevision() });
  }

  /** One message for all watchers, if every one of them has everything up to the current revision; else nothing. */
  requestProgress(): void {
    if (this.watchers.size === 0 || this.behind) return;
    const revision = this.host.seenRevision();
    for (const watcher of this.watchers.values()) if (!reached(watcher, revision)) return;
    this.push({ kind: "progress", watchId: everyWatcher, revision });
  }

  /** The periodic progress of each watcher that wants it and had no events since the last tick. */
  tickProgress(): void {
    const revision = this.host.seenRevision();
    for (const watcher of this.watchers.values()) {
      if (!watcher.options.progressNotify) continue;
      const due = watcher.quiet && watcher.synced && reached(watcher, revision) && !this.full;
      watcher.quiet = true;
      if (due) this.push({ kind: "progress", watchId: watcher.id, revision });
    }
  }

  /** The next message to send. */
  take(): WatchMessage | undefined {
    const message = this.queue.shift();
    if (message?.kind === "events") {
      this.queuedBytes -= message.sizeBytes;
      this.host.tally.pendingEvents -= message.events.length;
    }
    return message;
  }

  offer(watcher: Watcher, revision: number, events: Event[]): void {
    invariant(watcher.synced && revision >= watcher.next, "a live event reaches a watcher that is ready for it", {
      watchId: watcher.id,
      revision,
      next: watcher.next,
    });
    if (this.full) {
      this.fallBehind(watcher, revision);
      return;
    }
    watcher.next = revision + 1;
    this.pushEvents(watcher, revision, events);
  }

  /**
   * One bounded step for the watchers that are behind: the oldest first, from one block of the state, until the queue
   * is full. Call it when the queue is empty, again and again while {@link behind}.
   */
  catchUp(): void {
    const { limits, reader } = this.host;
    this.cancelCompacted();
    const waiting = [...this.behindWatchers].toSorted((a, b) => a.next - b.next).slice(0, limits.stepWatchersMax);
    const oldest = waiting[0];
    if (oldest === undefined || this.full) return;
    const block = reader.blockFor(oldest.next);
    for (const watcher of waiting) {
      if (block === undefined || watcher.next > block.through || this.full) break;
      const { events, through } = portionOf(block, {
        options: watcher.options,
        next: watcher.next,
        bytesMax: limits.catchUpMessageBytesMax,
      });
      watcher.next = through + 1;
      if (events.length > 0) this.pushEvents(watcher, block.head, events);
      this.place(watcher, this.host.seenRevision());
    }
  }

  /** After the state was replaced: whoever is live reads on from its own next revision (spec/server.md 4.7). */
  resync(): void {
    const seen = this.host.seenRevision();
    const head = this.host.source.state.revision();
    for (const watcher of this.watchers.values()) {
      if (!watcher.synced) continue;
      watcher.next = Math.max(watcher.next, seen + 1);
      if (watcher.next <= head) this.fallBehind(watcher, watcher.next);
    }
  }

  close(): void {
    for (const watcher of this.watchers.values()) this.drop(watcher);
    while (this.queue.length > 0) this.take();
    this.host.closed(this);
  }

  /** The present of whoever reads here: the state may be ahead of what the hub was told. */
  private headRevision(): number {
    return Math.max(this.host.seenRevision(), this.host.source.state.revision());
  }

  private refusal({ startRevision, interval, watchId }: WatchOptions): Refusal | undefined {
    if (startRevision < 0) return "compacted";
    if (isEmpty(interval)) return "emptyRange";
    return watchId === everyWatcher || (watchId !== 0n && this.taken(watchId)) ? "duplicateId" : undefined;
  }

  /** Counts up, past ids that clients chose, and never back: a freed id is not given again. */
  private freeId(): bigint {
    while (this.taken(this.nextId)) this.nextId += 1n;
    this.nextId += 1n;
    return this.nextId - 1n;
  }

  private taken(id: bigint): boolean {
    return this.watchers.has(id) || this.compactedIds.has(id);
  }

  /** Live if it wants nothing that exists already, else behind. */
  private place(watcher: Watcher, head: number): void {
    if (watcher.next <= head) {
      this.fallBehind(watcher, watcher.next);
      return;
    }
    if (this.behindWatchers.delete(watcher)) this.host.tally.slowWatchers -= 1;
    if (this.host.tally.slowWatchers === 0) this.host.reader.forget();
    watcher.synced = true;
    this.host.index.add(watcher);
  }

  private fallBehind(watcher: Watcher, next: number): void {
    if (watcher.synced) this.host.index.remove(watcher);
    watcher.synced = false;
    watcher.next = next;
    if (this.behindWatchers.has(watcher)) return;
    this.behindWatchers.add(watcher);
    this.host.tally.slowWatchers += 1;
    this.onReady();
  }

  private drop(watcher: Watcher): void {
    this.watchers.delete(watcher.id);
    this.host.tally.watchers -= 1;
    if (watcher.synced) this.host.index.remove(watcher);
    if (this.behindWatchers.delete(watcher)) this.host.tally.slowWatchers -= 1;
  }

  /** Whoever wants a revision that is compacted away cannot be served any more. */
  private cancelCompacted(): void {
    const compactRevision = this.host.source.state.compactRevision();
    for (const watcher of this.behindWatchers) {
      if (watcher.next >= compactRevision) continue;
      this.drop(watcher);
      this.compactedIds.add(watcher.id);
      this.push({ kind: "compacted", watchId: watcher.id, compactRevision });
    }
  }

  private pushEvents(watcher: Watcher, revision: number, events: Event[]): void {
    const sizeBytes = events.reduce((sum, event) => sum + eventBytes(event), 0);
    watcher.quiet = false;
    this.queuedBytes += sizeBytes;
    this.host.tally.pendingEvents += events.length;
    const { fragment } = watcher.options;
    this.push({ kind: "events", watchId: watcher.id, revision, events, fragment, sizeBytes });
  }

  private push(message: WatchMessage): void {
    this.queue.push(message);
    this.onReady();
  }
}

/** Whether a synced watcher has everything up to `revision`, and not merely because it starts later. */
function reached(watcher: Watcher, revision: number): boolean {
  return watcher.options.startRevision <= revision && watcher.next <= revision + 1;
}
