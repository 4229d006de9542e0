/** One call on one HTTP/2 stream: what the handler may know of it, what it receives, what it sends, how it ends. */

import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Code, status, WireError, type WireStatus } from "../../../proto/status.js";
import type { CallContext } from "../api/types.js";
import { InvariantError } from "../invariant.js";
import type { MethodCounts } from "./call-metrics.js";
import { type Codec, encodeFrame } from "./codec.js";
import { metadataOf, okStatus, statusHeaders, timeoutMsOf } from "./headers.js";
import type { Host } from "./host.js";
import { MessageReader } from "./message-reader.js";
import type { Method } from "./method.js";

/** A stream as it arrives. */
export interface Arrival {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

/** Who gets what the caller sends. */
export interface Receiver {
  /** A whole message. May throw a WireError, which ends the call. */
  message(bytes: Uint8Array): void;
  /** The caller closed its side, perhaps within a message. */
  end(where: "between messages" | "within a message"): void;
  /** The call is over before its time. */
  abort(reason: WireError): void;
}

const responseHeaders = { ":status": 200, "content-type": "application/grpc" };
const withTrailers = { waitForTrailers: true };
/** Timers cannot count further; a deadline beyond that is none. */
const timerMsMax = 2 ** 31 - 1;

export class Call implements CallContext {
  private readonly arrival: Arrival;
  private readonly host: Host;
  private readonly method: Method;
  private readonly counts: MethodCounts;
  private readonly reader: MessageReader;
  private readonly startedMs: number;
  private receiver: Receiver | undefined;
  private knownMetadata: ReadonlyMap<string, readonly string[]> | undefined;
  private controller: AbortController | undefined;
  private abortReason: WireError | undefined;
  private cancelDeadline: (() => void) | undefined;
  private responding = false;
  private over = false;
  private ending: WireStatus = okStatus;

  constructor(arrival: Arrival, host: Host, method: Method) {
    this.arrival = arrival;
    this.host = host;
    this.method = method;
    const counts = host.metrics.of(method);
    this.counts = counts;
    const encoding = arrival.headers["grpc-encoding"];
    this.reader = new MessageReader({
      encoding: typeof encoding === "string" ? encoding : undefined,
      bytesMax: host.messageBytesMax,
    });
    this.startedMs = counts.handlingSeconds === undefined ? 0 : host.clock.monotonicMs();
    counts.started += 1;
    host.callStarted(this);
  }

  /** Whether the call has its status, or nobody to send one to. */
  get finished(): boolean {
    return this.over;
  }

  /** Whether the call has no end of its own. */
  get streaming(): boolean {
    return this.method.kind !== "unary";
  }

  get metadata(): ReadonlyMap<string, readonly string[]> {
    this.knownMetadata ??= metadataOf(this.arrival.rawHeaders);
    return this.knownMetadata;
  }

  /** The first value of a metadata key, without building all of the metadata for a key that is absent. */
  firstMetadata(key: string): string | undefined {
    return this.arrival.headers[key] === undefined ? undefined : this.metadata.get(key)?.[0];
  }

  /** Made when somebody asks: most calls end without anyone caring. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.abortReason !== undefined) this.controller.abort(this.abortReason);
    }
    return this.controller.signal;
  }

  get remote(): string {
    return this.host.remote;
  }

  get certificateName(): string | undefined {
    return this.host.certificateName;
  }

  /** Starts to deliver what the caller sends, and the clock of its deadline. */
  receive(receiver: Receiver): void {
    this.receiver = receiver;
    const { stream, headers } = this.arrival;
    stream.on("data", (chunk: Buffer) => this.receiveChunk(chunk));
    stream.on("end", () => {
      if (!this.over) receiver.end(this.reader.leftBytes === 0 ? "between messages" : "within a message");
    });
    // A broken stream says so twice; "close" follows and is enough.
    stream.on("error", () => undefined);
    stream.on("close", () => this.streamClosed());
    const timeout = headers["grpc-timeout"];
    if (typeof timeout === "string") this.startDeadline(timeoutMsOf(timeout) ?? timerMsMax);
  }

  pause(): void {
    this.arrival.stream.pause();
  }

  resume(): void {
    this.arrival.stream.resume();
  }

  /** Sends one of several messages. False when the caller is slow: wait for {@link drained} before the next. */
  send<Message>(codec: Codec<Message>, message: Message): boolean {
    if (this.gone) return true;
    const frame = this.frame(codec, message);
    this.respond();
    return this.arrival.stream.write(frame);
  }

