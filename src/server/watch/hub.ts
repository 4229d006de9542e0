/**
 * Takes what the state machine applied and hands each change to the watchers that want it. Synchronous: it owns no
 * timer; its owner calls {@link WatchHub.onApplied} after every batch and {@link WatchHub.tick} now and then.
 */
import { invariant } from "../invariant.js";
import type { Applied, RevisionChanges } from "../state/types.js";
import { CatchUpReader, type WatchSource } from "./catch-up.js";
import { defaultWatchLimits, type WatchLimits } from "./limits.js";
import { type StreamHost, WatchStream, type WatchTally } from "./stream.js";
import { WatchedChange, type Watcher } from "./watcher.js";
import { WatcherIndex } from "./watcher-index.js";

export interface WatchHubOptions {
  readonly source: WatchSource;
  readonly clock: { monotonicMs(): number };
  /** Spreads the periodic progress of streams. */
  readonly random: { below(bound: number): number };
  readonly progressNotifyIntervalMs: number;
  readonly limits?: Partial<WatchLimits>;
  /** Told how many events each applied batch put into streams. */
  readonly onEvents?: (count: number) => void;
}

export interface WatchStats extends Readonly<WatchTally> {
  readonly streams: number;
}

/** Builds the hub of one member. It starts at the state's current revision. */
export function createWatchHub(options: WatchHubOptions): WatchHub {
  return new WatchHub(options);
}

export class WatchHub {
  private readonly options: WatchHubOptions;
  private readonly host: StreamHost;
  /** Each open stream and when its next progress tick is due, in monotonic milliseconds. */
  private readonly streams = new Map<WatchStream, number>();
  /** The hub's present: every synced watcher has, or has in its queue, all that it wants up to here. */
  private seen: number;
  private lastDelivered = 0;

  constructor(options: WatchHubOptions) {
    this.options = options;
    this.seen = options.source.state.revision();
    const limits = { ...defaultWatchLimits, ...options.limits };
    this.host = {
      source: options.source,
      index: new WatcherIndex(),
      reader: new CatchUpReader(options.source, limits),
      limits,
      tally: { watchers: 0, slowWatchers: 0, pendingEvents: 0 },
      seenRevision: () => this.seen,
      closed: (stream) => this.streams.delete(stream),
    };
  }

  /** Opens a stream; its opener closes it. `onReady` is called whenever there may be something to take or to read. */
  open(onReady: () => void): WatchStream {
    const stream = new WatchStream(this.host, onReady);
    this.streams.set(stream, this.nextProgressMs(this.options.clock.monotonicMs()));
    return stream;
  }

  /** Every applied batch, in order, each once. */
  onApplied(batch: readonly Applied[]): void {
    let events = 0;
    for (const { changes } of batch) if (changes !== undefined) events += this.deliver(changes);
    if (events > 0) this.options.onEvents?.(events);
  }

  /** Sends the periodic progress that is due. Call it several times per progress interval. */
  tick(nowMs: number): void {
    for (const [stream, dueMs] of this.streams) {
      if (nowMs < dueMs) continue;
      this.streams.set(stream, this.nextProgressMs(nowMs));
      stream.tickProgress();
    }
  }

  /** The state was replaced by a later one (a snapshot was installed): every watcher reads on from where it stands. */
  restored(): void {
    this.host.reader.forget();
    for (const stream of this.streams.keys()) stream.resync();
    this.seen = Math.max(this.seen, this.options.source.state.revision());
  }

  stats(): WatchStats {
    return { streams: this.streams.size, ...this.host.tally };
  }

  private nextProgressMs(nowMs: number): number {
    const { progressNotifyIntervalMs: intervalMs, random } = this.options;
    return nowMs + intervalMs + random.below(Math.floor(intervalMs / 10) + 1);
  }

  /** Returns how many events found a watcher. */
  private deliver({ revision, changes }: RevisionChanges): number {
    invariant(revision > this.lastDelivered, "revisions reach the hub in order", {
      revision,
      last: this.lastDelivered,
    });
    this.lastDelivered = revision;
    this.seen = Math.max(this.seen, revision);
    if (this.host.index.size === 0) return 0;
    const touched: Watcher[] = [];
    for (const change of changes) {
      const watched = new WatchedChange(change);
      this.host.index.forEachWatching(watched.key, (watcher) => {
        // Below its start, or already read from the state by a watcher that was quicker than this call.
        if (revision < watcher.next) return;
        const event = watched.eventFor(watcher.options);
        if (event === undefined) return;
        if (watcher.gathered.length === 0) touched.push(watcher);
        watcher.gathered.push(event);
      });
    }
    return touched.reduce((sum, watcher) => sum + this.hand(watcher, revision), 0);
  }

  private hand(watcher: Watcher, revision: number): number {
    const events = watcher.gathered;
    watcher.gathered = [];
    watcher.sink.offer(watcher, revision, events);
    return events.length;
  }
}
