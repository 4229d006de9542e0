/** The service that other members call: checks who calls, and gives what they bring to the listener. */

import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Receipt, SnapshotReply } from "../../../proto/gen/internal/raft.js";
import { Code } from "../../../proto/status.js";
import { InvariantError } from "../invariant.js";
import type { MemberId } from "../raft/types.js";
import type { PeerListener } from "../replica/peers.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { failedStatus, headerText, okStatus } from "./call-status.js";
import { decodeFrame } from "./codec.js";
import { flowControlWindowBytes, methods } from "./connection.js";
import { FrameError } from "./frame-data.js";
import { MessageError } from "./grpc-message.js";
import { type Gate, type Hello, helloHeaders, type Refusal, readHello, refusalOf, refusalStatus } from "./handshake.js";
import { IncomingCall } from "./incoming-call.js";
import { Keepalive } from "./keepalive.js";
import { receiveSnapshotParts } from "./snapshot-receive.js";
import type { PeerObserver } from "./types.js";

export interface HostOptions {
  readonly gate: Gate;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observer: PeerObserver | undefined;
  readonly frameBytesMax: number;
  readonly listener: () => PeerListener | undefined;
  /** Whether the caller is a member, as far as is known here. */
  readonly isMember: (id: MemberId) => boolean;
  /** A member has opened a stream, and says where it can be called itself. */
  readonly onStream: (from: MemberId, peerUrls: readonly string[]) => void;
  /** The last stream of a member has ended. */
  readonly onNoStream: (from: MemberId) => void;
  readonly onFrame: (from: MemberId, nowMs: number) => void;
}

/** A connection needs one stream; questions and the like need some. */
const streamsPerConnectionMax = 256;

export class PeerHost {
  private readonly options: HostOptions;
  private readonly http2;
  private readonly keepalive: Keepalive;
  private readonly streams = new Map<IncomingCall, MemberId>();
  /** Members whose snapshot is arriving. */
  private readonly arriving = new Set<MemberId>();
  /** What was said last about a caller that was turned away, so that it is not said at each of its attempts. */
  private readonly lastRefusals = new Map<string, string>();

