/**
 * Random histories, watchers with every option that come and go, slow consumers, compactions, replaced states and a
 * hub that hears late: what each watcher was sent is held against the plain history (spec/raft-storage.md 6.1).
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Event } from "../../../proto/gen/etcd/kv.js";
import type { Applied } from "../../../src/server/state/types.js";
import { contains, isEmpty } from "../../../src/server/watch/ranges.js";
import type { WatchMessage, WatchStream } from "../../../src/server/watch/stream.js";
import type { WatchOptions } from "../../../src/server/watch/watcher.js";
import { HubWorld, text, watching } from "./hub-world.js";
import type { History, NaiveStore, Write } from "./naive-store.js";

const key = fc.constantFrom("a", "b", "c", "d");
const write: fc.Arbitrary<Write> = fc.record({ kind: fc.constantFrom("put", "put", "delete"), key });

const watch = fc.record({
  key,
  rangeEnd: fc.constantFrom("", "", "\0", "c", "e"),
  /** Where to start, from the revision of that moment; undefined for revision 0. */
  startOffset: fc.option(fc.integer({ min: -12, max: 5 }), { nil: undefined }),
  puts: fc.boolean(),
  deletes: fc.boolean(),
  previousKv: fc.boolean(),
  progressNotify: fc.boolean(),
});

