/** The hub and its streams, case by case: spec/server.md 4 and the watch traps of 15.4. */
import { describe, expect, it } from "vitest";
import { drain, HubWorld, lines, takeAll, text, watching } from "./hub-world.js";
import { put, remove } from "./naive-store.js";

describe("creating a watcher", () => {
  it("answers created before any event of it", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 created @1", "0 events @2: put a@2"]);
  });

  it("counts ids from zero, past those in use, and gives a freed one to nobody", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { watchId: 1n }));
    stream.create(watching("a"));
    stream.create(watching("a"));
    stream.cancel(0n);
    stream.create(watching("a"));
    expect(lines(drain(stream))).toEqual([
      "1 created @1",
      "0 created @1",
      "2 created @1",
      "0 canceled @1",
      "3 created @1",
    ]);
  });

  it("takes the id that the client chose, also again after a cancel, also a negative one", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { watchId: 7n }));
    stream.cancel(7n);
    stream.create(watching("a", { watchId: 7n }));
    stream.create(watching("a", { watchId: -5n }));
    expect(lines(drain(stream))).toEqual(["7 created @1", "7 canceled @1", "7 created @1", "-5 created @1"]);
  });

  it("refuses an id in use, and the id that speaks for all", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { watchId: 7n }));
    stream.create(watching("b", { watchId: 7n }));
    stream.create(watching("b", { watchId: -1n }));
    world.write(put("b"));
    expect(lines(drain(stream))).toEqual(["7 created @1", "refused duplicateId @1", "refused duplicateId @1"]);
  });

  it("leaves watcher zero alone when a creation fails", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    stream.create(watching("b", { rangeEnd: "a" }));
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 created @1", "refused emptyRange @1", "0 events @2: put a@2"]);
  });

  it("refuses a negative start before it looks at the range", () => {
    const stream = new HubWorld().open();
    stream.create(watching("b", { rangeEnd: "a", startRevision: -1 }));
    stream.create(watching("b", { startRevision: -1 }));
    expect(lines(drain(stream))).toEqual(["refused compacted @1", "refused compacted @1"]);
  });

  it("answers in the order of the requests", () => {
    const stream = new HubWorld().open();
    stream.create(watching("a", { watchId: 3n }));
    stream.create(watching("b", { rangeEnd: "a" }));
    stream.create(watching("a", { watchId: 2n }));
    expect(lines(drain(stream))).toEqual(["3 created @1", "refused emptyRange @1", "2 created @1"]);
  });
});