  constructor(options: HostOptions) {
    this.options = options;
    this.keepalive = new Keepalive(options.clock);
    this.http2 = createServer({
      settings: { maxConcurrentStreams: streamsPerConnectionMax, initialWindowSize: flowControlWindowBytes },
      // Node's own limit makes a busy connection fail; windows and streams are limited already.
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    });
    this.http2.on("session", (session: ServerHttp2Session) => {
      this.keepalive.watch(session);
      // The window of a connection is told apart from those of its streams, once it stands.
      session.once("connect", () => session.setLocalWindowSize(flowControlWindowBytes));
    });
    this.http2.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      this.arrived(new IncomingCall(stream, headers, options.frameBytesMax));
    });
  }

  /** Serves a connection, whose encryption is somebody else's matter. */
  serve(socket: Socket): void {
    this.http2.emit("connection", socket);
  }

  /** Members that were removed meanwhile are told so. */
  review(): void {
    for (const [call, from] of this.streams) {
      if (this.options.gate.isRemoved(from)) {
        this.refuse(call, { kind: "removed", reason: "it was removed from the cluster" });
      }
    }
  }

  close(): void {
    this.keepalive.close();
  }

  private arrived(call: IncomingCall): void {
    const path = headerText(call.headers, ":path");
    if (path === methods.raft.path) this.raft(call);
    else if (path === methods.snapshot.path) void this.snapshot(call);
    else if (path === methods.ask.path) void this.ask(call);
    else call.finish(failedStatus(Code.UNIMPLEMENTED, `there is no method ${path}`));
  }

  private raft(call: IncomingCall): void {
    const from = this.admit(call, (refusal) => call.finish(refusalStatus(refusal)));
    if (from === undefined) return;
    this.streams.set(call, from);
    call.respond(helloHeaders());
    this.options.onStream(from, readHello(call.headers).peerUrls);
    call.receive({
      onMessage: (bytes) => this.frame(call, from, bytes),
      onFailure: (error) => this.broken(call, error),
      onEnd: () => {
        this.ended(call);
        call.finish(okStatus);
      },
    });
  }

  private frame(call: IncomingCall, from: MemberId, bytes: Buffer): void {
    if (!this.streams.has(call)) return;
    const { clock, gate, listener, observer, onFrame } = this.options;
    observer?.received(from, bytes.length);
    const { to, messages, pingMs } = decodeFrame(bytes, from);
    if (to !== gate.memberId) throw new FrameError(`it is for ${to.toString(16)}`);
    onFrame(from, clock.monotonicMs());
    if (pingMs !== 0 && !call.isBehind) call.write(Receipt.encode({ pingMs }).finish());
    if (messages.length > 0) listener()?.messages(messages);
  }

  /** A stream that brings what cannot be is cut off. */
  private broken(call: IncomingCall, error: unknown): void {
    if (error instanceof FrameError) {
      this.refuse(call, { kind: "frame", reason: `a frame is wrong: ${error.message}` });
    } else if (error instanceof MessageError) {
      this.ended(call);
      call.finish(failedStatus(error.code, error.message));
    } else throw error;
  }

  private ended(call: IncomingCall): void {
    const from = this.streams.get(call);
    this.streams.delete(call);
    if (from !== undefined && ![...this.streams.values()].includes(from)) this.options.onNoStream(from);
  }

  private async snapshot(call: IncomingCall): Promise<void> {
    const from = this.admit(call, (refusal) => call.finish(refusalStatus(refusal)));
    if (from === undefined) return;
    const listener = this.options.listener();
    if (listener === undefined) return call.finish(notReady);
    if (this.arriving.has(from)) {
      return call.finish(failedStatus(Code.FAILED_PRECONDITION, "a snapshot of this member is arriving already"));
    }
    this.arriving.add(from);
    call.respond(helloHeaders());
    try {
      await receiveSnapshotParts(
        counted(call, (bytes) => this.options.observer?.received(from, bytes)),
        from,
        (head) => listener.receiveSnapshot(head),
      );
      call.finishWith(SnapshotReply.encode({}).finish());
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.options.logger.warn("a snapshot was not taken", { member: from, reason });
      call.finish(failedStatus(Code.FAILED_PRECONDITION, `the snapshot was not taken: ${reason}`));
      if (error instanceof InvariantError) throw error;
    } finally {
      this.arriving.delete(from);
    }
  }

  private async ask(call: IncomingCall): Promise<void> {
    const listener = this.options.listener();
    if (listener === undefined) return call.finish(notReady);
    const question = await questionOf(call);
    if (question === undefined) {
      return call.finish(failedStatus(Code.INVALID_ARGUMENT, "the question cannot be read"));
    }
    const from = this.memberIn(readHello(call.headers));
    if (from === undefined && question.kind?.$case !== "clusterView") {
      return call.finish(failedStatus(Code.PERMISSION_DENIED, "a stranger may only ask for the cluster view"));
    }
    call.finishWith(Answer.encode(await listener.answer(from, question)).finish());
  }

  /** The caller, if it is a member and speaks to this one. */
  private memberIn(hello: Hello): MemberId | undefined {
    const { from } = hello;
    const isKnown = from !== undefined && this.options.isMember(from);
    return isKnown && refusalOf(hello, this.options.gate) === undefined ? from : undefined;
  }

  private admit(call: IncomingCall, refuse: (refusal: Refusal) => void): MemberId | undefined {
    const hello = readHello(call.headers);
    const refusal = refusalOf(hello, this.options.gate);
    if (refusal === undefined) {
      this.lastRefusals.delete(callerOf(hello));
      return hello.from;
    }
    this.complain(hello, refusal);
    refuse(refusal);
    return undefined;
  }

  private refuse(call: IncomingCall, refusal: Refusal): void {
    this.ended(call);
    this.complain(readHello(call.headers), refusal);
    call.finish(refusalStatus(refusal));
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

const notReady = failedStatus(Code.UNAVAILABLE, "this member is not ready");

/** The message of the call; undefined if it is none. */
async function questionOf(call: IncomingCall): Promise<Question | undefined> {
  let question: Question | undefined;
  try {
    for await (const bytes of call.messages()) question ??= Question.decode(bytes);
  } catch {
    // Whatever came, it was no question.
    return undefined;
  }
  return question;
}

async function* counted(call: IncomingCall, count: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const bytes of call.messages()) {
    count(bytes.length);
    yield bytes;
  }
}
