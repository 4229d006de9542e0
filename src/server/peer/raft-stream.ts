/** One outgoing stream of frames, over a connection of its own. */

import type { ClientDuplexStream, Metadata, ServiceError, StatusObject } from "@grpc/grpc-js";
import { Receipt } from "../../../proto/gen/internal/raft.js";
import type { Clock } from "../runtime/clock.js";
import type { PeerEndpoint } from "./address.js";
import { asBuffer, type Channel, methods, sameBytes } from "./channel.js";
import { type Refusal, refusalIn } from "./handshake.js";

/** Why a stream is no more. */
export interface StreamEnd {
  readonly reason: string;
  readonly refusal: Refusal | undefined;
}

export interface StreamOptions {
  /** Belongs to the stream from here on. */
  readonly channel: Channel;
  /** Where the channel goes to. */
  readonly endpoint: PeerEndpoint;
  readonly metadata: Metadata;
  readonly clock: Clock;
  /** How long the other side may take to let the stream in. */
  readonly openTimeoutMs: number;
  readonly onReceipt: (receipt: Receipt) => void;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

export class RaftStream {
  readonly channel: Channel;
  readonly endpoint: PeerEndpoint;
  /** Resolves once: when the other side has let the stream in, or when it is over before that. */
  readonly opened: Promise<"open" | StreamEnd>;
  readonly ended: Promise<StreamEnd>;
  private readonly call: ClientDuplexStream<Buffer, Buffer>;
  private closeReason: string | undefined;
  private isOver = false;

  constructor(options: StreamOptions) {
    this.channel = options.channel;
    this.endpoint = options.endpoint;
    this.call = this.channel.client.makeBidiStreamRequest(methods.raft.path, sameBytes, sameBytes, options.metadata);
    this.ended = this.untilEnd(options.signal);
    this.opened = this.untilOpen(options);
    this.call.on("data", (bytes: Buffer) => this.receive(bytes, options.onReceipt));
  }

  /** `written` is called when the bytes have gone to the system, which is as fast as the other side takes them. */
  write(frame: Uint8Array, written: () => void): void {
    if (this.isOver) return;
    this.call.write(asBuffer(frame), (error?: Error | null) => {
      if (error === undefined || error === null) written();
    });
  }

  close(reason: string): void {
    this.closeReason ??= reason;
    this.call.cancel();
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

  private untilEnd(signal: AbortSignal): Promise<StreamEnd> {
    return new Promise((resolve) => {
      const close = (): void => this.close("closed");
      signal.addEventListener("abort", close, { once: true });
      // The status says the same; without a listener an error would end the process.
      this.call.on("error", (_error: ServiceError) => undefined);
      this.call.once("status", (status: StatusObject) => {
        this.isOver = true;
        signal.removeEventListener("abort", close);
        this.channel.close();
        resolve({ reason: this.closeReason ?? status.details, refusal: refusalIn(status) });
      });
      if (signal.aborted) close();
    });
  }

  private async untilOpen({ clock, openTimeoutMs }: StreamOptions): Promise<"open" | StreamEnd> {
    const cancel = clock.after(openTimeoutMs, () => this.close(`no answer within ${openTimeoutMs} ms`));
    const open = new Promise<"open">((resolve) => void this.call.once("metadata", () => resolve("open")));
    const first = await Promise.race([open, this.ended]);
    cancel();
    return first;
  }
}
