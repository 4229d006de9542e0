/** Conformance: watching from the past and from the future, large histories, fragments and compaction. */

import { expect } from "vitest";
import type { WatchResponse } from "../../proto/gen/etcd/rpc.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { deleteOp, headerOf, putOp } from "./words.js";

const MESSAGE_BYTES_MAX = 1_572_864 + 524_288;

/** `count` puts, each a revision of its own. */
async function putMany(t: Context, count: number): Promise<void> {
  for (let done = 0; done < count; done += 250) {
    const chunk = Math.min(250, count - done);
    await Promise.all(Array.from({ length: chunk }, () => t.put("k")));
  }
}

function revisions(t: Context, messages: readonly WatchResponse[]): number[] {
  return messages.flatMap(({ events }) => events.map(({ kv }) => t.since(kv?.modRevision)));
}

conformance("Watch from a revision", (test) => {
  test("the past is replayed from start_revision on, inclusive", async (t) => {
    await t.putAll("a", "b", "c");
    const watch = await t.watch({ startRevision: t.base + 2n });
    expect(t.eventWords(await watch.events(2))).toEqual(["put b=b @2", "put c=c @3"]);
  });

  test("the current revision is replayed", async (t) => {
    await t.put("a", "v");
    const watch = await t.watch({ startRevision: t.base + 1n });
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=v @1"]);
  });

  test("start_revision 0 begins after the current revision", async (t) => {
    await t.put("a", "before");
    const watch = await t.watch({ startRevision: 0 });
    await t.put("a", "after");
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=after @2"]);
  });

  test("the next revision is the same as now", async (t) => {
    const watch = await t.watch({ startRevision: t.base + 1n });
    await t.put("a", "v");
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=v @1"]);
  });

  test("a future start_revision: what comes before it is never delivered", async (t) => {
    const watch = await t.watch({ startRevision: t.base + 3n });
    await t.putAll("a", "b", "c", "d");
    expect(t.eventWords(await watch.events(2))).toEqual(["put c=c @3", "put d=d @4"]);
  });

  test("created comes first, with today's revision", async (t) => {
    await t.putAll("a", "b");
    const watch = t.watchStream();
    const created = await watch.create({ ...t.everything, startRevision: t.base + 1n });
    expect(created.events).toEqual([]);
    expect(t.since(headerOf(created).revision)).toBe(2);
  });

  test("history goes over into live events without gap or repeat", async (t) => {
    await putMany(t, 20);
    const watch = t.watchStream();
    watch.send({ ...t.everything, startRevision: t.base + 1n });
    await putMany(t, 20);
    await watch.next();
    const events = await watch.events(40);
    expect(events.map(({ kv }) => t.since(kv?.modRevision))).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  });

  test("history of a small store comes in one message with today's revision in the header", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.put({ key: Buffer.from(`other-${t.prefix}`) });
    const watch = await t.watch({ startRevision: t.base + 1n });
    const message = await watch.next();
    expect(message.events).toHaveLength(3);
    expect(t.since(headerOf(message).revision)).toBe(4);
  });

  test("deletes are in the history", async (t) => {
    await t.put("a", "v");
    await t.del("a");
    const watch = await t.watch({ startRevision: t.base + 1n });
    expect(t.eventWords(await watch.events(2))).toEqual(["put a=v @1", "delete a @2"]);
  });

  test("a resume at last + 1 gets everything once", async (t) => {
    await t.putAll("a", "b");
    const first = await t.watch({ startRevision: t.base + 1n });
    const last = (await first.events(2)).at(-1)?.kv?.modRevision ?? 0n;
    first.cancelStream();
    await t.putAll("c", "d");
    const second = await t.watch({ startRevision: last + 1n });
    expect(t.eventWords(await second.events(2))).toEqual(["put c=c @3", "put d=d @4"]);
  });

  test("a watcher of one key gets its history alone", async (t) => {
    await t.putAll("a", "b", "a", "c", "a");
    const watch = await t.watch({ key: t.key("a"), rangeEnd: new Uint8Array(0), startRevision: t.base + 1n });
    expect(t.eventWords(await watch.events(3))).toEqual(["put a=a @1", "put a=a @3", "put a=a @5"]);
  });
});

