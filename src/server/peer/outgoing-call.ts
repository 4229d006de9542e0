/** A call to another member as the caller sees it: messages out, messages in, and a status at its end. */

import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { Code } from "../../../proto/status.js";
import { type CallStatus, failedStatus, headerText, statusIn } from "./call-status.js";
import type { Connection } from "./connection.js";
import { MessageCutter, MessageError } from "./grpc-message.js";

export interface OutgoingCallOptions {
  readonly connection: Connection;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Longest message that is taken. */
  readonly bytesMax: number;
  readonly onMessage: (bytes: Buffer) => void;
}

export class OutgoingCall {
  /** Resolves once: when the other side lets the call in, or when it is over before that. */
  readonly opened: Promise<"open" | CallStatus>;
  /** Resolves when the call is over. */
  readonly ended: Promise<CallStatus>;
  private readonly stream: ClientHttp2Stream | undefined;
  private readonly cutter: MessageCutter;
  private readonly onMessage: (bytes: Buffer) => void;
  private failure: CallStatus | undefined;
  private status: CallStatus | undefined;
  private isOver = false;

  constructor({ connection, path, headers, bytesMax, onMessage }: OutgoingCallOptions) {
    this.cutter = new MessageCutter(bytesMax);
    this.onMessage = onMessage;
    try {
      this.stream = connection.call(path, headers);
    } catch (error) {
      // Between the end of a connection and the news of it.
      this.failure = unavailable(error);
    }
    this.ended = this.untilEnd();
    this.opened = Promise.race([this.untilOpen(), this.ended]);
  }

  /** A message with its prefix. `written` is called when it has gone to the system, as fast as the other side takes it. */
  write(message: Buffer, written: () => void): void {
    if (this.isOver) return;
    this.stream?.write(message, (error) => {
      if (error === undefined || error === null) written();
    });
  }

  /** Nothing more is written. */
  end(): void {
    if (!this.isOver) this.stream?.end();
  }

  /** Ends the call now, for this reason. */
  cancel(reason: string): void {
    this.failure ??= failedStatus(Code.CANCELLED, reason);
    this.stream?.destroy();
  }

  private untilOpen(): Promise<"open"> {
    return new Promise((resolve) => {
      this.stream?.once("response", (headers) => {
        this.status = statusIn(headers) ?? transportStatus(headers);
        if (this.status === undefined) resolve("open");
      });
    });
  }

  private untilEnd(): Promise<CallStatus> {
    const { stream } = this;
    if (stream === undefined) {
      this.isOver = true;
      return Promise.resolve(this.failure ?? connectionLost);
    }
    stream.on("data", (chunk: Buffer) => this.receive(chunk));
    stream.once("trailers", (headers: IncomingHttpHeaders) => {
      this.status ??= statusIn(headers);
    });
    // Without a listener an error would end the process; "close" follows.
    stream.on("error", (error) => {
      this.failure ??= unavailable(error);
    });
    return new Promise((resolve) => {
      stream.once("close", () => {
        this.isOver = true;
        resolve(this.status ?? this.failure ?? connectionLost);
      });
    });
  }

  private receive(chunk: Buffer): void {
    try {
      for (const message of this.cutter.cut(chunk)) if (!this.isOver) this.onMessage(message);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.cancel(error.message);
    }
  }
}

const connectionLost = failedStatus(Code.UNAVAILABLE, "the connection broke");

function unavailable(error: unknown): CallStatus {
  return failedStatus(Code.UNAVAILABLE, error instanceof Error ? error.message : String(error));
}

/** Why an answer is none of gRPC; undefined if it is one. */
function transportStatus(headers: IncomingHttpHeaders): CallStatus | undefined {
  const isGrpc = headerText(headers, "content-type")?.startsWith("application/grpc") === true;
  const status = Number(headers[":status"]);
  if (status === 200 && isGrpc) return undefined;
  return failedStatus(Code.UNAVAILABLE, `it answers with HTTP status ${status} and speaks no gRPC`);
}
