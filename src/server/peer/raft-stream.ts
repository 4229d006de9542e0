/** One outgoing stream of frames, over a connection of its own. */

import { Receipt } from "../../../proto/gen/internal/raft.js";
import type { Clock } from "../runtime/clock.js";
import type { PeerEndpoint } from "./address.js";
import type { CallStatus } from "./call-status.js";
import { type Connection, methods } from "./connection.js";
import { type Refusal, refusalIn } from "./handshake.js";
import { OutgoingCall } from "./outgoing-call.js";

/** Why a stream is no more. */
export interface StreamEnd {
  readonly reason: string;
  readonly refusal: Refusal | undefined;
}

export interface StreamOptions {
  /** Belongs to the stream from here on. */
  readonly connection: Connection;
  /** Where the connection goes to. */
  readonly endpoint: PeerEndpoint;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** How long the other side may take to let the stream in. */
  readonly openTimeoutMs: number;
  readonly onReceipt: (receipt: Receipt) => void;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

const receiptBytesMax = 1024;

export class RaftStream {
  readonly connection: Connection;
  readonly endpoint: PeerEndpoint;
  /** Resolves once: when the other side has let the stream in, or when it is over before that. */
  readonly opened: Promise<"open" | StreamEnd>;
  readonly ended: Promise<StreamEnd>;
  private readonly call: OutgoingCall;

  constructor(options: StreamOptions) {
    const { connection, endpoint, headers, onReceipt } = options;
    this.connection = connection;
    this.endpoint = endpoint;
    this.call = new OutgoingCall({
      connection,
      path: methods.raft.path,
      headers,
      bytesMax: receiptBytesMax,
      onMessage: (bytes) => this.receive(bytes, onReceipt),
    });
    this.ended = this.untilEnd(options.signal);
    this.opened = this.untilOpen(options);
  }

  /**
   * A frame with its prefix. `written` is called when the bytes have gone to the system, which is as fast as the other side
   * takes them.
   */
  write(frame: Buffer, written: () => void): void {
    this.call.write(frame, written);
  }

  close(reason: string): void {
    this.call.cancel(reason);
  }

  private receive(bytes: Buffer, onReceipt: (receipt: Receipt) => void): void {
    let receipt: Receipt;
    try {
      receipt = Receipt.decode(bytes);
    } catch {
      this.close("it answers with bytes that are no receipt");
      return;
    }
    onReceipt(receipt);
  }

  private async untilEnd(signal: AbortSignal): Promise<StreamEnd> {
    const close = (): void => this.close("closed");
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    const status = await this.call.ended;
    signal.removeEventListener("abort", close);
    this.connection.close();
    return endOf(status);
  }

  private async untilOpen({ clock, openTimeoutMs }: StreamOptions): Promise<"open" | StreamEnd> {
    const cancel = clock.after(openTimeoutMs, () => this.close(`no answer within ${openTimeoutMs} ms`));
    const first = await this.call.opened;
    cancel();
    return first === "open" ? first : await this.ended;
  }
}

function endOf(status: CallStatus): StreamEnd {
  return { reason: status.details, refusal: refusalIn(status) };
}