describe("where a watcher starts", () => {
  it("with revision 0 after the current one", () => {
    const world = new HubWorld();
    world.write(put("a"));
    const stream = world.open();
    stream.create(watching("a"));
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 created @2", "0 events @3: put a@3"]);
  });

  it("replays from a past revision on, in one message, then goes on live", () => {
    const world = new HubWorld();
    for (let n = 0; n < 3; n += 1) world.write(put("a"));
    const stream = world.open();
    stream.create(watching("a", { startRevision: 3 }));
    expect(lines(drain(stream))).toEqual(["0 created @4", "0 events @4: put a@3, put a@4"]);
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 events @5: put a@5"]);
  });

  it("waits for a future revision and shows nothing below it", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { startRevision: 4 }));
    for (let n = 0; n < 4; n += 1) world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 created @1", "0 events @4: put a@4", "0 events @5: put a@5"]);
  });

  it("replays the delete at exactly the compacted revision", () => {
    const world = new HubWorld();
    world.write(put("a"));
    world.write(remove("a"));
    world.store.compact(3);
    const stream = world.open();
    stream.create(watching("a", { startRevision: 3 }));
    expect(lines(drain(stream))).toEqual(["0 created @3", "0 events @3: delete a@3"]);
  });

  it("answers created and then compacted for a start below the compacted revision, and lives no longer", () => {
    const world = new HubWorld();
    for (let n = 0; n < 4; n += 1) world.write(put("a"));
    world.store.compact(4);
    const stream = world.open();
    stream.create(watching("a", { startRevision: 3 }));
    expect(lines(drain(stream))).toEqual(["0 created @5", "0 compacted at 4"]);
    world.write(put("a"));
    expect(drain(stream)).toEqual([]);
    expect(world.hub.stats().watchers).toBe(0);
  });

  it("keeps the id of a watcher that a compaction ended until the client cancels it too", () => {
    const world = new HubWorld();
    for (let n = 0; n < 4; n += 1) world.write(put("a"));
    world.store.compact(4);
    const stream = world.open();
    stream.create(watching("a", { startRevision: 3, watchId: 1n }));
    drain(stream);
    stream.create(watching("a", { watchId: 1n }));
    stream.create(watching("a"));
    stream.create(watching("a"));
    stream.requestProgress();
    stream.cancel(1n);
    stream.cancel(1n);
    stream.create(watching("a", { watchId: 1n }));
    expect(lines(drain(stream))).toEqual([
      "refused duplicateId @5",
      "0 created @5",
      "2 created @5",
      "-1 progress @5",
      "1 canceled @5",
      "1 created @5",
    ]);
  });

  it("gives up on a watcher that was still behind when its revision was compacted", () => {
    const world = new HubWorld({ queueMessagesMax: 1 });
    const stream = world.open();
    stream.create(watching("a"));
    takeAll(stream);
    for (let n = 0; n < 3; n += 1) world.write(put("a"));
    expect(world.hub.stats().slowWatchers).toBe(1);
    world.store.compact(4);
    expect(lines(drain(stream))).toEqual(["0 events @2: put a@2", "0 compacted at 4"]);
  });

  it("misses and repeats nothing when the state is ahead of what the hub was told", () => {
    const world = new HubWorld();
    world.write(put("a"));
    const early = world.store.apply(put("a"));
    const late = world.store.apply(put("a"));
    const stream = world.open();
    stream.create(watching("a", { startRevision: 2 }));
    stream.create(watching("a", { startRevision: 3 }));
    stream.create(watching("a", { startRevision: 4 }));
    expect(lines(drain(stream))).toEqual([
      "0 created @4",
      "1 created @4",
      "2 created @4",
      "0 events @4: put a@2, put a@3, put a@4",
    ]);
    world.hub.onApplied([early, late]);
    expect(lines(drain(stream)).toSorted()).toEqual([
      "1 events @3: put a@3",
      "1 events @4: put a@4",
      "2 events @4: put a@4",
    ]);
    world.write(put("a"));
    expect(drain(stream)).toHaveLength(3);
  });

  it("starts from now where a read stands, though the hub was not told yet", () => {
    const world = new HubWorld();
    const [early, late] = [world.store.apply(put("a")), world.store.apply(put("a"))];
    const stream = world.open();
    stream.create(watching("a"));
    stream.requestProgress();
    world.hub.onApplied([early]);
    stream.requestProgress();
    world.hub.onApplied([late]);
    stream.requestProgress();
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 created @3", "-1 progress @3", "0 events @4: put a@4"]);
  });

  it("ends only the watcher that needs it when the state compacts between two looks at it", () => {
    const world = new HubWorld();
    for (let n = 0; n < 3; n += 1) world.write(put("a"));
    const stream = world.open();
    stream.create(watching("a", { startRevision: 2 }));
    stream.create(watching("a", { startRevision: 4 }));
    world.store.compactUnseen(3);
    expect(lines(drain(stream))).toEqual(["0 created @4", "1 created @4", "0 compacted at 3", "1 events @4: put a@4"]);
  });
});

