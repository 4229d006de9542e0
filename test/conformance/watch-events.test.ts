/** Conformance: what the events of a live watcher hold, and in which order they come. */

import { expect } from "vitest";
import { conformance } from "./harness.js";
import { deleteOp, headerOf, putOp, txnOp } from "./words.js";

const DELETE = 1;

conformance("Watch events", (test) => {
  test("a put event holds the whole key under the put's revision", async (t) => {
    const lease = await t.grant();
    const watch = await t.watch();
    await t.put("a", "v", { lease });
    const message = await watch.next();
    expect(message).toMatchObject({ watchId: 0n, created: false, canceled: false, fragment: false });
    expect(t.since(headerOf(message).revision)).toBe(1);
    expect(message.events).toHaveLength(1);
    expect(message.events[0]).toMatchObject({ type: 0, prevKv: undefined });
    expect(t.facts(message.events[0]?.kv)).toEqual({
      key: "a",
      value: "v",
      created: 1,
      modified: 1,
      version: 1,
      lease,
    });
  });

  test("an update has create below mod, a creation has them equal", async (t) => {
    const watch = await t.watch();
    await t.put("a", "one");
    await t.put("a", "two");
    const [creation, update] = await watch.events(2);
    expect(t.facts(creation?.kv)).toMatchObject({ created: 1, modified: 1, version: 1 });
    expect(t.facts(update?.kv)).toMatchObject({ created: 1, modified: 2, version: 2 });
  });

  test("a delete event holds the key and the revision of the delete, nothing else", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    const watch = await t.watch();
    await t.del("a");
    const [event] = (await watch.next()).events;
    expect(event?.type).toBe(DELETE);
    expect(event?.prevKv).toBeUndefined();
    expect(event?.kv).toMatchObject({ createRevision: 0n, version: 0n, lease: 0n, modRevision: t.base + 2n });
    expect(event?.kv?.value).toHaveLength(0);
  });

  test("a delete that matches nothing makes no event", async (t) => {
    const watch = await t.watch();
    await t.del("missing");
    await t.put("a", "v");
    expect(t.eventWords((await watch.next()).events)).toEqual(["put a=v @1"]);
  });

  test("an unchanged put makes an event", async (t) => {
    const watch = await t.watch();
    await t.put("a", "v");
    await t.put("a", "v");
    expect(t.eventWords(await watch.events(2))).toEqual(["put a=v @1", "put a=v @2"]);
  });

  test("a touch with ignore_value shows the kept value", async (t) => {
    await t.put("a", "kept");
    const watch = await t.watch();
    await t.put("a", "", { ignoreValue: true });
    expect(t.eventWords((await watch.next()).events)).toEqual(["put a=kept @2"]);
  });

  test("a delete of an interval is one message, in key order", async (t) => {
    await t.putAll("c", "a", "b");
    const watch = await t.watch();
    await t.delAll();
    expect(t.eventWords((await watch.next()).events)).toEqual(["delete a @4", "delete b @4", "delete c @4"]);
  });

  test("the events of a txn are one message, in the order of its ops", async (t) => {
    await t.put("old");
    const watch = await t.watch();
    await t.client.txn({
      success: [putOp(t.key("z"), "1"), deleteOp(t.key("old")), putOp(t.key("a"), "2")],
    });
    expect(t.eventWords((await watch.next()).events)).toEqual(["put z=1 @2", "delete old @2", "put a=2 @2"]);
  });

  test("put and delete of one key in one txn are both events", async (t) => {
    const watch = await t.watch();
    const key = t.key("a");
    await t.client.txn({ success: [txnOp({ success: [putOp(key, "v")] }), txnOp({ success: [deleteOp(key)] })] });
    expect(t.eventWords((await watch.next()).events)).toEqual(["put a=v @1", "delete a @1"]);
  });

  test("a watcher of part of a txn gets its part alone", async (t) => {
    const watch = await t.watch({ key: t.key("b"), rangeEnd: t.key("c") });
    await t.client.txn({ success: [putOp(t.key("a")), putOp(t.key("b"), "v"), putOp(t.key("c"))] });
    expect(t.eventWords((await watch.next()).events)).toEqual(["put b=v @1"]);
  });

  test("a synced watcher gets one message a revision, with that revision in the header", async (t) => {
    const watch = await t.watch();
    await t.putAll("a", "b", "c");
    const messages = await watch.take(3);
    expect(messages.map(({ events }) => t.eventWords(events))).toEqual([
      ["put a=a @1"],
      ["put b=b @2"],
      ["put c=c @3"],
    ]);
    expect(messages.map((message) => t.since(headerOf(message).revision))).toEqual([1, 2, 3]);
  });

  test("500 concurrent puts arrive in order, each once", async (t) => {
    const watch = await t.watch();
    await Promise.all(Array.from({ length: 500 }, (_, index) => t.put(`k${index}`)));
    const revisions = (await watch.events(500)).map(({ kv }) => t.since(kv?.modRevision));
    expect(revisions).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
  });

  test("two streams see the same events in the same order", async (t) => {
    const [first, second] = [await t.watch(), await t.watch()];
    await Promise.all(Array.from({ length: 100 }, (_, index) => t.put(`k${index % 7}`, String(index))));
    expect(t.eventWords(await first.events(100))).toEqual(t.eventWords(await second.events(100)));
  });

  test("an event comes after the created reply even when writes race with the create", async (t) => {
    const writing = Promise.all(Array.from({ length: 50 }, (_, index) => t.put("a", String(index))));
    const watch = t.watchStream();
    watch.send(t.everything);
    const first = await watch.next();
    await writing;
    await t.put("last", "v");
    expect(first).toMatchObject({ created: true, events: [] });
    const from = headerOf(first).revision;
    const to = await t.revision();
    const events = await watch.events(Number(to - from));
    expect(events.map(({ kv }) => kv?.modRevision)).toEqual(
      Array.from({ length: Number(to - from) }, (_, index) => from + 1n + BigInt(index)),
    );
  });
});