const place = fc.nat({ max: 2 });
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("write"), writes: fc.array(write, { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("tell") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("create"), place, watch }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel"), place, watchId: fc.nat({ max: 4 }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("take"), place, count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("catchUp"), place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("progress"), place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("tick") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact"), back: fc.nat({ max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("replace"), writes: fc.array(write, { maxLength: 4 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface Watched {
  readonly options: WatchOptions;
  readonly received: { readonly revision: number; readonly events: readonly Event[] }[];
  createdAt: number;
  progressedTo: number;
  ended: "no" | "canceled" | { readonly compactedAt: number; freed: boolean };
}

/** The other end of a stream: it believes nothing and checks every message as it comes. */
class Client {
  readonly watchers = new Map<bigint, Watched>();
  private readonly requested: WatchOptions[] = [];

  create(stream: WatchStream, options: WatchOptions): void {
    this.requested.push(options);
    stream.create(options);
  }

  receive(message: WatchMessage, store: NaiveStore): void {
    switch (message.kind) {
      case "created":
        return this.created(message);
      case "denied":
        throw new Error("nobody denies anything here");
      case "refused":
        expect(this.requested.shift()?.interval).toSatisfy(isEmpty);
        return;
      case "canceled":
        return this.canceled(message.watchId);
      case "compacted":
        this.alive(message.watchId).ended = { compactedAt: message.compactRevision, freed: false };
        return;
      case "progress":
        return this.progress(message);
      case "events":
        return this.events(message, store);
    }
  }

  private created({ watchId, revision }: { readonly watchId: bigint; readonly revision: number }): void {
    const options = this.requested.shift();
    if (options === undefined) throw new Error("created without a request");
    expect(isEmpty(options.interval)).toBe(false);
    expect(this.watchers.has(watchId)).toBe(false);
    this.watchers.set(watchId, { options, received: [], createdAt: revision, progressedTo: 0, ended: "no" });
  }

  /** A watcher that a compaction ended may be canceled once more, to free its id. */
  private canceled(watchId: bigint): void {
    const ended = this.watchers.get(watchId)?.ended;
    if (typeof ended !== "object") {
      this.alive(watchId).ended = "canceled";
      return;
    }
    expect(ended.freed).toBe(false);
    ended.freed = true;
  }

  private alive(watchId: bigint): Watched {
    const watched = this.watchers.get(watchId);
    if (watched === undefined) throw new Error(`watcher ${watchId} was never created`);
    expect(watched.ended).toBe("no");
    return watched;
  }

  private progress({ watchId, revision }: { readonly watchId: bigint; readonly revision: number }): void {
    const covered =
      watchId === -1n ? [...this.watchers.values()].filter(({ ended }) => ended === "no") : [this.alive(watchId)];
    expect(covered.length).toBeGreaterThan(0);
    for (const watched of covered) {
      expect(watched.options.startRevision).toBeLessThanOrEqual(revision);
      expect(revision).toBeGreaterThanOrEqual(watched.progressedTo);
      watched.progressedTo = revision;
    }
  }

  private events(message: Extract<WatchMessage, { kind: "events" }>, store: NaiveStore): void {
    const watched = this.alive(message.watchId);
    const revisions = message.events.map(({ kv }) => Number(kv?.modRevision));
    const before = watched.received.at(-1)?.events.at(-1)?.kv?.modRevision ?? 0n;
    expect(revisions.length).toBeGreaterThan(0);
    // Ordered, and a revision never split over two messages.
    expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
    expect(revisions[0]).toBeGreaterThan(Number(before));
    // Bookmarkable: nothing at or below what progress promised.
    expect(revisions[0]).toBeGreaterThan(watched.progressedTo);
    expect(message.revision).toBeGreaterThanOrEqual(revisions.at(-1) ?? 0);
    expect(message.revision).toBeLessThanOrEqual(store.revision);
    watched.received.push({ revision: message.revision, events: message.events });
  }
}

function firstWanted({ options, createdAt }: Watched): number {
  return options.startRevision === 0 ? createdAt + 1 : options.startRevision;
}

/** What a watcher must see in the end, were it never canceled. */
function expectedOf(watched: Watched, store: NaiveStore): History[] {
  const { options } = watched;
  const from = firstWanted(watched);
  return store.history.filter(
    (entry) =>
      entry.revision >= from &&
      contains(options.interval, entry.key) &&
      (entry.kind === "put" ? options.puts : options.deletes),
  );
}

function shape(events: readonly Event[]): string[] {
  return events.map(
    ({ type, kv }) => `${type === 0 ? "put" : "delete"} ${text(kv?.key)}@${kv?.modRevision}=${text(kv?.value)}`,
  );
}

function shapeOf(history: readonly History[]): string[] {
  return history.map(({ kind, key: name, revision, kv }) => `${kind} ${name}@${revision}=${text(kv.value)}`);
}

function checkWatcher(watched: Watched, store: NaiveStore): void {
  const events = watched.received.flatMap((message) => message.events);
  const expected = expectedOf(watched, store);
  const seen = shape(events);
  const wanted = shapeOf(expected);
  if (watched.ended === "no") {
    // Unique, reliable, resumable.
    expect(seen).toEqual(wanted);
  } else {
    expect(seen).toEqual(wanted.slice(0, seen.length));
    const promised = expected.filter(({ revision }) => revision <= watched.progressedTo);
    expect(seen.length).toBeGreaterThanOrEqual(promised.length);
    const next = expected[seen.length];
    // It ended between two revisions,
    expect(next?.revision).not.toBe(expected[seen.length - 1]?.revision ?? 0);
    // and not for a compaction that left everything it still wanted.
    if (watched.ended !== "canceled") {
      const last = Number(events.at(-1)?.kv?.modRevision ?? 0);
      expect(Math.max(last + 1, firstWanted(watched))).toBeLessThan(watched.ended.compactedAt);
    }
  }
  for (const [at, { prevKv }] of events.entries()) {
    const replaced = expected[at]?.replaced;
    if (prevKv === undefined) {
      // Missing only if nobody asked, nothing was there, or it is compacted.
      const gone = (expected[at]?.revision ?? 0) - 1 < store.compactRevision;
      expect(!watched.options.previousKv || replaced === undefined || gone).toBe(true);
    } else {
      expect(watched.options.previousKv).toBe(true);
      expect(prevKv).toEqual(replaced);
    }
  }
}

class Run {
  readonly world = new HubWorld({
    queueMessagesMax: 3,
    queueBytesMax: 400,
    blockRevisionsMax: 4,
    blockBytesMax: 14,
    catchUpMessageBytesMax: 250,
    stepWatchersMax: 3,
  });
  private readonly streams = [0, 1, 2].map(() => ({ stream: this.world.open(), client: new Client() }));
  private untold: Applied[] = [];

  do(one: Step): void {
    const { store, hub } = this.world;
    switch (one.kind) {
      case "write":
        this.untold.push(store.apply(...one.writes));
        return;
      case "tell":
        return this.tell();
      case "create": {
        const { key: start, startOffset, ...rest } = one.watch;
        const startRevision = startOffset === undefined ? 0 : Math.max(1, store.revision + startOffset);
        const options = watching(start, { ...rest, startRevision });
        this.at(one.place).client.create(this.at(one.place).stream, options);
        return;
      }
      case "cancel":
        return this.at(one.place).stream.cancel(BigInt(one.watchId));
      case "take":
        return this.take(one.place, one.count);
      case "catchUp":
        return this.at(one.place).stream.catchUp();
      case "progress":
        return this.at(one.place).stream.requestProgress();
      case "tick":
        return this.world.tick();
      case "compact":
        return store.compact(Math.max(store.compactRevision, store.revision - one.back));
      case "replace":
        // A snapshot holds more than the hub was ever told.
        this.tell();
        for (const single of one.writes) store.apply(single);
        return hub.restored();
    }
  }

  finish(): void {
    this.tell();
    for (const [at, { stream: open, client }] of this.streams.entries()) {
      do {
        this.take(at, 1000);
        open.catchUp();
      } while (open.behind || open.queued > 0);
      for (const watched of client.watchers.values()) checkWatcher(watched, this.world.store);
      open.close();
    }
    expect(this.world.hub.stats()).toEqual({ streams: 0, watchers: 0, slowWatchers: 0, pendingEvents: 0 });
  }

  private tell(): void {
    this.world.hub.onApplied(this.untold);
    this.untold = [];
  }

  private take(at: number, count: number): void {
    const { stream: open, client } = this.at(at);
    for (let taken = 0; taken < count; taken += 1) {
      const message = open.take();
      if (message === undefined) return;
      client.receive(message, this.world.store);
    }
  }

  private at(at: number): { readonly stream: WatchStream; readonly client: Client } {
    const found = this.streams[at];
    if (found === undefined) throw new Error("no such stream");
    return found;
  }
}

describe("whatever happens, each watcher", () => {
  it("sees exactly its events: ordered, unique, whole revisions, nothing at or below its progress", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
        const run = new Run();
        for (const one of steps) run.do(one);
        run.finish();
      }),
      { numRuns: 600 },
    );
  });
});
