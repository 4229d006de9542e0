/** Keys, ranges, values, endpoints and the small parts that hold them. */

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { SnapshotResponse } from "../../proto/gen/etcd/rpc.js";
import { verifiedSnapshot } from "../../src/client/admin/snapshot.js";
import { onAbort } from "../../src/client/calls/abort.js";
import { LeaderTracker } from "../../src/client/calls/routing.js";
import { parseEndpoint } from "../../src/client/connection/endpoint-url.js";
import { bytes, CompactedError, EtcdError, formatId, isEtcdError, json, utf8 } from "../../src/client/index.js";
import { revisionOf, sizeOf } from "../../src/client/kv/convert.js";
import { wireRange } from "../../src/client/kv/range.js";
import { Inbox } from "../../src/client/lease/inbox.js";
import { endpointList } from "../../src/client/options.js";

const range = (input: Parameters<typeof wireRange>[0]) => {
  const { key, rangeEnd } = wireRange(input);
  return [[...key], [...rangeEnd]];
};

describe("a key range", () => {
  it("is a key, a prefix, an interval, a beginning or everything", () => {
    expect(range("a")).toEqual([[97], []]);
    expect(range(Uint8Array.of(0))).toEqual([[0], []]);
    expect(range({ prefix: "ab" })).toEqual([
      [97, 98],
      [97, 99],
    ]);
    expect(range({ from: "a", to: "c" })).toEqual([[97], [99]]);
    expect(range({ from: "a" })).toEqual([[97], [0]]);
    expect(range({ all: true })).toEqual([[0], [0]]);
  });

  it("carries over bytes of 0xff at the end of a prefix", () => {
    expect(range({ prefix: Uint8Array.of(1, 255, 255) })).toEqual([[1, 255, 255], [2]]);
    expect(range({ prefix: Uint8Array.of(255, 255) })).toEqual([[255, 255], [0]]);
  });

  it("begins at the smallest key there is when it begins at nothing", () => {
    expect(range({ prefix: "" })).toEqual([[0], [0]]);
    expect(range({ from: "", to: "b" })).toEqual([[0], [98]]);
  });
});

describe("values", () => {
  it("come back from their codecs", () => {
    expect(utf8.decode(utf8.encode("\uFEFFgrüße"))).toBe("\uFEFFgrüße");
    expect(bytes.decode(bytes.encode(Uint8Array.of(0, 255)))).toEqual(Uint8Array.of(0, 255));
    expect(json().decode(json().encode({ a: [1, null] }))).toEqual({ a: [1, null] });
  });

  it("pass a schema when they are read", () => {
    const positive = json<number>({
      "~standard": {
        validate: (value) =>
          typeof value === "number" && value > 0 ? { value } : { issues: [{ message: "not positive" }] },
      },
    });
    expect(positive.decode(utf8.encode("3"))).toBe(3);
    expect(() => positive.decode(utf8.encode("-3"))).toThrow("not positive");
    const slow = json({ "~standard": { validate: () => Promise.resolve({ value: 1 }) } });
    expect(() => slow.decode(utf8.encode("1"))).toThrow("synchronously");
  });

  it("are sizes only as far as a number can count", () => {
    expect(sizeOf(2n ** 53n - 1n)).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => sizeOf(2n ** 53n)).toThrow(RangeError);
    expect([revisionOf(5), revisionOf("5"), revisionOf(5n)]).toEqual([5n, 5n, 5n]);
    expect(formatId(-1n)).toBe("ffffffffffffffff");
    expect(formatId(7_587_822_556_486_125_056n)).toBe("694d5c69c20d4600");
  });
});

describe("an endpoint", () => {
  it.each([
    ["127.0.0.1:2379", false, { target: "127.0.0.1:2379", secure: false, host: "127.0.0.1" }],
    ["127.0.0.1:2379", true, { target: "127.0.0.1:2379", secure: true, host: "127.0.0.1" }],
    ["http://etcd:2379/", true, { target: "etcd:2379", secure: false, host: "etcd" }],
    ["https://[::1]:2379", false, { target: "[::1]:2379", secure: true, host: "::1" }],
    ["unix:///run/etcd.sock", false, { target: "unix:/run/etcd.sock", secure: false, host: "localhost" }],
    ["unix:etcd.sock", false, { target: "unix:etcd.sock", secure: false, host: "localhost" }],
    ["unixs://etcd.sock", false, { target: "unix:etcd.sock", secure: true, host: "localhost" }],
  ])("%s is read with TLS options %s", (endpoint, tls, expected) => {
    expect(parseEndpoint(endpoint, tls)).toEqual(expected);
  });

  it("is listed once, without spaces", () => {
    expect(endpointList("a:1, b:2,,a:1")).toEqual(["a:1", "b:2"]);
    expect(endpointList(["a:1,b:2", "c:3"])).toEqual(["a:1", "b:2", "c:3"]);
    expect(() => endpointList([])).toThrow(TypeError);
  });
});

