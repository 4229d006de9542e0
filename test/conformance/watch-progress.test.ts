/** Conformance: progress on request and by interval. */

import { expect } from "vitest";
import { conformance } from "./harness.js";
import { headerOf } from "./words.js";

const STREAM_ID = -1n;

conformance("Watch progress request", (test) => {
  test("one message under id -1 with today's revision and no events", async (t) => {
    const watch = await t.watch();
    await t.put("other");
    await watch.next();
    watch.requestProgress();
    const progress = await watch.next();
    expect(progress).toMatchObject({ watchId: STREAM_ID, created: false, canceled: false, events: [] });
    expect(t.since(headerOf(progress).revision)).toBe(1);
  });

  test("one message for the whole stream, however many watchers", async (t) => {
    const watch = t.watchStream();
    for (let index = 0; index < 5; index += 1) await watch.create({ key: t.key(`k${index}`) });
    watch.requestProgress();
    expect((await watch.next()).watchId).toBe(STREAM_ID);
    await t.put("k3");
    expect(await watch.next()).toMatchObject({ watchId: 3n, events: { length: 1 } });
  });

  test("the revision includes writes outside the watched keys", async (t) => {
    const watch = await t.watch({ key: t.key("mine"), rangeEnd: new Uint8Array(0) });
    await t.putAll("a", "b", "c");
    watch.requestProgress();
    expect(t.since(headerOf(await watch.next()).revision)).toBe(3);
  });

  test("no watchers, no answer", async (t) => {
    const watch = t.watchStream();
    watch.requestProgress();
    await watch.create(t.everything);
    watch.requestProgress();
    await t.put("a", "v");
    const messages = await watch.take(2);
    expect(new Set(messages.map(({ watchId }) => watchId))).toEqual(new Set([STREAM_ID, 0n]));
  });

  test("a watcher of the future holds the answer back", async (t) => {
    const watch = t.watchStream();
    await watch.create(t.everything);
    await watch.create({ ...t.everything, startRevision: t.base + 100n });
    watch.requestProgress();
    watch.cancel(1n);
    expect(await watch.next()).toMatchObject({ watchId: 1n, canceled: true });
    watch.requestProgress();
    expect((await watch.next()).watchId).toBe(STREAM_ID);
  });

  test("after all watchers were canceled there is no answer", async (t) => {
    const watch = await t.watch();
    watch.cancel(0n);
    await watch.next();
    watch.requestProgress();
    await watch.create(t.everything);
    await t.put("a", "v");
    expect(await watch.next()).toMatchObject({ watchId: 1n, events: { length: 1 } });
  });

  test("a watcher from the past with nothing to see answers once it has caught up", async (t) => {
    await t.putAll("a", "b", "c");
    const watch = await t.watch({ key: t.key("quiet"), rangeEnd: new Uint8Array(0), startRevision: t.base + 1n });
    // While it catches up there is no answer, and a request is not kept for later: so it is asked again.
    const first = watch.next();
    let hasAnswered = false;
    void first.finally(() => {
      hasAnswered = true;
    });
    await t.eventually(async () => {
      watch.requestProgress();
      expect(hasAnswered).toBe(true);
    });
    const progress = await first;
    expect([progress.watchId, t.since(headerOf(progress).revision)]).toEqual([STREAM_ID, 3]);
  });

  test("progress never overtakes an event", async (t) => {
    const watch = await t.watch();
    const writing = Promise.all(Array.from({ length: 300 }, (_, index) => t.put(`k${index % 10}`, String(index))));
    for (let index = 0; index < 30; index += 1) watch.requestProgress();
    let seen = t.base;
    let progressed = t.base;
    while (seen < t.base + 300n) {
      const message = await watch.next();
      if (message.watchId === STREAM_ID) {
        progressed = headerOf(message).revision;
        // Every revision of this case has an event, so all of them up to the progress must have come.
        expect(seen).toBe(progressed);
      }
      for (const { kv } of message.events) {
        expect(kv?.modRevision).toBeGreaterThan(progressed);
        seen = kv?.modRevision ?? seen;
      }
    }
    await writing;
  });
});

conformance(
  "Watch progress by interval",
  (test) => {
    test("progress_notify sends the current revision under the watcher's own id", async (t) => {
      const watch = t.watchStream();
      await watch.create({ ...t.everything, progressNotify: true, watchId: 6 });
      const progress = await watch.next();
      expect(progress).toMatchObject({ watchId: 6n, events: [], created: false, canceled: false });
      expect(headerOf(progress).revision).toBe(t.base);
    });

    test("it repeats", async (t) => {
      const watch = await t.watch({ progressNotify: true });
      const [first, second] = await watch.take(2);
      expect([first?.watchId, second?.watchId]).toEqual([0n, 0n]);
    });

    test("it follows the store's revision", async (t) => {
      const watch = await t.watch({ key: t.key("mine"), rangeEnd: new Uint8Array(0), progressNotify: true });
      await t.putAll("a", "b");
      const deadline = Date.now() + 5000;
      let revision = 0n;
      while (revision < t.base + 2n && Date.now() < deadline) revision = headerOf(await watch.next()).revision;
      expect(revision).toBe(t.base + 2n);
    });

    test("a watcher without it stays silent", async (t) => {
      const watch = t.watchStream();
      await watch.create({ ...t.everything, watchId: 1 });
      await watch.create({ ...t.everything, watchId: 2, progressNotify: true });
      const messages = await watch.take(3);
      expect(messages.map(({ watchId }) => watchId)).toEqual([2n, 2n, 2n]);
    });

    test("a watcher that waits for the future gets none", async (t) => {
      const watch = t.watchStream();
      await watch.create({ ...t.everything, watchId: 1, progressNotify: true, startRevision: t.base + 100n });
      await watch.create({ ...t.everything, watchId: 2, progressNotify: true });
      const messages = await watch.take(3);
      expect(messages.map(({ watchId }) => watchId)).toEqual([2n, 2n, 2n]);
    });

    test("progress that follows an event is at or beyond it", async (t) => {
      const watch = await t.watch({ progressNotify: true });
      await t.put("a", "v");
      const messages = [await watch.next()];
      while (messages.at(-1)?.events.length === 0) messages.push(await watch.next());
      const event = messages.at(-1);
      const progress = await watch.next();
      expect(progress.events).toEqual([]);
      expect(headerOf(progress).revision).toBeGreaterThanOrEqual(event?.events[0]?.kv?.modRevision ?? 0n);
    });
  },
  { "watch-progress-notify-interval": "150ms" },
);
