/** What a member sends is gRPC: a server that is not ours, on gRPC's own library, understands it and is understood. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Receipt, SnapshotPart } from "../../../proto/gen/internal/raft.js";
import { decodeFrame } from "../../../src/server/peer/codec.js";
import { methods } from "../../../src/server/peer/connection.js";
import type { MemberId, Message } from "../../../src/server/raft/types.js";
import { append, heartbeat, sameBytes, startRoom } from "./harness.js";

const patience = { timeout: 10_000, interval: 2 };

/** A server of gRPC's own that knows the three methods, and remembers. */
class StockServer implements AsyncDisposable {
  readonly frames: Message[] = [];
  readonly parts: string[] = [];
  readonly questions: Question[] = [];
  refusal: { readonly code: number; readonly details: string } | undefined;
  private readonly server = new Server();

  constructor() {
    const { raft, snapshot, ask } = methods;
    this.server.register(raft.path, (call: Duplex) => this.raft(call), sameBytes, sameBytes, "bidi");
    this.server.register(
      snapshot.path,
      (c: Upload, d: Done) => this.snapshot(c, d),
      sameBytes,
      sameBytes,
      "clientStream",
    );
    this.server.register(ask.path, (c: Unary, d: Done) => this.ask(c, d), sameBytes, sameBytes, "unary");
  }

  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve(this.server.forceShutdown());
  }

  private raft(call: Duplex): void {
    call.sendMetadata(call.metadata);
    call.on("error", () => undefined);
    call.on("data", (bytes: Buffer) => {
      const { messages, pingMs } = decodeFrame(bytes, from);
      this.frames.push(...messages);
      if (pingMs !== 0) call.write(Buffer.from(Receipt.encode({ pingMs }).finish()));
    });
  }

  private snapshot(call: Upload, done: Done): void {
    if (this.refusal !== undefined) return done(this.refusal);
    call.sendMetadata(call.metadata);
    call.on("data", (bytes: Buffer) => this.parts.push(SnapshotPart.decode(bytes).kind?.$case ?? "none"));
    call.on("end", () => done(null, Buffer.alloc(0)));
  }

  private ask(call: Unary, done: Done): void {
    this.questions.push(Question.decode(call.request));
    if (this.refusal !== undefined) done(this.refusal);
    else done(null, Buffer.from(Answer.encode(renewed).finish()));
  }
}

type Duplex = ServerDuplexStream<Buffer, Buffer>;
type Upload = ServerReadableStream<Buffer, Buffer>;
type Unary = ServerUnaryCall<Buffer, Buffer>;
type Done = sendUnaryData<Buffer>;

const from: MemberId = 1n;
const renew: Question = { kind: { $case: "leaseRenew", value: { id: 7n } } };
const renewed: Answer = { kind: { $case: "leaseRenew", value: { ttlSeconds: 60n } } };

describe("a server of gRPC's own", () => {
  it("hears a member's messages, large ones too, and its receipts are heard", async () => {
    await using server = new StockServer();
    const port = await server.listen();
    let trips = 0;
    const observer = {
      sent: () => undefined,
      received: () => undefined,
      sendFailed: () => undefined,
      roundTrip: () => (trips += 1),
      linked: () => undefined,
    };
    await using a = await startRoom(from, { observer });
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${port}`] }]);
    await expect.poll(() => trips, patience).toBeGreaterThan(1);
    const sent = [heartbeat(from, 2n, 5), append(from, 2n, { index: 7, bytes: 1_000_000 })];
    a.room.send(sent);
    await expect.poll(() => server.frames.length, patience).toBe(2);
    expect(server.frames.toSorted((x, y) => y.kind.localeCompare(x.kind))).toEqual(sent);
  });

  it("answers a member's question, and its refusal is one", async () => {
    await using server = new StockServer();
    const port = await server.listen();
    await using a = await startRoom(from);
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${port}`] }]);
    const ask = (): Promise<unknown> => a.room.ask(2n, renew, { timeoutMs: 1_000 }).catch((error: unknown) => error);
    await expect.poll(ask, patience).toEqual(renewed);
    server.refusal = { code: 9, details: "nö, 100 % no" };
    expect(await ask()).toMatchObject({ message: "peer unreachable", cause: { code: 9, details: "nö, 100 % no" } });
  });

  it("takes a member's snapshot, and its refusal is told", async () => {
    await using server = new StockServer();
    const port = await server.listen();
    await using a = await startRoom(from);
    a.room.setMembers([{ id: 2n, peerUrls: [`http://127.0.0.1:${port}`] }]);
    const directory = await mkdtemp(join(tmpdir(), "litecd-stock-"));
    const path = join(directory, "state.db");
    try {
      await writeFile(path, Buffer.alloc(700_000, 3));
      const snapshot = { path, from, senderTerm: 3, index: 10, term: 2, sizeBytes: 700_000 };
      const send = (): Promise<string> => a.room.sendSnapshot(2n, snapshot).then(() => "sent", String);
      await expect.poll(send, patience).toBe("sent");
      expect(server.parts.slice(-5)).toEqual(["start", "data", "data", "data", "end"]);
      server.refusal = { code: 9, details: "not wanted" };
      expect(await send()).toContain("not wanted");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
