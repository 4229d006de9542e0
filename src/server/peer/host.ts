/** The service that other members call: checks who calls, and gives what they bring to the listener. */

import type { Socket } from "node:net";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Receipt, SnapshotReply } from "../../../proto/gen/internal/raft.js";
import { InvariantError } from "../invariant.js";
import type { MemberId } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { asBuffer, keepalive, methods, sameBytes } from "./channel.js";
import { decodeFrame } from "./codec.js";
import { FrameError } from "./frame-data.js";
import {
  type Gate,
  type Hello,
  helloMetadata,
  type Refusal,
  readHello,
  refusalOf,
  refusalStatus,
} from "./handshake.js";
import { receiveSnapshotParts } from "./snapshot-receive.js";
import type { PeerListener, PeerObserver } from "./types.js";
import { widenWindows } from "./window.js";

export interface HostOptions {
  readonly gate: Gate;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observer: PeerObserver | undefined;
  readonly frameBytesMax: number;
  readonly listener: () => PeerListener | undefined;
  /** Whether the caller is a member, as far as is known here. */
  readonly isMember: (id: MemberId) => boolean;
  /** A member has opened a stream. */
  readonly onStream: (from: MemberId) => void;
  readonly onFrame: (from: MemberId, nowMs: number) => void;
}

type RaftCall = ServerDuplexStream<Buffer, Buffer>;
type SnapshotCall = ServerReadableStream<Buffer, Buffer>;

/** A connection needs one stream; questions and the like need some. */
const streamsPerConnectionMax = 256;

export class PeerHost {
  private readonly options: HostOptions;
  private readonly server: Server;
  private readonly injector: ReturnType<Server["createConnectionInjector"]>;
  private readonly streams = new Map<RaftCall, MemberId>();
  /** Members whose snapshot is arriving. */
  private readonly arriving = new Set<MemberId>();
  /** What was said last about a caller that was turned away, so that it is not said at each of its attempts. */
  private readonly lastRefusals = new Map<string, string>();