describe("an error", () => {
  it("is known by its code, whichever copy of the package made it", () => {
    const error = new CompactedError({ compactRevision: 5n, resumeRevision: 3n }, {});
    expect(isEtcdError(error, "Compacted")).toBe(true);
    expect(isEtcdError(error, "FutureRev")).toBe(false);
    expect(isEtcdError(new Error("other"))).toBe(false);
    expect(isEtcdError("text")).toBe(false);
    const foreign = Object.assign(new Error("x"), { [Symbol.for("litecd.EtcdError")]: true, code: "NoSpace" });
    expect(foreign instanceof EtcdError).toBe(false);
    expect(isEtcdError(foreign, "NoSpace")).toBe(true);
  });
});

async function all<T>(inbox: Inbox<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of inbox) items.push(item);
  return items;
}

describe("an inbox", () => {
  it("gives what comes to a reader that waits, and ends when told", async () => {
    const inbox = new Inbox<number>(9);
    const reading = all(inbox);
    for (const item of [1, 2]) {
      inbox.push(item);
      await Promise.resolve();
    }
    inbox.push(3);
    inbox.end();
    inbox.push(4);
    expect(await reading).toEqual([1, 2, 3]);
  });

  it("gives what came before a failure, and then the failure, whatever comes after it", async () => {
    const inbox = new Inbox<number>(9);
    inbox.push(1);
    inbox.fail(new Error("first"));
    inbox.fail(new Error("second"));
    inbox.end();
    const iterator = inbox[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 1 });
    await expect(iterator.next()).rejects.toThrow("first");
  });

  it("drops the oldest for a reader that is too slow", async () => {
    const inbox = new Inbox<number>(3);
    for (let item = 1; item <= 5; item++) inbox.push(item);
    inbox.end();
    expect(await all(inbox)).toEqual([3, 4, 5]);
  });
});

describe("an abort signal", () => {
  it("has one listener, however many wait for it", () => {
    const controller = new AbortController();
    let added = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      added++;
      add(...args);
    };
    const called: number[] = [];
    const undo = Array.from({ length: 100 }, (_, index) => onAbort(signal, () => called.push(index)));
    undo[0]?.();
    controller.abort();
    expect(added).toBe(1);
    expect(called).toHaveLength(99);
    onAbort(signal, () => called.push(100));
    expect(called).toContain(100);
  });
});

describe("the leader", () => {
  it("is learned, and forgotten with a higher term", () => {
    const tracker = new LeaderTracker();
    tracker.learn({ memberId: 1n, term: 2n }, 3n);
    expect(tracker.leader).toBe(1n);
    tracker.learn({ memberId: 0n, term: 2n }, 3n);
    expect(tracker.leader).toBe(1n);
    tracker.learn({ memberId: 0n, term: 3n }, 3n);
    expect(tracker.leader).toBeUndefined();
    tracker.learn({ memberId: 1n, term: 2n }, 4n);
    expect(tracker.leader).toBeUndefined();
  });

  it("that was lost has to speak for itself, or be followed by another", () => {
    const tracker = new LeaderTracker();
    tracker.learn({ memberId: 1n, term: 2n }, 3n);
    tracker.lose(3n);
    expect(tracker.leader).toBe(1n);
    tracker.lose(1n);
    tracker.learn({ memberId: 1n, term: 2n }, 3n);
    expect([tracker.leader, tracker.awaitsSuccessor]).toEqual([undefined, true]);
    tracker.learn({ memberId: 1n, term: 2n }, 1n);
    expect([tracker.leader, tracker.awaitsSuccessor]).toEqual([1n, false]);
    tracker.lose(1n);
    tracker.learn({ memberId: 3n, term: 3n }, 3n);
    expect([tracker.leader, tracker.awaitsSuccessor]).toEqual([3n, false]);
  });
});

const file = (content: Buffer): Buffer => Buffer.concat([content, createHash("sha256").update(content).digest()]);

const received = async (whole: Buffer, chunkBytes: number): Promise<Buffer> => {
  const responses = (async function* () {
    for (let at = 0; at < whole.length; at += chunkBytes) {
      yield SnapshotResponse.fromPartial({ blob: whole.subarray(at, at + chunkBytes) });
    }
  })();
  const chunks: Uint8Array[] = [];
  for await (const chunk of verifiedSnapshot(responses)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

describe("a snapshot", () => {
  it.each([1, 7, 31, 32, 33, 1000])("is whole in chunks of %i bytes", async (chunkBytes) => {
    const whole = file(Buffer.alloc(300, "x"));
    expect((await received(whole, chunkBytes)).equals(whole)).toBe(true);
  });

  it("is refused with one bit wrong, with its end missing, and empty", async () => {
    const whole = file(Buffer.alloc(300, "x"));
    const wrong = Buffer.from(whole);
    wrong[17] = 0;
    for (const bad of [wrong, whole.subarray(0, -1), Buffer.alloc(0)]) {
      await expect(received(bad, 64)).rejects.toMatchObject({ code: "SnapshotCorrupt" });
    }
  });
});
