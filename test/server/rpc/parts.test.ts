/** The small parts that the wire is made of. */
import { describe, expect, it } from "vitest";
import { PutRequest, RangeResponse } from "../../../proto/gen/etcd/rpc.js";
import { percentEncode } from "../../../proto/status-text.js";
import { decodeMessage, encodeFrame } from "../../../src/server/rpc/codec.js";
import { isText, metadataOf, timeoutMsOf } from "../../../src/server/rpc/headers.js";
import { Inbox } from "../../../src/server/rpc/inbox.js";
import { MessageReader } from "../../../src/server/rpc/message-reader.js";
import { splitPath } from "../../../src/server/rpc/method.js";
import { methodTable } from "../../../src/server/rpc/method-table.js";
import { PingGuard } from "../../../src/server/rpc/ping-guard.js";
import { frame } from "./harness.js";

describe("headers", () => {
  it.each([
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["4m", 4],
    ["5u", 0.005],
    ["6n", 0.000006],
    ["99999999S", 99_999_999_000],
  ])("read the timeout %s as %d ms", (header, ms) => {
    expect(timeoutMsOf(header)).toBeCloseTo(ms, 9);
  });

  it.each(["", "1", "H", "1s", "-1S", "123456789S", "1 S", "1.5S"])("read no timeout from %j", (header) => {
    expect(timeoutMsOf(header)).toBeUndefined();
  });

  it("encode what a header cannot hold", () => {
    expect(percentEncode("etcdserver: ~plain!")).toBe("etcdserver: ~plain!");
    expect(percentEncode("50% \u00e9\n")).toBe("50%25 %C3%A9%0A");
  });

  it("become metadata in order, without what belongs to the protocol", () => {
    const raw = [":path", "/", "Token", "a", "content-type", "x", "te", "trailers", "token", "b", "grpc-timeout", "1S"];
    expect([...metadataOf(raw)]).toEqual([["token", ["a", "b"]]]);
  });

  it("hold text or not", () => {
    expect(isText("3.7")).toBe(true);
    expect(isText(Buffer.from("\u00e9").toString("latin1"))).toBe(true);
    expect(isText("\u00ff")).toBe(false);
  });
});

describe("a path", () => {
  it.each([
    ["/a.B/C", { service: "a.B", name: "C" }],
    ["/a/b/C", { service: "a/b", name: "C" }],
    ["a.B/C", undefined],
    ["/C", undefined],
    ["", undefined],
  ])("%s", (path, parts) => {
    expect(splitPath(path)).toEqual(parts);
  });
});

describe("the method table", () => {
  it("holds every method of etcd's services once", () => {
    const names = ["kv", "watch", "lease", "cluster", "maintenance", "auth", "lock", "election", "health"];
    const table = methodTable(Object.fromEntries(names.map((name) => [name, {}])) as never);
    const counts: Record<string, number> = {};
    for (const path of table.keys()) {
      const { service = "" } = splitPath(path) ?? {};
      counts[service] = (counts[service] ?? 0) + 1;
    }
    expect(counts).toEqual({
      "etcdserverpb.KV": 6,
      "etcdserverpb.Watch": 1,
      "etcdserverpb.Lease": 5,
      "etcdserverpb.Cluster": 5,
      "etcdserverpb.Maintenance": 8,
      "etcdserverpb.Auth": 17,
      "v3lockpb.Lock": 2,
      "v3electionpb.Election": 5,
      "grpc.health.v1.Health": 2,
    });
  });
});

function reader(): MessageReader {
  return new MessageReader({ encoding: undefined, bytesMax: 100 });
}

describe("the message reader", () => {
  it("finds the same messages however the bytes are cut", () => {
    const messages = ["", "a", "x".repeat(100), "bc"].map((text) => Buffer.from(text));
    const whole = Buffer.concat(messages.map((message) => frame(message)));
    for (let size = 1; size <= whole.length; size += 1) {
      const cut = reader();
      const found: string[] = [];
      for (let at = 0; at < whole.length; at += size) {
        cut.push(whole.subarray(at, at + size));
        for (let bytes = cut.next(); bytes !== undefined; bytes = cut.next()) found.push(Buffer.from(bytes).toString());
      }
      expect(found).toEqual(messages.map(String));
      expect(cut.leftBytes).toBe(0);
    }
  });

  it("refuses a message over the limit before its bytes arrive, and takes one at the limit", () => {
    const tooLong = reader();
    tooLong.push(frame(Buffer.alloc(101)).subarray(0, 5));
    expect(() => tooLong.next()).toThrow("grpc: received message larger than max (101 vs. 100)");
    const longest = reader();
    longest.push(frame(Buffer.alloc(100)));
    expect(longest.next()?.length).toBe(100);
  });
});

