/** A call of another member as the one who is called sees it. */

import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type CallStatus, okStatus, responseHeaders, statusHeaders } from "./call-status.js";
import { MessageCutter, prefixed } from "./grpc-message.js";

export class IncomingCall {
  readonly headers: IncomingHttpHeaders;
  private readonly stream: ServerHttp2Stream;
  private readonly bytesMax: number;
  private status: CallStatus = okStatus;
  private responded = false;
  private finished = false;

  /** Messages longer than `bytesMax` end the call. */
  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, bytesMax: number) {
    this.stream = stream;
    this.headers = headers;
    this.bytesMax = bytesMax;
    // A stream that breaks is the caller's to mend; "close" follows.
    stream.on("error", () => undefined);
  }

  /** It has its status, or nobody to send one to. */
  get isOver(): boolean {
    return this.finished || this.stream.destroyed;
  }

  /** The caller is slow to take what was written. */
  get isBehind(): boolean {
    return this.stream.writableNeedDrain;
  }

  /** Lets the call in. */
  respond(headers: Readonly<Record<string, string>>): void {
    if (this.responded || this.isOver) return;
    this.responded = true;
    this.stream.respond({ ...responseHeaders, ...headers }, { waitForTrailers: true });
    this.stream.once("wantTrailers", () => {
      this.stream.sendTrailers({ ...statusHeaders(this.status) });
      // A turn later: a reset in the same turn would overtake the trailers.
      setImmediate(() => this.stopReceiving());
    });
  }

  write(message: Uint8Array): void {
    if (!this.isOver) this.stream.write(prefixed(message));
  }

  /** The only message and the good status. */
  finishWith(message: Uint8Array): void {
    this.respond({});
    this.write(message);
    this.finish(okStatus);
  }

  /** Ends the call. One that is over stays as it ended. */
  finish(status: CallStatus): void {
    if (this.isOver) return;
    this.finished = true;
    this.status = status;
    if (this.responded) {
      this.stream.end();
      return;
    }
    this.stream.respond({ ...responseHeaders, ...statusHeaders(status) }, { endStream: true });
    this.stopReceiving();
  }

  /** Calls `onMessage` with each message as it comes; it may be a view. Its errors and MessageError go to `onFailure`. */
  receive(handlers: {
    readonly onMessage: (bytes: Buffer) => void;
    readonly onFailure: (error: unknown) => void;
    /** Nothing more comes: the caller has ended its side, or the call is over. */
    readonly onEnd: () => void;
  }): void {
    const cutter = new MessageCutter(this.bytesMax);
    this.stream.on("data", (chunk: Buffer) => {
      try {
        for (const message of cutter.cut(chunk)) if (!this.finished) handlers.onMessage(message);
      } catch (error) {
        handlers.onFailure(error);
      }
    });
    this.stream.once("end", handlers.onEnd);
    this.stream.once("close", handlers.onEnd);
  }

  /** The messages, taken as fast as the reader asks for them. Throws MessageError and what breaks the stream. */
  async *messages(): AsyncGenerator<Buffer> {
    const cutter = new MessageCutter(this.bytesMax);
    // Whoever stops reading has yet to send the status.
    const chunks: AsyncIterable<Buffer> = this.stream.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) yield* cutter.cut(chunk);
  }

  /** A caller that has not closed its side is told not to send the rest. */
  private stopReceiving(): void {
    const { stream } = this;
    if (!stream.readableEnded && !stream.destroyed) stream.resume().close(constants.NGHTTP2_NO_ERROR);
  }
}
