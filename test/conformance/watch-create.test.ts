/** Conformance: opening, naming, filtering and ending watchers. */

import { expect } from "vitest";
import { WatchCreateRequest_FilterType as Filter } from "../../proto/gen/etcd/rpc.js";
import { Code, status, watchCancelReason } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { bytes, FROM_KEY, headerOf } from "./words.js";

const NO_KEY = new Uint8Array(0);

conformance("Watch create", (test) => {
  test("the reply says created, with id 0, today's revision and nothing else", async (t) => {
    await t.put("a");
    const reply = await t.watchStream().create(t.everything);
    expect({ ...reply, header: undefined }).toEqual({
      header: undefined,
      watchId: 0n,
      created: true,
      canceled: false,
      compactRevision: 0n,
      cancelReason: "",
      fragment: false,
      events: [],
    });
    expect(t.since(headerOf(reply).revision)).toBe(1);
  });

  test("ids count up from 0 on each stream", async (t) => {
    const [first, second] = [t.watchStream(), t.watchStream()];
    expect((await first.create(t.everything)).watchId).toBe(0n);
    expect((await first.create(t.everything)).watchId).toBe(1n);
    expect((await second.create(t.everything)).watchId).toBe(0n);
  });

  test("creates are answered in the order they came", async (t) => {
    const watch = t.watchStream();
    for (let index = 0; index < 10; index += 1) watch.send({ key: t.key(`k${index}`) });
    const replies = await watch.take(10);
    expect(replies.map((reply) => [reply.created, reply.watchId])).toEqual(
      Array.from({ length: 10 }, (_, index) => [true, BigInt(index)]),
    );
  });

  test("a watch_id of the client's choice is used", async (t) => {
    const watch = t.watchStream();
    expect((await watch.create({ ...t.everything, watchId: 77 })).watchId).toBe(77n);
    await t.put("a", "v");
    expect((await watch.next()).watchId).toBe(77n);
  });

  test("the server's own ids skip those in use", async (t) => {
    const watch = t.watchStream();
    await watch.create({ ...t.everything, watchId: 1 });
    expect((await watch.create(t.everything)).watchId).toBe(0n);
    expect((await watch.create(t.everything)).watchId).toBe(2n);
  });

  test("the server's own ids are not used again after a cancel", async (t) => {
    const watch = t.watchStream();
    await watch.create(t.everything);
    await watch.create(t.everything);
    watch.cancel(0n);
    await watch.next();
    expect((await watch.create(t.everything)).watchId).toBe(2n);
  });

  test("a duplicate id is refused under id -1 and leaves the first watcher alone", async (t) => {
    const watch = t.watchStream();
    await watch.create({ ...t.everything, watchId: 5 });
    const refusal = await watch.create({ ...t.everything, watchId: 5 });
    expect(refusal).toMatchObject({
      watchId: -1n,
      created: true,
      canceled: true,
      compactRevision: 0n,
      cancelReason: watchCancelReason.duplicateId,
    });
    await t.put("a", "v");
    expect((await watch.next()).watchId).toBe(5n);
  });

  test("an id may be used again after its watcher was canceled", async (t) => {
    const watch = t.watchStream();
    await watch.create({ ...t.everything, watchId: 5 });
    watch.cancel(5n);
    await watch.next();
    expect(await watch.create({ ...t.everything, watchId: 5 })).toMatchObject({ watchId: 5n, canceled: false });
  });

  test("one id may be used on two streams", async (t) => {
    const [first, second] = [t.watchStream(), t.watchStream()];
    await first.create({ ...t.everything, watchId: 9 });
    expect(await second.create({ ...t.everything, watchId: 9 })).toMatchObject({ watchId: 9n, canceled: false });
  });

  test("a negative id other than -1 is used as given", async (t) => {
    expect(await t.watchStream().create({ ...t.everything, watchId: -7 })).toMatchObject({
      watchId: -7n,
      canceled: false,
    });
  });

  test("id -1, which stands for the whole stream", async (t) => {
    const reply = await t.watchStream().create({ ...t.everything, watchId: -1 });
    const why = "3.5 accepts the id it uses itself for progress of the whole stream; a new server refuses it";
    expect(reply.watchId).toBe(-1n);
    expect(reply.canceled).toBe(t.differs({ etcd35: false, ours: true, why }));
  });

  test("range_end at or below key is refused under id -1", async (t) => {
    const watch = t.watchStream();
    for (const rangeEnd of [t.key("b"), t.key("a")]) {
      const refusal = await watch.create({ key: t.key("b"), rangeEnd });
      expect(refusal).toMatchObject({
        watchId: -1n,
        created: true,
        canceled: true,
        cancelReason: watchCancelReason.emptyRange,
      });
    }
    expect((await watch.create(t.everything)).watchId).toBe(0n);
  });

  test("a refusal carries today's revision", async (t) => {
    await t.put("a");
    const refusal = await t.watchStream().create({ key: t.key("b"), rangeEnd: t.key("a") });
    expect(t.since(headerOf(refusal).revision)).toBe(1);
  });

  test("a negative start_revision is refused as compacted, without a compact_revision", async (t) => {
    const refusal = await t.watchStream().create({ ...t.everything, startRevision: -1 });
    expect(refusal).toMatchObject({
      watchId: -1n,
      created: true,
      canceled: true,
      compactRevision: 0n,
      cancelReason: status.Compacted.message,
    });
  });

  test("an empty request is ignored and the stream goes on", async (t) => {
    const watch = t.watchStream();
    watch.sendEmpty();
    expect((await watch.create(t.everything)).watchId).toBe(0n);
  });

  test("a watch outlives the half-close of its stream", async (t) => {
    const watch = await t.watch();
    watch.halfClose();
    await t.put("a", "v");
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=v @1"]);
    expect(watch.isOpen).toBe(true);
  });

  test("canceling the call ends the stream with CANCELLED", async (t) => {
    const watch = await t.watch();
    watch.cancelStream();
    expect((await watch.ended()).code).toBe(Code.CANCELLED);
  });

  test("hasleader is fine while there is a leader", async (t) => {
    const watch = t.watchStream({ hasleader: "true" });
    expect((await watch.create(t.everything)).created).toBe(true);
  });

  test("a hundred watchers on one stream each get the event", async (t) => {
    const watch = t.watchStream();
    for (let index = 0; index < 100; index += 1) await watch.create({ key: t.key("k") });
    await t.put("k", "v");
    const messages = await watch.take(100);
    expect(new Set(messages.map(({ watchId }) => watchId)).size).toBe(100);
    expect(messages.every(({ events }) => events.length === 1)).toBe(true);
  });
});