conformance("Watch prev_kv", (test) => {
  test("an update and a delete carry the key as it was, a creation nothing", async (t) => {
    const watch = await t.watch({ prevKv: true });
    await t.put("a", "one");
    await t.put("a", "two");
    await t.del("a");
    await t.put("a", "three");
    const events = await watch.events(4);
    expect(events.map(({ prevKv }) => t.facts(prevKv))).toEqual([
      undefined,
      { key: "a", value: "one", created: 1, modified: 1, version: 1, lease: 0n },
      { key: "a", value: "two", created: 1, modified: 2, version: 2, lease: 0n },
      undefined,
    ]);
  });

  test("history carries it as well", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    await t.del("a");
    const watch = await t.watch({ prevKv: true, startRevision: t.base + 2n });
    const events = await watch.events(2);
    expect(events.map(({ prevKv }) => t.facts(prevKv)?.value)).toEqual(["one", "two"]);
  });

  test("within a txn it is the state before the txn", async (t) => {
    const key = t.key("a");
    await t.put("a", "old");
    const watch = await t.watch({ prevKv: true });
    await t.client.txn({ success: [txnOp({ success: [putOp(key, "new")] }), txnOp({ success: [deleteOp(key)] })] });
    const { events } = await watch.next();
    expect(events.map(({ prevKv }) => t.facts(prevKv)?.value)).toEqual(["old", "old"]);
  });

  test("two watchers, with and without, are served each as asked", async (t) => {
    await t.put("a", "old");
    const watch = t.watchStream();
    await watch.create({ ...t.everything, watchId: 1, prevKv: true });
    await watch.create({ ...t.everything, watchId: 2 });
    await t.put("a", "new");
    const byId = new Map((await watch.take(2)).map(({ watchId, events }) => [watchId, events[0]]));
    expect(t.facts(byId.get(1n)?.prevKv)?.value).toBe("old");
    expect(byId.get(2n)?.prevKv).toBeUndefined();
  });

  test("a lease that is revoked deletes its keys in one revision, sorted, and prev_kv shows the lease", async (t) => {
    const lease = await t.grant();
    for (const name of ["c", "a", "b"]) await t.put(name, name, { lease });
    const watch = await t.watch({ prevKv: true });
    await t.client.leaseRevoke({ ID: lease });
    const { events } = await watch.next();
    expect(t.eventWords(events)).toEqual(["delete a @4", "delete b @4", "delete c @4"]);
    expect(events.map(({ prevKv }) => prevKv?.lease)).toEqual([lease, lease, lease]);
  });
});
