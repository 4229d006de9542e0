/** Where a watch resumes and what it passes on. */
import { describe, expect, it } from "vitest";
import { Event } from "../../proto/gen/etcd/kv.js";
import { WatchResponse } from "../../proto/gen/etcd/rpc.js";
import { cancellation, cancelText, refusedForToken } from "../../src/client/watch/refusal.js";
import { Bookmark, Fragments } from "../../src/client/watch/watch-order.js";

const event = (modRevision: bigint) => Event.fromPartial({ kv: { modRevision } });
const message = (header: bigint, revisions: readonly bigint[], more: { watchId?: bigint; fragment?: boolean } = {}) =>
  WatchResponse.fromPartial({ header: { revision: header }, events: revisions.map(event), ...more });
const compacted = (compactRevision: bigint) => WatchResponse.fromPartial({ canceled: true, compactRevision });
const revisionsOf = (response: WatchResponse | undefined) => response?.events.map(({ kv }) => kv?.modRevision);

describe("a bookmark", () => {
  it("resumes after the last event, though the header is far ahead while a watcher catches up", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    bookmark.pass(message(2500n, [5n, 6n, 7n]));
    expect(bookmark.resume).toBe(8n);
    expect(bookmark.caughtUpWith(message(2500n, [7n]))).toBe(false);
  });

  it("drops what a new stream repeats, and a batch that is all repeats", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    bookmark.pass(message(7n, [5n, 6n, 7n]));
    bookmark.beginStream();
    expect(bookmark.pass(message(7n, [6n, 7n]))).toBeUndefined();
    expect(revisionsOf(bookmark.pass(message(9n, [7n, 8n, 8n, 9n])))).toEqual([8n, 8n, 9n]);
    expect(bookmark.resume).toBe(10n);
  });

  it("drops events older than the start of a watch in the future", () => {
    const bookmark = new Bookmark(100n);
    bookmark.beginStream();
    expect(bookmark.pass(message(99n, [98n, 99n]))).toBeUndefined();
    expect(bookmark.resume).toBe(100n);
  });

  it("asks one revision early if it is told to, and drops what comes of it", () => {
    const bookmark = new Bookmark(8n, "early");
    expect(bookmark.beginStream()).toBe(7n);
    expect(bookmark.serverMayBeSilent).toBe(true);
    bookmark.created(7n);
    expect(bookmark.serverMayBeSilent).toBe(false);
    expect(bookmark.pass(message(7n, [7n]))).toBeUndefined();
    expect(revisionsOf(bookmark.pass(message(8n, [8n])))).toEqual([8n]);
    expect(bookmark.beginStream()).toBe(8n);
    expect([bookmark.first, bookmark.resume]).toEqual([8n, 9n]);
  });

  it("forgives a compaction that took only what was asked for early, and asks exactly from then on", () => {
    const bookmark = new Bookmark(8n, "early");
    bookmark.beginStream();
    expect(bookmark.forgives(compacted(9n))).toBe(false);
    expect(bookmark.forgives(compacted(8n))).toBe(true);
    expect(bookmark.beginStream()).toBe(8n);
    expect(bookmark.forgives(compacted(8n))).toBe(false);
  });

  it("moves with a watcher's own progress", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    bookmark.pass(message(40n, [], { watchId: 3n }));
    expect(bookmark.resume).toBe(41n);
  });

  it("moves with an answer to a progress request only when the next one has come on the same stream", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    bookmark.pass(message(40n, [], { watchId: -1n }));
    expect(bookmark.resume).toBe(5n);
    expect(revisionsOf(bookmark.pass(message(30n, [30n])))).toEqual([30n]);
    bookmark.beginStream();
    bookmark.pass(message(50n, [], { watchId: -1n }));
    expect(bookmark.resume).toBe(31n);
    bookmark.pass(message(60n, [], { watchId: -1n }));
    expect(bookmark.resume).toBe(51n);
  });

  it("does not move with an answer that may be older than the watcher", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    for (let count = 0; count < 3; count++) bookmark.pass(message(40n, [], { watchId: -1n }), "unclear");
    expect(bookmark.resume).toBe(5n);
  });

  it("never moves back", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    bookmark.pass(message(40n, [], { watchId: 0n }));
    bookmark.pass(message(20n, [], { watchId: 0n }));
    expect(bookmark.resume).toBe(41n);
  });

  it("knows when a server has to be silent about progress", () => {
    const bookmark = new Bookmark(5n);
    bookmark.beginStream();
    bookmark.created(4n);
    expect(bookmark.serverMayBeSilent).toBe(true);
    bookmark.pass(message(5n, [5n]));
    expect(bookmark.serverMayBeSilent).toBe(false);
  });

  it("takes its start from the server if it has none", () => {
    const bookmark = new Bookmark(0n);
    bookmark.created(12n);
    expect([bookmark.first, bookmark.resume]).toEqual([13n, 13n]);
    bookmark.created(20n);
    expect(bookmark.first).toBe(13n);
  });
});

const joined = (messages: readonly WatchResponse[]): WatchResponse[] => {
  const fragments = new Fragments();
  return messages.map((response) => fragments.join(response)).filter((whole) => whole !== undefined);
};

describe("fragments", () => {
  it("become messages of whole revisions, with all events in order", () => {
    const whole = joined([
      message(9n, [1n, 2n], { fragment: true }),
      message(9n, [2n, 3n], { fragment: true }),
      message(9n, [3n]),
      message(10n, [10n]),
    ]);
    expect(whole.map(revisionsOf)).toEqual([[1n], [2n, 2n], [3n, 3n], [10n]]);
    expect(whole.map(({ fragment }) => fragment)).toEqual([false, false, false, false]);
  });

  it("of one revision are held back until the last one has come", () => {
    const pieces = [1, 2, 3].map(() => message(9n, [4n, 4n], { fragment: true }));
    expect(joined(pieces)).toEqual([]);
    expect(joined([...pieces, message(9n, [4n])]).map(revisionsOf)).toEqual([Array(7).fill(4n)]);
  });

  it("may be more than a call may have arguments", () => {
    const many = Array.from({ length: 200_000 }, () => 9n);
    expect(joined([message(9n, many, { fragment: true }), message(9n, [9n])])[0]?.events).toHaveLength(200_001);
  });
});

describe("a cancel reason", () => {
  it("gives up the status inside", () => {
    const reason = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
    expect(cancelText(reason)).toBe("etcdserver: invalid auth token");
    expect(cancelText("mvcc: watcher range is empty")).toBe("mvcc: watcher range is empty");
    expect(refusedForToken(WatchResponse.fromPartial({ cancelReason: reason }))).toBe(true);
    expect(refusedForToken(WatchResponse.fromPartial({ cancelReason: "mvcc: watcher range is empty" }))).toBe(false);
  });

  it("becomes a typed error", () => {
    expect(cancellation(compacted(9n), 4n)).toMatchObject({
      code: "Compacted",
      compactRevision: 9n,
      resumeRevision: 4n,
    });
    const reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    const denied = cancellation(WatchResponse.fromPartial({ canceled: true, cancelReason: reason }), 4n);
    expect(denied).toMatchObject({ code: "PermissionDenied", serverMessage: "etcdserver: permission denied" });
  });
});
