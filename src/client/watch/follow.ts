/** What is there and then what changes, as one sequence: a snapshot, and the changes after its revision. */
import { linkSignals, sleep } from "../calls/abort.js";
import { isEtcdError } from "../errors.js";
import type { KeyRange, KeyValue, Kv } from "../kv/types.js";
import type { Delta, FollowOptions, Snapshot, Watch, WatchBatch } from "./types.js";

type Source<V> = Pick<Kv<V>, "scan" | "watch">;

/** Between attempts at another snapshot while servers fail. */
const retryMs = 250;

/**
 * Reads nothing before it is iterated; each loop follows on its own, and leaving it closes its watch. A compaction that
 * takes what was not delivered yet leads to another snapshot, or to a CompactedError if `onCompacted` is "throw".
 */
export function startFollow<V>(
  source: Source<V>,
  range: KeyRange,
  options: FollowOptions,
): AsyncIterable<Snapshot<V> | Delta<V>> {
  return { [Symbol.asyncIterator]: () => new Follower(source, range, options) };
}

/** One loop. Written out around a generator, which could not be left while one of its steps waits for news. */
class Follower<V> implements AsyncIterator<Snapshot<V> | Delta<V>, undefined> {
  private readonly source: Source<V>;
  private readonly range: KeyRange;
  private readonly options: FollowOptions;
  private readonly leaving = new AbortController();
  private readonly steps: AsyncGenerator<Snapshot<V> | Delta<V>, undefined, undefined>;

  constructor(source: Source<V>, range: KeyRange, options: FollowOptions) {
    this.source = source;
    this.range = range;
    this.options = options;
    this.steps = this.run();
  }

  next(): Promise<IteratorResult<Snapshot<V> | Delta<V>, undefined>> {
    return this.steps.next();
  }

  return(): Promise<IteratorResult<Snapshot<V> | Delta<V>, undefined>> {
    this.leaving.abort();
    return this.steps.return(undefined);
  }

  private async *run(): AsyncGenerator<Snapshot<V> | Delta<V>, undefined, undefined> {
    const link = linkSignals(this.leaving.signal, this.options.signal);
    try {
      yield* this.followed(link.signal);
    } catch (error) {
      if (!this.leaving.signal.aborted) throw error;
    } finally {
      link.dispose();
    }
    return undefined;
  }

  private async *followed(signal: AbortSignal): AsyncGenerator<Snapshot<V> | Delta<V>, void, undefined> {
    const onCompacted = this.options.onCompacted ?? "resync";
    let snapshot = await this.snapshot(signal, false);
    for (;;) {
      // Its revision may be compacted away before the watch is up, which is then another compaction like any.
      await using watch = this.source.watch(this.range, { ...this.options, signal, from: snapshot.revision + 1n });
      yield snapshot;
      try {
        yield* deltas(watch);
        return;
      } catch (error) {
        if (onCompacted === "throw" || !isEtcdError(error, "Compacted")) throw error;
      }
      const another = await this.nextSnapshot(signal);
      if (another === undefined) return;
      snapshot = another;
    }
  }

  /** Outages are waited out, as by the watch before; undefined when the client was closed. */
  private async nextSnapshot(signal: AbortSignal): Promise<Snapshot<V> | undefined> {
    const { maxDisconnectedMs = Number.POSITIVE_INFINITY } = this.options;
    const startedMs = performance.now();
    for (;;) {
      try {
        return await this.snapshot(signal, true);
      } catch (error) {
        if (isEtcdError(error, "ClientClosed")) return undefined;
        const passing = isEtcdError(error) && error.retryable;
        if (!passing || performance.now() - startedMs >= maxDisconnectedMs) throw error;
        await sleep(Math.random() * retryMs, signal);
      }
    }
  }

  /** All pages are as of one revision. If that is compacted while they are read, all of it is read again, later. */
  private async snapshot(signal: AbortSignal, resync: boolean): Promise<Snapshot<V>> {
    const { timeoutMs, target, requireLeader, metadata, pageSize } = this.options;
    const given = { timeoutMs, target, requireLeader, metadata, pageSize };
    const some = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    for (;;) {
      try {
        const kvs = new Map<string, KeyValue<V>>();
        let revision = 0n;
        for await (const page of this.source.scan(this.range, { ...some, signal }).pages()) {
          revision = page.revision;
          for (const kv of page.kvs) kvs.set(kv.key, kv);
        }
        return { kind: "snapshot", revision, kvs, resync };
      } catch (error) {
        if (!isEtcdError(error, "Compacted")) throw error;
      }
    }
  }
}

async function* deltas<V>(watch: Watch<V>): AsyncGenerator<Delta<V>, void, undefined> {
  for await (const { revision, events } of watch as AsyncIterable<WatchBatch<V>>) {
    yield { kind: "delta", revision, events };
  }
}
