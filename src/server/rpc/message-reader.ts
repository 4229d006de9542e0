/** Cuts a stream of bytes into gRPC messages: one byte of flag, four of length, the message. */

import { gunzipSync } from "node:zlib";
import { Code, WireError } from "../../../proto/status.js";

const headerBytes = 5;

export interface MessageReaderOptions {
  /** Value of `grpc-encoding`, undefined when the caller sent none. */
  readonly encoding: string | undefined;
  /** Longest message, before and after decompression. */
  readonly bytesMax: number;
}

/** Bytes go in with {@link push}, messages come out of {@link next}. A too long message fails at its header. */
export class MessageReader {
  private readonly options: MessageReaderOptions;
  private chunks: Buffer[] = [];
  private available = 0;

  constructor(options: MessageReaderOptions) {
    this.options = options;
  }

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.available += chunk.length;
  }

  /** Bytes of a message that is not complete. */
  get leftBytes(): number {
    return this.available;
  }

  /**
   * The next whole message, a view of what was pushed; undefined when it has not arrived yet. Throws a WireError as
   * etcd words it.
   */
  next(): Uint8Array | undefined {
    if (this.available < headerBytes) return undefined;
    const header = this.peekHeader();
    const length = header.readUInt32BE(1);
    const { bytesMax } = this.options;
    if (length > bytesMax) {
      const message = `grpc: received message larger than max (${length} vs. ${bytesMax})`;
      throw new WireError({ code: Code.RESOURCE_EXHAUSTED, message });
    }
    if (this.available < headerBytes + length) return undefined;
    const flag = header.readUInt8(0);
    const taken = this.take(headerBytes + length);
    return inflate(flag, new Uint8Array(taken.buffer, taken.byteOffset + headerBytes, length), this.options);
  }

  private peekHeader(): Buffer {
    const [first] = this.chunks;
    if (first !== undefined && first.length >= headerBytes) return first;
    const joined = Buffer.concat(this.chunks);
    this.chunks = [joined];
    return joined;
  }

  private take(length: number): Buffer {
    this.available -= length;
    const [first] = this.chunks;
    const whole = first !== undefined && first.length >= length ? first : Buffer.concat(this.chunks);
    const rest = whole === first ? this.chunks.slice(1) : [];
    this.chunks = whole.length > length ? [whole.subarray(length), ...rest] : rest;
    return whole.subarray(0, length);
  }
}

function inflate(flag: number, bytes: Uint8Array, { encoding, bytesMax }: MessageReaderOptions): Uint8Array {
  if (flag === 0) return bytes;
  if (flag !== 1) {
    throw new WireError({ code: Code.INTERNAL, message: `grpc: received unexpected payload format ${flag}` });
  }
  if (encoding === undefined || encoding === "identity") {
    const message = "grpc: compressed flag set with identity or empty encoding";
    throw new WireError({ code: Code.INTERNAL, message });
  }
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.max(bytesMax, 1) });
  } catch (cause) {
    throw new WireError(inflateFailure(cause, bytesMax), { cause });
  }
}

function inflateFailure(cause: unknown, bytesMax: number) {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ERR_BUFFER_TOO_LARGE") {
    const text = `grpc: received message after decompression larger than max ${bytesMax}`;
    return { code: Code.RESOURCE_EXHAUSTED, message: text };
  }
  return { code: Code.INTERNAL, message: `grpc: failed to decompress the message: ${message}` };
}

/** The error for an encoding that {@link MessageReader} cannot undo; undefined when it can. */
export function encodingProblem(encoding: string | undefined): WireError | undefined {
  if (encoding === undefined || encoding === "identity" || encoding === "gzip") return undefined;
  const message = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`;
  return new WireError({ code: Code.UNIMPLEMENTED, message });
}