  constructor(options: HostOptions) {
    this.options = options;
    this.server = new Server({
      "grpc.max_receive_message_length": options.frameBytesMax,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": streamsPerConnectionMax,
      "grpc.keepalive_time_ms": keepalive.timeMs,
      "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
      "grpc.enable_channelz": 0,
    });
    this.server.register(methods.raft.path, (call: RaftCall) => this.raft(call), sameBytes, sameBytes, "bidi");
    this.server.register(
      methods.snapshot.path,
      (call: SnapshotCall, done: sendUnaryData<Buffer>) => void this.snapshot(call, done),
      sameBytes,
      sameBytes,
      "clientStream",
    );
    this.server.register(
      methods.ask.path,
      (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => void this.ask(call, done),
      sameBytes,
      sameBytes,
      "unary",
    );
    this.injector = widenWindows(this.server, () =>
      this.server.createConnectionInjector(ServerCredentials.createInsecure()),
    );
  }

  /** Serves a connection, whose encryption is somebody else's matter. */
  serve(socket: Socket): void {
    this.injector.injectConnection(socket);
  }

  /** Members that were removed meanwhile are told so. */
  review(): void {
    for (const [call, from] of this.streams) {
      if (!this.options.gate.isRemoved(from)) continue;
      this.refuse(call, call.metadata, { kind: "removed", reason: "it was removed from the cluster" });
    }
  }

  close(): void {
    this.server.forceShutdown();
  }

  private raft(call: RaftCall): void {
    // A stream that breaks is the caller's to mend.
    call.on("error", () => undefined);
    const from = this.admit(call.metadata, (refusal) => this.refuse(call, call.metadata, refusal));
    if (from === undefined) return;
    this.streams.set(call, from);
    call.once("close", () => this.streams.delete(call));
    call.once("cancelled", () => this.streams.delete(call));
    call.once("end", () => {
      this.streams.delete(call);
      call.end();
    });
    call.sendMetadata(helloMetadata());
    this.options.onStream(from);
    call.on("data", (bytes: Buffer) => this.frame(call, from, bytes));
  }

  private frame(call: RaftCall, from: MemberId, bytes: Buffer): void {
    if (!this.streams.has(call)) return;
    const { clock, gate, listener, observer, onFrame } = this.options;
    observer?.received(from, bytes.length);
    try {
      const { to, messages, pingMs } = decodeFrame(bytes, from);
      if (to !== gate.memberId) throw new FrameError(`it is for ${to.toString(16)}`);
      onFrame(from, clock.monotonicMs());
      if (pingMs !== 0 && !call.writableNeedDrain) call.write(asBuffer(Receipt.encode({ pingMs }).finish()));
      if (messages.length > 0) listener()?.messages(messages);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.refuse(call, call.metadata, { kind: "frame", reason: `a frame is wrong: ${error.message}` });
    }
  }

  private async snapshot(call: SnapshotCall, done: sendUnaryData<Buffer>): Promise<void> {
    const from = this.admit(call.metadata, (refusal) => done(refusalStatus(refusal)));
    if (from === undefined) return;
    const listener = this.options.listener();
    if (listener === undefined) return done({ code: status.UNAVAILABLE, details: "this member is not ready" });
    if (this.arriving.has(from)) {
      return done({ code: status.FAILED_PRECONDITION, details: "a snapshot of this member is arriving already" });
    }
    this.arriving.add(from);
    call.sendMetadata(helloMetadata());
    try {
      await receiveSnapshotParts(
        counted(call, (bytes) => this.options.observer?.received(from, bytes)),
        from,
        (head) => listener.receiveSnapshot(head),
      );
      done(null, asBuffer(SnapshotReply.encode({}).finish()));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.options.logger.warn("a snapshot was not taken", { member: from, reason });
      done({ code: status.FAILED_PRECONDITION, details: `the snapshot was not taken: ${reason}` });
      if (error instanceof InvariantError) throw error;
    } finally {
      this.arriving.delete(from);
    }
  }

  private async ask(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): Promise<void> {
    const listener = this.options.listener();
    if (listener === undefined) return done({ code: status.UNAVAILABLE, details: "this member is not ready" });
    let question: Question;
    try {
      question = Question.decode(call.request);
    } catch {
      return done({ code: status.INVALID_ARGUMENT, details: "the question cannot be read" });
    }
    const from = this.memberIn(readHello(call.metadata));
    if (from === undefined && question.kind?.$case !== "clusterView") {
      return done({ code: status.PERMISSION_DENIED, details: "a stranger may only ask for the cluster view" });
    }
    done(null, asBuffer(Answer.encode(await listener.answer(from, question)).finish()));
  }

  /** The caller, if it is a member and speaks to this one. */
  private memberIn(hello: Hello): MemberId | undefined {
    const { from } = hello;
    const isKnown = from !== undefined && this.options.isMember(from);
    return isKnown && refusalOf(hello, this.options.gate) === undefined ? from : undefined;
  }

  private admit(metadata: Metadata, refuse: (refusal: Refusal) => void): MemberId | undefined {
    const hello = readHello(metadata);
    const refusal = refusalOf(hello, this.options.gate);
    if (refusal === undefined) {
      this.lastRefusals.delete(callerOf(hello));
      return hello.from;
    }
    this.complain(hello, refusal);
    refuse(refusal);
    return undefined;
  }

  private refuse(call: RaftCall, metadata: Metadata, refusal: Refusal): void {
    this.streams.delete(call);
    this.complain(readHello(metadata), refusal);
    call.emit("error", refusalStatus(refusal));
  }

  private complain(hello: Hello, refusal: Refusal): void {
    const caller = callerOf(hello);
    if (this.lastRefusals.get(caller) === refusal.reason) return;
    // Strangers may come under as many names as they like.
    if (this.lastRefusals.size >= streamsPerConnectionMax) this.lastRefusals.clear();
    this.lastRefusals.set(caller, refusal.reason);
    const { from, serverVersion } = hello;
    this.options.logger.warn("turned a member away", { member: from, reason: refusal.reason, version: serverVersion });
  }
}

function callerOf({ from, clusterId }: Hello): string {
  return `${from?.toString(16)} of ${clusterId?.toString(16)}`;
}

async function* counted(call: SnapshotCall, count: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const bytes of call as AsyncIterable<Buffer>) {
    count(bytes.length);
    yield bytes;
  }
}
