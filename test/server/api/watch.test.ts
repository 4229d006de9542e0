/** The Watch service: the shapes of its messages, its stream, and what a slow or a vanished client does to it. */
import { afterEach, describe, expect, it } from "vitest";
import { type WatchRequest, WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import {
  bytes,
  del,
  Inbox,
  like,
  next,
  op,
  open,
  put,
  text,
  txn,
  watchCancel,
  watchCreate,
  watchProgress,
} from "./wire.js";
import { type ApiWorld, clusterId, memberId, type WorldOptions, worlds } from "./world.js";

const newWorld = worlds(afterEach);

interface Watching {
  readonly world: ApiWorld;
  readonly requests: Inbox<WatchRequest>;
  readonly responses: AsyncIterator<WatchResponse>;
  readonly abort: AbortController;
}

function watching(options?: WorldOptions): Watching {
  const world = newWorld(options);
  const requests = new Inbox<WatchRequest>();
  const abort = new AbortController();
  const responses = world.services.watch.watch(requests, world.context(abort.signal))[Symbol.asyncIterator]();
  return { world, requests, responses, abort };
}

const nothing = {
  watchId: 0n,
  created: false,
  canceled: false,
  compactRevision: 0n,
  cancelReason: "",
  fragment: false,
  events: [],
};
const header = (revision: bigint) => ({ clusterId, memberId, revision, raftTerm: 2n });

describe("the messages of a watch", () => {
  it("are created, events, canceled", async () => {
    const { world, requests, responses } = watching();
    requests.send(watchCreate("a"));
    expect(await next(responses)).toEqual({ ...nothing, header: header(1n), created: true });
    await world.services.kv.put(put("a", "v"), world.context());
    const event = await next(responses);
    expect(event).toMatchObject({ ...nothing, header: header(2n), events: [{ type: 0, prevKv: undefined }] });
    expect([text(event.events[0]?.kv?.key), text(event.events[0]?.kv?.value)]).toEqual(["a", "v"]);
    requests.send(watchCancel(5n), watchCancel(0n));
    expect(await next(responses)).toEqual({ ...nothing, header: header(2n), canceled: true });
  });

  it.each([
    ["an empty range", watchCreate("b", { rangeEnd: bytes("a") }), "mvcc: watcher range is empty"],
    ["the id for all", watchCreate("b", { watchId: -1n }), "mvcc: duplicate watch ID provided on the WatchStream"],
    ["a negative start", watchCreate("b", { startRevision: -1n }), status.Compacted.message],
  ])("refuse %s under id -1", async (_what, request, cancelReason) => {
    const { requests, responses } = watching();
    requests.send(request);
    const refused = { ...nothing, header: header(1n), watchId: -1n, created: true, canceled: true, cancelReason };
    expect(await next(responses)).toEqual(refused);
  });

  it("for a compacted start are created, then canceled without a reason and with revision 0", async () => {
    const { world, requests, responses } = watching();
    for (let n = 0; n < 4; n += 1) await world.services.kv.put(put("a"), world.context());
    await world.services.kv.compact({ revision: 4n, physical: false }, world.context());
    requests.send(watchCreate("a", { startRevision: 3n, watchId: 6n }));
    expect(await next(responses)).toEqual({ ...nothing, header: header(5n), watchId: 6n, created: true });
    const canceled = { ...nothing, header: header(0n), watchId: 6n, canceled: true, compactRevision: 4n };
    expect(await next(responses)).toEqual(canceled);
  });

  it("answer a progress request with id -1 and the current revision", async () => {
    const { world, requests, responses } = watching();
    requests.send(watchProgress, watchCreate("a"));
    await next(responses);
    await world.services.kv.put(put("b"), world.context());
    requests.send(watchProgress);
    expect(await next(responses)).toEqual({ ...nothing, header: header(2n), watchId: -1n });
  });

  it("ignore a request without content and filters that the API does not name", async () => {
    const { world, requests, responses } = watching();
    requests.send({ requestUnion: undefined }, watchCreate("a", { filters: [9 as never, 1] }));
    await next(responses);
    await world.services.kv.put(put("a"), world.context());
    await world.services.kv.deleteRange(del("a"), world.context());
    await world.services.kv.put(put("a"), world.context());
    expect((await next(responses)).header?.revision).toBe(2n);
    expect((await next(responses)).header?.revision).toBe(4n);
  });
});

describe("what is watched", () => {
  it("is one zero byte for an empty key, and everything with an open end", async () => {
    const { world, requests, responses } = watching();
    requests.send(watchCreate(""), watchCreate("", { rangeEnd: bytes(open) }));
    await next(responses);
    await next(responses);
    await world.services.kv.txn(txn({ success: [op.put("\0"), op.put("a")] }), world.context());
    const seen = [await next(responses), await next(responses)].map(({ watchId, events }) => [watchId, events.length]);
    expect(seen).toEqual([
      [0n, 1],
      [1n, 2],
    ]);
  });

  it("may start at a revision that no store will reach", async () => {
    const { requests, responses } = watching();
    requests.send(watchCreate("a", { startRevision: 2n ** 63n - 1n }), watchProgress, watchCancel(0n));
    expect((await next(responses)).created).toBe(true);
    expect((await next(responses)).canceled).toBe(true);
  });

  it("is replayed and then goes on live", async () => {
    const { world, requests, responses } = watching();
    for (let n = 0; n < 3; n += 1) await world.services.kv.put(put("a"), world.context());
    requests.send(watchCreate("a", { startRevision: 1n }));
    await next(responses);
    expect((await next(responses)).events).toHaveLength(3);
    await world.services.kv.put(put("a"), world.context());
    expect((await next(responses)).events).toHaveLength(1);
  });

  it("carries the previous pair only when asked for", async () => {
    const { world, requests, responses } = watching();
    await world.services.kv.put(put("a", "old"), world.context());
    requests.send(watchCreate("a", { prevKv: true }), watchCreate("a"));
    await next(responses);
    await next(responses);
    await world.services.kv.deleteRange(del("a"), world.context());
    const previous = [await next(responses), await next(responses)].map(({ events }) => text(events[0]?.prevKv?.value));
    expect(previous).toEqual(["old", ""]);
  });
});

describe("fragments", () => {
  const limits = { requestBytesMax: 1024 };
  const bytesMax = 1024 + 512 * 1024;

  async function large(fragment: boolean): Promise<WatchResponse[]> {
    const { world, requests, responses } = watching({ limits });
    requests.send(
      watchCreate("a", { rangeEnd: bytes("z"), fragment, watchId: 4n }),
      watchCreate("a", { rangeEnd: bytes("b") }),
    );
    await next(responses);
    await next(responses);
    const value = "x".repeat(100_000);
    await world.services.kv.txn(
      txn({ success: Array.from({ length: 12 }, (_, n) => op.put(`k${n}`, value)) }),
      world.context(),
    );
    await world.services.kv.put(put("k0"), world.context());
    const pieces: WatchResponse[] = [];
    for (;;) {
      const piece = await next(responses);
      if (piece.header?.revision === 3n) return pieces;
      pieces.push(piece);
    }
  }

  it("split one revision by size, in order, all but the last marked", async () => {
    const pieces = await large(true);
    expect(pieces.map(({ events, fragment }) => [events.length, fragment])).toEqual([
      [5, true],
      [5, true],
      [2, false],
    ]);
    for (const piece of pieces) {
      expect(WatchResponse.encode(piece).finish().length).toBeLessThan(bytesMax);
      expect([piece.watchId, piece.header?.revision]).toEqual([4n, 2n]);
    }
    const keys = pieces.flatMap(({ events }) => events.map(({ kv }) => text(kv?.key)));
    expect(keys).toEqual(Array.from({ length: 12 }, (_, n) => `k${n}`));
  });

  it("are not made unless asked for, whatever the size", async () => {
    expect((await large(false)).map(({ events }) => events.length)).toEqual([12]);
  });

  it("are not made of one event", async () => {
    const { world, requests, responses } = watching({ limits });
    requests.send(watchCreate("a", { fragment: true }));
    await next(responses);
    await world.services.kv.put(put("a", "x".repeat(600_000)), world.context());
    expect(await next(responses)).toMatchObject({ fragment: false, events: [{ type: 0 }] });
  });
});

describe("the stream", () => {
  it("lives on when the client has closed its side", async () => {
    const { world, requests, responses } = watching();
    requests.send(watchCreate("a"));
    await next(responses);
    requests.close();
    await world.services.kv.put(put("a"), world.context());
    expect((await next(responses)).events).toHaveLength(1);
  });

  it("ends with the caller, and its watchers with it", async () => {
    const { world, requests, responses, abort } = watching();
    requests.send(watchCreate("a"));
    await next(responses);
    const waiting = responses.next();
    abort.abort();
    await expect(waiting).rejects.toMatchObject(like(status.WatchCanceled));
    expect(world.hub.stats()).toMatchObject({ streams: 0, watchers: 0 });
  });

  it("ends with the error that its abort carries", async () => {
    const { responses, abort } = watching();
    const waiting = responses.next();
    const { WireError } = await import("../../../proto/status.js");
    abort.abort(new WireError(status.NoLeader));
    await expect(waiting).rejects.toMatchObject(like(status.NoLeader));
  });

  it("ends when its requests fail", async () => {
    const { world, requests, responses } = watching();
    const waiting = responses.next();
    requests.fail(new Error("bad frame"));
    await expect(waiting).rejects.toThrow("bad frame");
    expect(world.hub.stats().streams).toBe(0);
  });

  it("is closed when the reader walks away", async () => {
    const { world, requests, responses } = watching();
    requests.send(watchCreate("a"));
    await next(responses);
    await responses.return?.();
    expect(world.hub.stats()).toMatchObject({ streams: 0, watchers: 0 });
  });

  it("does not read requests on while the client takes no answers", async () => {
    const { requests, responses } = watching({ watchLimits: { queueMessagesMax: 4 } });
    requests.send(...Array.from({ length: 50 }, () => watchCreate("a")));
    await next(responses);
    expect(requests.unread).toBeGreaterThan(40);
    for (let n = 1; n < 50; n += 1) expect((await next(responses)).watchId).toBe(BigInt(n));
    expect(requests.unread).toBe(0);
  });

  it("gives a slow client every event once, in order, in a bounded queue", async () => {
    const { world, requests, responses } = watching({ watchLimits: { queueMessagesMax: 8, blockRevisionsMax: 50 } });
    requests.send(watchCreate("a"));
    await next(responses);
    for (let n = 0; n < 500; n += 1) await world.services.kv.put(put("a"), world.context());
    expect(world.hub.stats().pendingEvents).toBeLessThanOrEqual(8);
    const revisions: bigint[] = [];
    while (revisions.length < 500) {
      const { events } = await next(responses);
      revisions.push(...events.map(({ kv }) => kv?.modRevision ?? 0n));
    }
    expect(revisions).toEqual(Array.from({ length: 500 }, (_, n) => BigInt(n + 2)));
  });
});