conformance("Watch batches", (test) => {
  test("2500 revisions come as 1000, 1000 and 500, each under today's revision", async (t) => {
    await putMany(t, 2500);
    const watch = await t.watch({ startRevision: t.base + 1n });
    const messages = await watch.take(3);
    expect(messages.map(({ events }) => events.length)).toEqual([1000, 1000, 500]);
    expect(revisions(t, messages)).toEqual(Array.from({ length: 2500 }, (_, index) => index + 1));
    expect(messages.map((message) => t.since(headerOf(message).revision))).toEqual([2500, 2500, 2500]);
  });

  test("a batch counts revisions, not events, and never splits a revision", async (t) => {
    await putMany(t, 999);
    await t.client.txn({ success: ["x", "y", "z"].map((name) => putOp(t.key(name))) });
    await putMany(t, 5);
    const watch = await t.watch({ startRevision: t.base + 1n });
    const messages = await watch.take(2);
    expect(messages.map(({ events }) => events.length)).toEqual([1002, 5]);
  });

  test("deletes of a whole prefix are one revision of a batch", async (t) => {
    await Promise.all(Array.from({ length: 1500 }, (_, index) => t.put(`k${index}`)));
    await t.client.txn({ success: [deleteOp(t.everything.key, t.everything)] });
    const watch = await t.watch({ startRevision: t.base + 1501n });
    const message = await watch.next();
    expect(message.events).toHaveLength(1500);
    expect(new Set(message.events.map(({ kv }) => kv?.modRevision)).size).toBe(1);
  });
});

conformance("Watch fragments", (test) => {
  const value = "x".repeat(700_000);

  /** Two keys of 0.7 MB put twice: with prev_kv the second revision is 2.8 MB, more than a message may be. */
  async function twoRevisionsOfTwo(t: Context): Promise<void> {
    for (let turn = 0; turn < 2; turn += 1) {
      await t.client.txn({ success: [putOp(t.key("a"), value), putOp(t.key("b"), value)] });
    }
  }

  test("without fragment a large revision is one large message", async (t) => {
    await twoRevisionsOfTwo(t);
    const watch = await t.watch({ startRevision: t.base + 2n, prevKv: true });
    const message = await watch.next();
    expect(revisions(t, [message])).toEqual([2, 2]);
    expect(message.events.map(({ prevKv }) => prevKv?.value.length)).toEqual([700_000, 700_000]);
    expect(message.fragment).toBe(false);
  });

  test("with fragment it comes in pieces, all but the last marked, under one id and header", async (t) => {
    await twoRevisionsOfTwo(t);
    const watch = await t.watch({ startRevision: t.base + 2n, prevKv: true, fragment: true, watchId: 3 });
    const pieces: WatchResponse[] = [];
    do pieces.push(await watch.next());
    while (pieces.at(-1)?.fragment === true);
    expect(pieces.length).toBeGreaterThan(1);
    expect(revisions(t, pieces)).toEqual([2, 2]);
    expect(new Set(pieces.map(({ watchId }) => watchId))).toEqual(new Set([3n]));
    for (const piece of pieces) expect(piece.header).toEqual(pieces[0]?.header);
  });

  test("a live event is cut the same way", async (t) => {
    const watch = await t.watch({ prevKv: true, fragment: true });
    await twoRevisionsOfTwo(t);
    expect(await watch.next()).toMatchObject({ fragment: false, events: { length: 2 } });
    expect(await watch.next()).toMatchObject({ fragment: true, events: { length: 1 } });
    expect(await watch.next()).toMatchObject({ fragment: false, events: { length: 1 } });
  });

  test("a large history without fragment: no revision is split, no message marked", async (t) => {
    for (let turn = 0; turn < 3; turn += 1) await twoRevisionsOfTwo(t);
    const watch = await t.watch({ startRevision: t.base + 1n });
    const seen: number[] = [];
    while (seen.length < 12) {
      const message = await watch.next();
      expect(message.fragment).toBe(false);
      expect(message.events.length % 2).toBe(0);
      seen.push(...revisions(t, [message]));
    }
    expect(seen).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
  });

  test("no piece of several events reaches the limit", async (t) => {
    for (let turn = 0; turn < 2; turn += 1) await twoRevisionsOfTwo(t);
    const watch = await t.watch({ startRevision: t.base + 1n, fragment: true });
    let left = 8;
    while (left > 0) {
      const { events } = await watch.next();
      left -= events.length;
      const size = events.reduce((sum, { kv }) => sum + (kv?.value.length ?? 0), 0);
      if (events.length > 1) expect(size).toBeLessThan(MESSAGE_BYTES_MAX);
    }
  });

  test("fragment leaves small messages whole", async (t) => {
    const watch = await t.watch({ fragment: true });
    await t.client.txn({ success: [putOp(t.key("a")), putOp(t.key("b"))] });
    expect(await watch.next()).toMatchObject({ fragment: false, events: { length: 2 } });
  });

  test("a single event as large as a request may be is not split", async (t) => {
    const watch = await t.watch({ fragment: true });
    await t.put("a", "x".repeat(1_500_000));
    expect(await watch.next()).toMatchObject({ fragment: false, events: { length: 1 } });
  });
});