conformance("Watch keys", (test) => {
  test("a single key: neither its neighbours nor its prefix", async (t) => {
    const watch = await t.watch({ key: t.key("b"), rangeEnd: NO_KEY });
    await t.putAll("a", "bb", "c", "b");
    expect(t.eventWords((await watch.next()).events)).toEqual(["put b=b @4"]);
  });

  test("an interval excludes its end", async (t) => {
    const watch = await t.watch({ key: t.key("b"), rangeEnd: t.key("d") });
    await t.putAll("a", "d", "b", "c");
    expect(t.eventWords(await watch.events(2))).toEqual(["put b=b @3", "put c=c @4"]);
  });

  test("range_end of one zero byte watches every key from key on", async (t) => {
    const watch = await t.watch({ key: t.key("b"), rangeEnd: FROM_KEY });
    await t.putAll("a", "b");
    await t.client.put({ key: bytes("zz"), value: bytes("v") });
    expect(t.eventWords(await watch.events(2))).toEqual(["put b=b @2", "put zz=v @3"]);
    await t.client.deleteRange({ key: bytes("zz") });
  });

  test("an empty key with range_end of one zero byte watches everything", async (t) => {
    const watch = await t.watch({ key: NO_KEY, rangeEnd: FROM_KEY });
    await t.client.put({ key: Buffer.from([0]), value: bytes("low") });
    await t.put("a", "v");
    const events = await watch.events(2);
    expect(events.map(({ kv }) => Buffer.from(kv?.value ?? []).toString())).toEqual(["low", "v"]);
    await t.client.deleteRange({ key: Buffer.from([0]) });
  });

  test("an empty key alone watches the key of one zero byte", async (t) => {
    const watch = await t.watch({ key: NO_KEY, rangeEnd: NO_KEY });
    await t.put("a", "other");
    await t.client.put({ key: Buffer.from([0]), value: bytes("low") });
    const [event] = (await watch.next()).events;
    expect(Buffer.from(event?.kv?.key ?? [])).toEqual(Buffer.from([0]));
    await t.client.deleteRange({ key: Buffer.from([0]) });
  });

  test("NOPUT leaves deletes only", async (t) => {
    const watch = await t.watch({ filters: [Filter.NOPUT] });
    await t.put("a", "v");
    await t.del("a");
    expect(t.eventWords((await watch.next()).events)).toEqual(["delete a @2"]);
  });

  test("NODELETE leaves puts only", async (t) => {
    const watch = await t.watch({ filters: [Filter.NODELETE] });
    await t.put("a", "v");
    await t.del("a");
    await t.put("a", "w");
    expect(t.eventWords(await watch.events(2))).toEqual(["put a=v @1", "put a=w @3"]);
  });

  test("both filters make a silent watcher", async (t) => {
    const watch = t.watchStream();
    await watch.create({ ...t.everything, filters: [Filter.NOPUT, Filter.NODELETE] });
    await watch.create(t.everything);
    await t.put("a", "v");
    await t.del("a");
    expect((await watch.take(2)).map(({ watchId }) => watchId)).toEqual([1n, 1n]);
  });

  test("filters work on history too", async (t) => {
    await t.put("a", "v");
    await t.del("a");
    const watch = await t.watch({ startRevision: t.base + 1n, filters: [Filter.NOPUT] });
    expect(t.eventWords((await watch.next()).events)).toEqual(["delete a @2"]);
  });

  test("an unknown filter is ignored", async (t) => {
    const watch = await t.watch({ filters: [9 as never] });
    await t.put("a", "v");
    expect(t.eventWords((await watch.next()).events)).toEqual(["put a=v @1"]);
  });
});