describe("the codec", () => {
  it("writes flag, length and message, also after an error and after a long message", () => {
    const long = encodeFrame(PutRequest, PutRequest.fromPartial({ value: Buffer.alloc(2_000_000, 7) }));
    expect(Buffer.from(long).readUInt32BE(1)).toBe(long.length - 5);
    const bad = RangeResponse.fromPartial({ count: 1n << 70n });
    expect(() => encodeFrame(RangeResponse, bad)).toThrow("too large");
    const frameOfA = encodeFrame(PutRequest, PutRequest.fromPartial({ key: Buffer.from("a") }));
    expect(Buffer.from(frameOfA).toString("hex")).toBe("00000000030a0161");
  });

  it("reads a message as views of its bytes", () => {
    const bytes = new Uint8Array(Buffer.from("0a0161", "hex"));
    const { key } = decodeMessage(PutRequest, bytes);
    expect(Buffer.from(key).toString()).toBe("a");
    expect(key.buffer).toBe(bytes.buffer);
  });
});

describe("the ping guard", () => {
  it("forgives two pings above the rate and no third", () => {
    const guard = new PingGuard(5000);
    const verdicts = [0, 100, 200, 300].map((atMs) => guard.ping(atMs, 1));
    expect(verdicts).toEqual(["fine", "fine", "fine", "too many"]);
  });

  it("allows a ping each minimum time while there is a call", () => {
    const guard = new PingGuard(5000);
    for (let ping = 0; ping < 50; ping += 1) expect(guard.ping(ping * 5000, 1)).toBe("fine");
  });

  it("allows next to none without a call", () => {
    const guard = new PingGuard(5000);
    const verdicts = [0, 5000, 10_000, 15_000].map((atMs) => guard.ping(atMs, 0));
    expect(verdicts).toEqual(["fine", "fine", "fine", "too many"]);
    const patient = new PingGuard(5000);
    for (let ping = 0; ping < 10; ping += 1) expect(patient.ping(ping * 7_200_000, 0)).toBe("fine");
  });

  it("forgets everything when the server has sent something", () => {
    const guard = new PingGuard(5000);
    for (let ping = 0; ping < 50; ping += 1) {
      if (ping % 3 === 0) guard.serverSent();
      expect(guard.ping(ping, 1)).toBe("fine");
    }
  });
});

function inbox() {
  const calls: string[] = [];
  const faucet = { pause: () => void calls.push("pause"), resume: () => void calls.push("resume") };
  return { box: new Inbox<number>(faucet), calls };
}

describe("the inbox", () => {
  it("gives what came before and after the question", async () => {
    const { box } = inbox();
    box.push(1);
    const [first, second] = [box.next(), box.next()];
    box.push(2);
    expect([await first, await second]).toEqual([
      { value: 1, done: false },
      { value: 2, done: false },
    ]);
  });

  it("ends after what was held", async () => {
    const { box } = inbox();
    box.push(1);
    box.end();
    const got: number[] = [];
    for await (const request of box) got.push(request);
    expect(got).toEqual([1]);
  });

  it("fails at once when the call is aborted, and drops what was held", async () => {
    const { box } = inbox();
    box.push(1);
    box.fail(new Error("gone"));
    await expect(box.next()).rejects.toThrow("gone");
    box.push(2);
    await expect(box.next()).rejects.toThrow("gone");
  });

  it("pauses at 64 and resumes when empty", async () => {
    const { box, calls } = inbox();
    for (let request = 0; request < 63; request += 1) box.push(request);
    expect(calls).toEqual([]);
    box.push(63);
    box.push(64); // what was already on its way
    expect(calls).toEqual(["pause"]);
    for (let request = 0; request < 64; request += 1) expect((await box.next()).value).toBe(request);
    expect(calls).toEqual(["pause"]);
    expect((await box.next()).value).toBe(64);
    expect(calls).toEqual(["pause", "resume"]);
  });

  it("lets the rest flow away when the reader leaves", async () => {
    const { box, calls } = inbox();
    for (let request = 0; request < 64; request += 1) box.push(request);
    for await (const request of box) if (request === 0) break;
    box.push(99);
    expect(calls).toEqual(["pause", "resume"]);
    expect(await box.next()).toEqual({ value: undefined, done: true });
  });
});
