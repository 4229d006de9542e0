/** gRPC's framing of messages within an HTTP/2 stream: one byte of flag, four of length, the message. */

import { Code } from "../../../proto/status.js";

/** What stands before a message. */
export const prefixBytes = 5;

/** Bytes that gRPC does not allow, or more of them than may be. `code` is that of the status that says so. */
export class MessageError extends Error {
  override readonly name = "MessageError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const none: readonly Buffer[] = [];

/** The message with its prefix, in new memory. */
export function prefixed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(prefixBytes + message.length);
  bytes.set(message, prefixBytes);
  return writePrefix(bytes);
}

/** Fills the first {@link prefixBytes} bytes, which were left free for it. */
export function writePrefix(bytes: Buffer): Buffer {
  bytes[0] = 0;
  bytes.writeUInt32BE(bytes.length - prefixBytes, 1);
  return bytes;
}

/** Cuts what arrives into messages. */
export class MessageCutter {
  private readonly bytesMax: number;
  private chunks: Buffer[] = [];
  private available = 0;
  /** So much is needed before there is anything to do. */
  private wanted = prefixBytes;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** The messages that are whole now, as views of what came. Throws {@link MessageError}. */
  cut(chunk: Buffer): readonly Buffer[] {
    this.available += chunk.length;
    if (this.chunks.length > 0 || this.available < this.wanted) this.chunks.push(chunk);
    if (this.available < this.wanted) return none;
    let rest = this.chunks.length > 0 ? Buffer.concat(this.chunks) : chunk;
    const messages: Buffer[] = [];
    for (this.wanted = this.need(rest); rest.length >= this.wanted; this.wanted = this.need(rest)) {
      messages.push(rest.subarray(prefixBytes, this.wanted));
      rest = rest.subarray(this.wanted);
    }
    this.chunks = rest.length > 0 ? [rest] : [];
    this.available = rest.length;
    return messages;
  }

  /** How long what begins here is, as far as can be seen. */
  private need(bytes: Buffer): number {
    if (bytes.length < prefixBytes) return prefixBytes;
    if (bytes[0] !== 0) throw new MessageError(Code.INTERNAL, "a message is compressed, which was not agreed on");
    const length = bytes.readUInt32BE(1);
    if (length > this.bytesMax) {
      throw new MessageError(
        Code.RESOURCE_EXHAUSTED,
        `a message has ${length} bytes, and ${this.bytesMax} are allowed`,
      );
    }
    return prefixBytes + length;
  }
}