conformance("Watch and compaction", (test) => {
  test("a start below the compaction: created, then canceled with the compact revision", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 3n });
    const watch = t.watchStream();
    const created = await watch.create({ ...t.everything, startRevision: t.base + 1n });
    expect(created).toMatchObject({ watchId: 0n, created: true, canceled: false, compactRevision: 0n });
    const canceled = await watch.next();
    expect(canceled).toMatchObject({
      watchId: 0n,
      created: false,
      canceled: true,
      compactRevision: t.base + 3n,
      cancelReason: "",
      events: [],
    });
    expect(headerOf(canceled).revision).toBe(0n);
  });

  test("other watchers of the stream live on", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 3n });
    const watch = t.watchStream();
    await watch.create(t.everything);
    await watch.create({ ...t.everything, startRevision: t.base + 1n });
    expect(await watch.next()).toMatchObject({ watchId: 1n, canceled: true });
    await t.put("d", "v");
    expect(await watch.next()).toMatchObject({ watchId: 0n, events: { length: 1 } });
  });

  test("a start at the compact revision is allowed and replays from there", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 2n });
    const watch = await t.watch({ startRevision: t.base + 2n });
    expect(t.eventWords(await watch.events(2))).toEqual(["put b=b @2", "put c=c @3"]);
  });

  test("a delete at exactly the compact revision is still delivered", async (t) => {
    await t.put("a", "v");
    await t.del("a");
    await t.put("b", "v");
    await t.client.compact({ revision: t.base + 2n, physical: true });
    const watch = await t.watch({ startRevision: t.base + 2n });
    expect(t.eventWords(await watch.events(2))).toEqual(["delete a @2", "put b=v @3"]);
  });

  test("a synced watcher does not notice a compaction", async (t) => {
    const watch = await t.watch();
    await t.putAll("a", "b");
    await t.client.compact({ revision: t.base + 2n, physical: true });
    await t.put("c", "c");
    expect(t.eventWords(await watch.events(3))).toEqual(["put a=a @1", "put b=b @2", "put c=c @3"]);
  });

  test("a watcher of the future outlives a compaction", async (t) => {
    const watch = await t.watch({ startRevision: t.base + 3n });
    await t.putAll("a", "b");
    await t.client.compact({ revision: t.base + 2n });
    await t.put("c", "c");
    expect(t.eventWords(await watch.events(1))).toEqual(["put c=c @3"]);
  });

  test("prev_kv is missing when the revision before is compacted", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    await t.put("a", "three");
    await t.client.compact({ revision: t.base + 2n, physical: true });
    const watch = await t.watch({ startRevision: t.base + 2n, prevKv: true });
    const events = await watch.events(2);
    expect(events.map(({ prevKv }) => t.facts(prevKv)?.value)).toEqual([undefined, "two"]);
  });

  test("the id of a watcher canceled by compaction stays taken until the client cancels it too", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 3n });
    const watch = t.watchStream();
    await watch.create({ ...t.everything, startRevision: t.base + 1n, watchId: 4 });
    expect(await watch.next()).toMatchObject({ watchId: 4n, canceled: true });
    expect(await watch.create({ ...t.everything, watchId: 4 })).toMatchObject({ watchId: -1n, canceled: true });
    watch.cancel(4n);
    expect(await watch.next()).toMatchObject({ watchId: 4n, canceled: true, compactRevision: 0n });
    expect(await watch.create({ ...t.everything, watchId: 4 })).toMatchObject({ watchId: 4n, canceled: false });
  });
});