describe("events", () => {
  it("come as one message a revision, in the order of the transaction", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { rangeEnd: "\0" }));
    world.write(put("b"), put("a"), remove("b"));
    expect(lines(drain(stream))).toEqual(["0 created @1", "0 events @2: put b@2, put a@2, delete b@2"]);
  });

  it("reach every kind of interval that holds the key, and no other", () => {
    const world = new HubWorld();
    const stream = world.open();
    for (const [key, rangeEnd] of [
      ["b", ""],
      ["a", "c"],
      ["b", "\0"],
      ["a", "\0"],
      ["a", ""],
      ["b\0", "\0"],
      ["a", "b"],
    ] as const) {
      stream.create(watching(key, { rangeEnd }));
    }
    takeAll(stream);
    world.write(put("b"));
    expect(takeAll(stream).map((message) => "watchId" in message && message.watchId)).toEqual([0n, 1n, 3n, 2n]);
    expect(world.events).toBe(4);
  });

  it("are dropped by filters, and both filters make a silent watcher", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { puts: false }));
    stream.create(watching("a", { deletes: false }));
    stream.create(watching("a", { puts: false, deletes: false }));
    takeAll(stream);
    world.write(put("a"));
    world.write(remove("a"));
    expect(lines(drain(stream))).toEqual(["1 events @2: put a@2", "0 events @3: delete a@3"]);
  });

  it("of a delete hold only key and revision; the rest comes as the previous pair when asked for", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { previousKv: true }));
    stream.create(watching("a"));
    takeAll(stream);
    world.write(put("a", "one"));
    world.write(put("a", "two"));
    world.write(remove("a"));
    const messages = takeAll(stream).flatMap((message) => (message.kind === "events" ? [message] : []));
    const previous = messages.map(({ watchId, events }) => [watchId, text(events[0]?.prevKv?.value)]);
    expect(previous).toEqual([
      [0n, ""],
      [1n, ""],
      [0n, "one"],
      [1n, ""],
      [0n, "two"],
      [1n, ""],
    ]);
    expect(messages.at(-2)?.events[0]?.kv).toMatchObject({ version: 0n, createRevision: 0n, lease: 0n });
  });

  it("stop with the canceled message; canceling an unknown id says nothing", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    world.write(put("a"));
    stream.cancel(0n);
    stream.cancel(5n);
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 created @1", "0 events @2: put a@2", "0 canceled @2"]);
  });
});

describe("catching up", () => {
  it("sends up to 1000 revisions in a message, each with the revision of the store", () => {
    const world = new HubWorld();
    for (let n = 0; n < 2500; n += 1) world.write(put("a"));
    const stream = world.open();
    stream.create(watching("a", { startRevision: 2 }));
    const [created, ...messages] = drain(stream);
    expect(created?.kind).toBe("created");
    const shapes = messages.map((message) => message.kind === "events" && [message.revision, message.events.length]);
    expect(shapes).toEqual([
      [2501, 1000],
      [2501, 1000],
      [2501, 500],
    ]);
  });

  it("ends a message early, between revisions, when values are large", () => {
    const world = new HubWorld({ catchUpMessageBytesMax: 3000, queueBytesMax: 100_000 });
    for (let n = 0; n < 3; n += 1) world.write(put("a", "x".repeat(1000)), put("b", "x".repeat(1000)));
    const stream = world.open();
    stream.create(watching("a", { rangeEnd: "\0", startRevision: 2 }));
    expect(lines(drain(stream))).toEqual([
      "0 created @4",
      "0 events @4: put a@2, put b@2, put a@3, put b@3",
      "0 events @4: put a@4, put b@4",
    ]);
  });

  it("reads the state once for all watchers that are behind together", () => {
    const world = new HubWorld();
    for (let n = 0; n < 10; n += 1) world.write(put("a"));
    const streams = Array.from({ length: 50 }, () => world.open());
    for (const stream of streams) stream.create(watching("a", { startRevision: 2 }));
    for (const stream of streams) expect(drain(stream)).toHaveLength(2);
    expect(world.store.reads).toHaveLength(1);
  });
});

