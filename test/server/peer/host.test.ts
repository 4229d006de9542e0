/** What a member does with callers that do not keep to the protocol, and what it tells about traffic. */
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { Client, type ClientDuplexStream, credentials, type Metadata, type StatusObject } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { Receipt } from "../../../proto/gen/internal/raft.js";
import { encodeFrame } from "../../../src/server/peer/codec.js";
import { flowControlWindowBytes, methods } from "../../../src/server/peer/connection.js";
import { prefixBytes } from "../../../src/server/peer/grpc-message.js";
import type { PeerObserver } from "../../../src/server/peer/types.js";
import { clusterId, heartbeat, helloMetadata, linkAll, sameBytes, startRoom, type TestRoom } from "./harness.js";

const patience = { timeout: 10_000, interval: 2 };

/** A stream as a member opens it, by a gRPC client that is not ours and with nobody behind it. */
class RawStream implements Disposable {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  readonly ended: Promise<StatusObject>;
  private readonly client: Client;

  constructor(to: TestRoom, metadata: Metadata = helloMetadata({ clusterId, from: 1n, to: to.id, peerUrls: [] })) {
    this.client = new Client(to.url.replace("http://", ""), credentials.createInsecure());
    this.call = this.client.makeBidiStreamRequest(methods.raft.path, sameBytes, sameBytes, metadata);
    this.call.on("error", () => undefined);
    this.ended = new Promise((resolve) => void this.call.once("status", resolve));
    this.call.resume();
  }

  write(bytes: Uint8Array): void {
    this.call.write(Buffer.from(bytes));
  }

  [Symbol.dispose](): void {
    this.call.cancel();
    this.client.close();
  }
}

const fine = encodeFrame({ to: 2n, messages: [heartbeat(1n, 2n, 1)], pingMs: 0 });

describe("a caller", () => {
  it.each<[string, Uint8Array]>([
    ["noise", new Uint8Array([255, 254, 253])],
    ["a frame for somebody else", encodeFrame({ to: 3n, messages: [heartbeat(1n, 3n, 1)], pingMs: 0 })],
  ])("that sends %s is cut off, and the member goes on", async (_what, bytes) => {
    await using b = await startRoom(2n);
    using raw = new RawStream(b);
    raw.write(fine);
    await expect.poll(() => b.ear.heard.length, patience).toBe(1);
    raw.write(bytes);
    raw.write(fine);
    expect(await raw.ended).toMatchObject({ code: 3, details: expect.stringContaining("a frame is wrong") as string });
    expect(b.ear.heard).toHaveLength(1);
    using next = new RawStream(b);
    next.write(fine);
    await expect.poll(() => b.ear.heard.length, patience).toBe(2);
  });

  it("that sends a frame longer than may be is cut off", async () => {
    await using b = await startRoom(2n, { frameBytesMax: 1_000 });
    using raw = new RawStream(b);
    raw.write(new Uint8Array(1_001));
    expect(await raw.ended).toMatchObject({ code: 8 });
  });

  it.each<[string, string, Metadata]>([
    ["says nothing of itself", "its cluster is none", helloMetadata()],
    ["speaks a later protocol", "version 2 of the protocol", later()],
    ["speaks no protocol", "version undefined of the protocol", strange("litecd-protocol", "x")],
    ["has no cluster", "its cluster is none", strange("litecd-cluster", "xyz")],
    ["has no name", "it does not say who speaks to whom", strange("litecd-from", "12345678123456781")],
  ])("that %s is turned away", async (_what, reason, metadata) => {
    await using b = await startRoom(2n);
    using raw = new RawStream(b, metadata);
    expect(await raw.ended).toMatchObject({ code: 9, details: expect.stringContaining(reason) as string });
    expect(b.lines.some((line) => line.includes(reason))).toBe(true);
  });

  it("gets a receipt when it asks for one, with its own clock", async () => {
    await using b = await startRoom(2n);
    using raw = new RawStream(b);
    const receipts: Receipt[] = [];
    raw.call.on("data", (bytes: Buffer) => receipts.push(Receipt.decode(bytes)));
    raw.write(fine);
    raw.write(encodeFrame({ to: 2n, messages: [], pingMs: 123.5 }));
    await expect.poll(() => receipts, patience).toEqual([{ pingMs: 123.5 }]);
  });

  it("that is not even HTTP/2 does no harm", async () => {
    await using b = await startRoom(2n);
    for (const text of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u0016\u0003\u0001", ""]) {
      const socket = connect(Number(new URL(b.url).port), "127.0.0.1");
      socket.on("error", () => undefined).resume();
      const closed = new Promise((resolve) => void socket.once("close", resolve));
      socket.end(text);
      await closed;
    }
    using raw = new RawStream(b);
    raw.write(fine);
    await expect.poll(() => b.ear.heard.length, patience).toBe(1);
  });

  it("may have much on its way, so that a long line is filled", async () => {
    await using b = await startRoom(2n);
    const session = connectHttp2(b.url);
    try {
      await new Promise<void>((resolve) => void session.once("remoteSettings", () => resolve()));
      expect(session.remoteSettings.initialWindowSize).toBe(flowControlWindowBytes);
      await expect.poll(() => session.state.remoteWindowSize, patience).toBe(flowControlWindowBytes);
    } finally {
      session.close();
    }
  });
});

function strange(key: string, value: string): Metadata {
  const metadata = helloMetadata({ clusterId, from: 1n, to: 2n, peerUrls: [] });
  metadata.set(key, value);
  return metadata;
}

function later(): Metadata {
  return strange("litecd-protocol", "2");
}

describe("the observer", () => {
  it("sees bytes, round trips, failures and links", async () => {
    const counts = { sent: 0, received: 0, failed: 0, trips: [] as number[], links: [] as string[] };
    const observer: PeerObserver = {
      sent: (to, bytes) => {
        if (to === 2n) counts.sent += bytes;
      },
      received: (from, bytes) => {
        if (from === 2n) counts.received += bytes;
      },
      sendFailed: () => (counts.failed += 1),
      roundTrip: (_to, seconds) => counts.trips.push(seconds),
      linked: (to, state) => counts.links.push(`${to} ${state}`),
    };
    await using a = await startRoom(1n, { observer, electionMs: 2_000 });
    const b = await startRoom(2n, { electionMs: 2_000 });
    linkAll([a, b]);
    await expect.poll(() => a.room.connectedSinceMs(2n), patience).toBeDefined();
    expect(counts.links).toEqual(["2 up"]);
    expect(counts.trips.length).toBeGreaterThan(0);
    expect(Math.max(...counts.trips)).toBeLessThan(1);
    const { sent, received } = counts;
    expect(received).toBeGreaterThan(0);
    a.room.send([heartbeat(1n, 2n, 1)]);
    expect(counts.sent).toBe(sent + prefixBytes + fine.length);
    await b.room.close();
    await expect.poll(() => counts.links, patience).toEqual(["2 up", "2 down"]);
    const { failed } = counts;
    a.room.send([heartbeat(1n, 2n, 1)]);
    expect(counts.failed).toBe(failed + 1);
  });
});