  /** Resolves when more can be sent, or nothing any more. */
  async drained(): Promise<void> {
    const { stream } = this.arrival;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stream.off("drain", done).off("close", done);
        resolve();
      };
      if (this.over || !stream.writableNeedDrain) resolve();
      else stream.on("drain", done).on("close", done);
    });
  }

  /** Sends the only message and the good status. */
  finishWith<Message>(codec: Codec<Message>, message: Message): void {
    if (this.gone) return; // "close" comes, or came, and counts the call as cancelled
    const frame = this.frame(codec, message);
    this.respond();
    this.settle(okStatus);
    this.arrival.stream.end(frame);
  }

  /** Ends the call with a status. A call that is over stays as it ended. */
  finish(wireStatus: WireStatus): void {
    if (this.over) return;
    this.settle(wireStatus);
    const { stream } = this.arrival;
    if (stream.destroyed) return;
    if (this.responding) {
      stream.end();
      return;
    }
    stream.respond({ ...responseHeaders, ...statusHeaders(wireStatus) }, { endStream: true });
    this.stopReceiving();
  }

  /** Ends the call with an error: a WireError as it is, anything else is a bug of ours and travels as UNKNOWN. */
  fail(error: unknown): void {
    if (error instanceof WireError) return this.finish(error);
    if (error instanceof InvariantError) this.host.onFatal(error);
    this.host.logger.error("a call failed without a status", { ...this.counts.labels, error: describe(error) });
    this.finish({ code: Code.UNKNOWN, message: error instanceof Error ? error.message : String(error) });
  }

  /** Ends the call before its time and tells the handler. */
  abort(wireStatus: WireStatus): void {
    if (this.over) return;
    this.finish(wireStatus);
    this.tellAborted(wireStatus);
  }

  private get gone(): boolean {
    return this.over || this.arrival.stream.destroyed;
  }

  private respond(): void {
    if (this.responding) return;
    this.responding = true;
    const { stream } = this.arrival;
    stream.respond(responseHeaders, withTrailers);
    stream.once("wantTrailers", () => {
      stream.sendTrailers(statusHeaders(this.ending));
      // A turn later: a reset in the same turn would overtake the trailers.
      if (!stream.readableEnded) setImmediate(() => this.stopReceiving());
    });
  }

  private settle(wireStatus: WireStatus): void {
    this.over = true;
    this.ending = wireStatus;
    this.cancelDeadline?.();
    const { handled, handlingSeconds } = this.counts;
    handled[wireStatus.code] = (handled[wireStatus.code] ?? 0) + 1;
    handlingSeconds?.observe((this.host.clock.monotonicMs() - this.startedMs) / 1000);
    this.host.callEnded(this);
  }

  /** A caller that has not closed its side is told not to send the rest. */
  private stopReceiving(): void {
    const { stream } = this.arrival;
    if (!stream.readableEnded && !stream.destroyed) stream.resume().close(constants.NGHTTP2_NO_ERROR);
  }

  private frame<Message>(codec: Codec<Message>, message: Message): Uint8Array {
    const frame = encodeFrame(codec, message);
    this.counts.sent += 1;
    this.host.metrics.sentBytes.inc(frame.length - 5);
    this.host.messageSent();
    return frame;
  }

  private receiveChunk(chunk: Buffer): void {
    if (this.over) return;
    try {
      this.reader.push(chunk);
      for (let bytes = this.reader.next(); bytes !== undefined; bytes = this.reader.next()) {
        this.counts.received += 1;
        this.host.metrics.receivedBytes.inc(bytes.length);
        this.receiver?.message(bytes);
        if (this.over) return;
      }
    } catch (error) {
      this.host.metrics.countReceiveFailure(this.method);
      this.fail(error);
      this.tellAborted(this.ending);
    }
  }

  private startDeadline(timeoutMs: number): void {
    if (timeoutMs >= timerMsMax) return;
    if (timeoutMs <= 0) return this.abort(status.ContextDeadlineExceeded);
    this.cancelDeadline = this.host.clock.after(timeoutMs, () => this.abort(status.ContextDeadlineExceeded));
  }

  private streamClosed(): void {
    if (this.over) return;
    this.settle(status.Canceled);
    this.tellAborted(status.Canceled);
  }

  private tellAborted(wireStatus: WireStatus): void {
    this.abortReason = new WireError(wireStatus);
    this.controller?.abort(this.abortReason);
    this.receiver?.abort(this.abortReason);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