describe("a slow consumer", () => {
  it("makes its watchers fall behind at the limit of messages; nothing is lost, repeated or reordered", () => {
    const world = new HubWorld({ queueMessagesMax: 4 });
    const stream = world.open();
    stream.create(watching("a"));
    takeAll(stream);
    for (let n = 0; n < 10; n += 1) world.write(put("a"));
    expect(stream.queued).toBe(4);
    expect(world.hub.stats()).toMatchObject({ slowWatchers: 1, pendingEvents: 4 });
    expect(lines(drain(stream))).toEqual([
      "0 events @2: put a@2",
      "0 events @3: put a@3",
      "0 events @4: put a@4",
      "0 events @5: put a@5",
      "0 events @11: put a@6, put a@7, put a@8, put a@9, put a@10, put a@11",
    ]);
    world.write(put("a"));
    expect(lines(drain(stream))).toEqual(["0 events @12: put a@12"]);
    expect(world.hub.stats()).toMatchObject({ slowWatchers: 0, pendingEvents: 0 });
  });

  it("is also one that holds too many bytes", () => {
    const world = new HubWorld({ queueBytesMax: 2000 });
    const stream = world.open();
    stream.create(watching("a"));
    takeAll(stream);
    for (let n = 0; n < 5; n += 1) world.write(put("a", "x".repeat(900)));
    expect(stream.queued).toBe(3);
    expect(drain(stream)).toHaveLength(4);
  });

  it("harms no other stream", () => {
    const world = new HubWorld({ queueMessagesMax: 2 });
    const slow = world.open();
    const quick = world.open();
    for (const stream of [slow, quick]) stream.create(watching("a"));
    takeAll(quick);
    for (let n = 0; n < 5; n += 1) {
      world.write(put("a"));
      expect(lines(takeAll(quick))).toEqual([`0 events @${n + 2}: put a@${n + 2}`]);
    }
  });

  it("serves the oldest watcher first and fills no more than the queue", () => {
    const world = new HubWorld({ queueMessagesMax: 3 });
    for (let n = 0; n < 4; n += 1) world.write(put("a"));
    const stream = world.open();
    for (const startRevision of [5, 4, 3, 2]) stream.create(watching("a", { startRevision }));
    takeAll(stream);
    stream.catchUp();
    expect(takeAll(stream).map((message) => "watchId" in message && message.watchId)).toEqual([3n, 2n, 1n]);
    expect(lines(drain(stream))).toEqual(["0 events @5: put a@5"]);
  });
});

describe("requested progress", () => {
  it("is one message for all watchers, behind the events that it covers", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    stream.create(watching("b"));
    world.write(put("a"));
    stream.requestProgress();
    expect(lines(drain(stream))).toEqual(["0 created @1", "1 created @1", "0 events @2: put a@2", "-1 progress @2"]);
  });

  it("is not given without watchers, to a stream that is behind, or with one that starts in the future", () => {
    const world = new HubWorld({ queueMessagesMax: 1 });
    const empty = world.open();
    const behind = world.open();
    const future = world.open();
    behind.create(watching("a"));
    future.create(watching("b"));
    future.create(watching("b", { startRevision: 100 }));
    world.write(put("a"));
    for (const stream of [empty, behind, future]) stream.requestProgress();
    expect(takeAll(empty)).toEqual([]);
    expect(lines(drain(behind))).toEqual(["0 created @1", "0 events @2: put a@2"]);
    expect(lines(drain(future))).toEqual(["0 created @1", "1 created @1"]);
  });

  it("never claims a revision of which the hub was not told", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    const untold = world.store.apply(put("a"));
    stream.requestProgress();
    world.hub.onApplied([untold]);
    stream.requestProgress();
    expect(lines(drain(stream))).toEqual(["0 created @1", "-1 progress @1", "0 events @2: put a@2", "-1 progress @2"]);
  });
});

