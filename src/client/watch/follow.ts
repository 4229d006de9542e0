/** What is there and then what changes, as one sequence: a snapshot, and the changes after its revision. */
import { isEtcdError } from "../errors.js";
import type { KeyRange, KeyValue, Kv } from "../kv/types.js";
import type { Delta, FollowOptions, Snapshot, Watch, WatchBatch } from "./types.js";

type Source<V> = Pick<Kv<V>, "scan" | "watch">;

/**
 * Reads nothing before it is iterated; each loop follows on its own, and leaving it closes its watch. A compaction that
 * takes what was not delivered yet leads to another snapshot, or to a CompactedError if `onCompacted` is "throw".
 */
export function startFollow<V>(
  source: Source<V>,
  range: KeyRange,
  options: FollowOptions,
): AsyncIterable<Snapshot<V> | Delta<V>> {
  return { [Symbol.asyncIterator]: () => followed(source, range, options) };
}

async function* followed<V>(
  source: Source<V>,
  range: KeyRange,
  options: FollowOptions,
): AsyncGenerator<Snapshot<V> | Delta<V>, void, undefined> {
  const onCompacted = options.onCompacted ?? "resync";
  for (let resync = false; ; resync = true) {
    const snapshot = await wholeSnapshot(source, range, { ...options, resync });
    // Its revision may be compacted away before the watch is up, which is then another compaction like any.
    await using watch = source.watch(range, { ...options, from: snapshot.revision + 1n });
    yield snapshot;
    try {
      yield* deltas(watch);
      return;
    } catch (error) {
      if (onCompacted === "throw" || !isEtcdError(error, "Compacted")) throw error;
    }
  }
}

async function* deltas<V>(watch: Watch<V>): AsyncGenerator<Delta<V>, void, undefined> {
  for await (const { revision, events } of watch as AsyncIterable<WatchBatch<V>>) {
    yield { kind: "delta", revision, events };
  }
}

/** All pages are as of one revision. If that is compacted while they are read, all of it is read again at a later one. */
async function wholeSnapshot<V>(
  source: Source<V>,
  range: KeyRange,
  options: FollowOptions & { readonly resync: boolean },
): Promise<Snapshot<V>> {
  const { signal, timeoutMs, target, requireLeader, metadata, pageSize, resync } = options;
  const given = { signal, timeoutMs, target, requireLeader, metadata, pageSize };
  const scanOptions = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  for (;;) {
    try {
      const kvs = new Map<string, KeyValue<V>>();
      let revision = 0n;
      for await (const page of source.scan(range, scanOptions).pages()) {
        revision = page.revision;
        for (const kv of page.kvs) kvs.set(kv.key, kv);
      }
      return { kind: "snapshot", revision, kvs, resync };
    } catch (error) {
      if (!isEtcdError(error, "Compacted")) throw error;
    }
  }
}