conformance("Watch cancel", (test) => {
  test("the reply says canceled, with the id and no reason", async (t) => {
    const watch = await t.watch();
    await t.put("other");
    await watch.next();
    watch.cancel(0n);
    const reply = await watch.next();
    expect(reply).toMatchObject({ watchId: 0n, created: false, canceled: true, cancelReason: "", compactRevision: 0n });
    expect(t.since(headerOf(reply).revision)).toBe(1);
  });

  test("no event for the id follows", async (t) => {
    const watch = t.watchStream();
    await watch.create(t.everything);
    await watch.create(t.everything);
    watch.cancel(0n);
    expect((await watch.next()).canceled).toBe(true);
    await t.putAll("a", "b");
    expect((await watch.take(2)).map(({ watchId }) => watchId)).toEqual([1n, 1n]);
  });

  test("an unknown id is not answered", async (t) => {
    const watch = await t.watch();
    watch.cancel(99n);
    watch.cancel(0n);
    expect(await watch.next()).toMatchObject({ watchId: 0n, canceled: true });
  });

  test("a second cancel of the same id is not answered", async (t) => {
    const watch = t.watchStream();
    await watch.create(t.everything);
    await watch.create(t.everything);
    watch.cancel(0n);
    watch.cancel(0n);
    watch.cancel(1n);
    expect((await watch.take(2)).map(({ watchId }) => watchId)).toEqual([0n, 1n]);
  });

  test("canceling one watcher leaves the others of the stream", async (t) => {
    const watch = t.watchStream();
    for (let index = 0; index < 3; index += 1) await watch.create(t.everything);
    watch.cancel(1n);
    await watch.next();
    await t.put("a");
    const ids = (await watch.take(2)).map(({ watchId }) => watchId);
    expect(new Set(ids)).toEqual(new Set([0n, 2n]));
  });

  test("a watcher that waits for the future can be canceled", async (t) => {
    const watch = await t.watch({ startRevision: t.base + 1000n });
    watch.cancel(0n);
    expect(await watch.next()).toMatchObject({ watchId: 0n, canceled: true });
  });
});