describe("periodic progress", () => {
  it("comes every interval to a watcher that asked for it, and skips one interval after events", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { progressNotify: true }));
    stream.create(watching("a"));
    takeAll(stream);
    world.tick(999);
    expect(takeAll(stream)).toEqual([]);
    world.tick(1);
    expect(lines(takeAll(stream))).toEqual(["0 progress @1"]);
    world.write(put("a"));
    takeAll(stream);
    world.tick();
    expect(takeAll(stream)).toEqual([]);
    world.tick();
    expect(lines(takeAll(stream))).toEqual(["0 progress @2"]);
  });

  it("covers changes that the watcher does not see", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { progressNotify: true }));
    takeAll(stream);
    world.write(put("b"));
    world.tick();
    expect(lines(takeAll(stream))).toEqual(["0 progress @2"]);
  });

  it("is not for a watcher that is behind or starts in the future, but comes once it has caught up", () => {
    const world = new HubWorld();
    world.write(put("a"));
    const stream = world.open();
    stream.create(watching("b", { progressNotify: true, startRevision: 1 }));
    stream.create(watching("b", { progressNotify: true, startRevision: 100 }));
    takeAll(stream);
    world.tick();
    expect(takeAll(stream)).toEqual([]);
    drain(stream);
    world.tick();
    expect(lines(takeAll(stream))).toEqual(["0 progress @2"]);
  });

  it("waits while the queue is full", () => {
    const world = new HubWorld({ queueMessagesMax: 1 });
    const stream = world.open();
    stream.create(watching("a", { progressNotify: true }));
    world.tick();
    expect(lines(takeAll(stream))).toEqual(["0 created @1"]);
    world.tick();
    expect(lines(takeAll(stream))).toEqual(["0 progress @1"]);
  });
});

describe("a state that was replaced", () => {
  it("is read from each watcher's own next revision: no gap and no repetition", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    stream.create(watching("a", { startRevision: 6 }));
    world.write(put("a"));
    takeAll(stream);
    for (let n = 0; n < 3; n += 1) world.store.apply(put("a"));
    world.hub.restored();
    expect(lines(drain(stream))).toEqual(["0 events @5: put a@3, put a@4, put a@5"]);
    world.write(put("a"));
    expect(lines(drain(stream)).toSorted()).toEqual(["0 events @6: put a@6", "1 events @6: put a@6"]);
  });

  it("serves a watcher whose future has come with it", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a", { startRevision: 3 }));
    takeAll(stream);
    for (let n = 0; n < 3; n += 1) world.store.apply(put("a"));
    world.hub.restored();
    expect(lines(drain(stream))).toEqual(["0 events @4: put a@3, put a@4"]);
  });
});

describe("a closed stream", () => {
  it("leaves nothing behind in the hub", () => {
    const world = new HubWorld();
    const stream = world.open();
    stream.create(watching("a"));
    stream.create(watching("a", { rangeEnd: "b", startRevision: 1 }));
    world.write(put("a"));
    expect(world.hub.stats()).toEqual({ streams: 1, watchers: 2, slowWatchers: 1, pendingEvents: 1 });
    stream.close();
    world.write(put("a"));
    expect(world.hub.stats()).toEqual({ streams: 0, watchers: 0, slowWatchers: 0, pendingEvents: 0 });
  });

  it("is woken whenever there is something to take or to read", () => {
    const world = new HubWorld({ queueMessagesMax: 1 });
    let calls = 0;
    const stream = world.hub.open(() => {
      calls += 1;
    });
    stream.create(watching("a"));
    expect(calls).toBe(1);
    world.write(put("a"));
    expect(calls).toBe(2);
    expect(stream.behind).toBe(true);
  });
});

it("refuses revisions that come out of order", () => {
  const world = new HubWorld();
  const first = world.store.apply(put("a"));
  world.write(put("a"));
  expect(() => world.hub.onApplied([first])).toThrow(/in order/);
});

it("keeps a put cheap however many watchers look elsewhere", () => {
  const few = putsMs(1);
  const many = putsMs(20_000);
  // A scan of all watchers would cost some ten thousand times as much.
  expect(many).toBeLessThan(100 * few + 50);
});

/** How long 1000 puts of one watched key take beside so many single keys and ranges that are watched too. */
function putsMs(others: number): number {
  const world = new HubWorld();
  const stream = world.open();
  for (let n = 0; n < others; n += 1) {
    stream.create(watching(`other/${n}`));
    stream.create(watching(`range/${n}`, { rangeEnd: `range/${n}/` }));
  }
  stream.create(watching("a"));
  const started = performance.now();
  for (let n = 0; n < 1000; n += 1) world.write(put("a"));
  return performance.now() - started;
}
