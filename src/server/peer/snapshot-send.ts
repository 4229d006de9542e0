/** Sends a state file to another member, in chunks, as fast as it takes them. */

import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { SnapshotPart } from "../../../proto/gen/internal/raft.js";
import { Code } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import type { OutgoingSnapshot } from "../replica/peers.js";
import type { Clock } from "../runtime/clock.js";
import { type CallStatus } from "./call-status.js";
import { type Connection, methods } from "./connection.js";
import { varintBytes, writeVarint } from "./frame-data.js";
import { prefixBytes, prefixed, writePrefix } from "./grpc-message.js";
import { OutgoingCall } from "./outgoing-call.js";

/** A snapshot did not arrive, or was not wanted; the message says which. */
export class SnapshotSendError extends Error {
  override readonly name = "SnapshotSendError";
}

export interface SnapshotRoute {
  /** Closed when the snapshot is through, or is not. */
  readonly connection: Connection;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long the peer may take to let the transfer begin. */
  readonly openTimeoutMs: number;
  readonly onSent: (bytes: number) => void;
}

const chunkBytes = 256 * 1024;
/**
 * Buffers for chunks: one is read while the others leave. They are used again and again, because a gigabyte of short-lived
 * memory keeps the collector at work for seconds, in the thread that serves clients.
 */
const chunkCount = 4;
/** In front of a chunk: the prefix of the message, then tag and length of `SnapshotPart.data`, field 2 of bytes. */
const dataTag = (2 << 3) | 2;
const headBytesMax = prefixBytes + 1 + varintBytes(chunkBytes);
/**
 * No faster than this, however fast the peer takes it: the member that is behind can wait a little longer, and whom the
 * leader serves meanwhile cannot. On few processors a transfer without a bound doubles their latency.
 */
const paceBytesPerSecond = 80 * 1024 * 1024;
/** What was not used of that may be made up for so long. */
const creditMs = 10;
const replyBytesMax = 1024;

/**
 * Resolves when the peer says that it has installed the snapshot. Rejects with {@link SnapshotSendError} or an error of
 * the file.
 */
export async function sendSnapshotFile(snapshot: OutgoingSnapshot, route: SnapshotRoute): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(snapshot.path, "r");
    await sendOver(new SnapshotCall(route), file, snapshot);
  } finally {
    route.connection.close();
    await file?.close();
  }
}

async function sendOver(call: SnapshotCall, file: FileHandle, snapshot: OutgoingSnapshot): Promise<void> {
  const { from, senderTerm, index, term, sizeBytes } = snapshot;
  const numbers = { senderTerm: BigInt(senderTerm), index: BigInt(index), term: BigInt(term) };
  try {
    await call.opened;
    await call.write(encode({ $case: "start", value: { from, ...numbers, sizeBytes: BigInt(sizeBytes) } }));
    const chunks = new FileChunks(file, sizeBytes);
    await sendData(call, chunks);
    await call.write(encode({ $case: "end", value: { sizeBytes: BigInt(sizeBytes), sha256: chunks.digest() } }));
    await call.finish();
  } catch (error) {
    // What the peer says about it is more than that the stream broke.
    throw (await call.abandon()) ?? error;
  }
}

async function sendData(call: SnapshotCall, chunks: FileChunks): Promise<void> {
  const slots = Array.from({ length: chunkCount }, () => ({
    buffer: Buffer.allocUnsafe(headBytesMax + chunkBytes),
    taken: Promise.resolve(),
  }));
  for (let number = 0; ; number += 1) {
    const slot = slots[number % chunkCount];
    invariant(slot !== undefined, "a chunk has no buffer", { number });
    await slot.taken;
    call.check();
    const message = await chunks.next(slot.buffer);
    if (message === undefined) return;
    slot.taken = call.write(message);
    await call.keepPace(message.length);
  }
}

/** A file as messages, and the SHA-256 of its bytes. */
class FileChunks {
  private readonly file: FileHandle;
  private readonly sizeBytes: number;
  private readonly hash = createHash("sha256");
  private position = 0;

  constructor(file: FileHandle, sizeBytes: number) {
    this.file = file;
    this.sizeBytes = sizeBytes;
  }

  digest(): Buffer {
    return this.hash.digest();
  }

  /** The next message with its prefix, a view of `buffer`; undefined at the end. */
  async next(buffer: Buffer): Promise<Buffer | undefined> {
    const { file, sizeBytes, position } = this;
    if (position === sizeBytes) return undefined;
    const wanted = Math.min(chunkBytes, sizeBytes - position);
    const { bytesRead } = await file.read(buffer, headBytesMax, wanted, position);
    if (bytesRead === 0) throw new SnapshotSendError(`the file ends at ${position} of ${sizeBytes} bytes`);
    this.position += bytesRead;
    const end = headBytesMax + bytesRead;
    this.hash.update(buffer.subarray(headBytesMax, end));
    const message = buffer.subarray(headBytesMax - varintBytes(bytesRead) - 1 - prefixBytes, end);
    message[prefixBytes] = dataTag;
    writeVarint(message, prefixBytes + 1, bytesRead);
    return writePrefix(message);
  }
}

/** A part with the prefix of a message. */
function encode(kind: NonNullable<SnapshotPart["kind"]>): Buffer {
  return prefixed(SnapshotPart.encode({ kind }).finish());
}

/** The call, with every wait ended by its failure. */
class SnapshotCall {
  readonly opened: Promise<void>;
  private readonly call: OutgoingCall;
  private readonly onSent: (bytes: number) => void;
  private readonly answered: Promise<void>;
  private readonly clock: Clock;
  private failure: SnapshotSendError | undefined;
  private isOver = false;
  /** What ends each wait for bytes to be taken. */
  private readonly waiting = new Set<() => void>();
  /** When all that was sent so far is through at the highest speed. */
  private throughMs = -Infinity;

  constructor(route: SnapshotRoute) {
    const { connection, headers, clock, onSent } = route;
    this.clock = clock;
    this.onSent = onSent;
    this.call = new OutgoingCall({
      connection,
      path: methods.snapshot.path,
      headers,
      bytesMax: replyBytesMax,
      onMessage: () => undefined,
    });
    this.answered = this.untilAnswer(route.signal);
    this.opened = this.untilOpen(route);
  }

  /**
   * Resolves when the system has taken the message, which is as fast as the peer takes them: its memory is free again. Or when
   * the call is over, which {@link check} tells.
   */
  write(message: Buffer): Promise<void> {
    if (this.isOver) return Promise.resolve();
    this.onSent(message.length);
    return new Promise((resolve) => {
      const taken = (): void => {
        this.waiting.delete(taken);
        resolve();
      };
      this.waiting.add(taken);
      this.call.write(message, taken);
    });
  }

  /** Waits until more may be sent than these bytes. */
  async keepPace(sentBytes: number): Promise<void> {
    const nowMs = this.clock.monotonicMs();
    this.throughMs = Math.max(this.throughMs, nowMs - creditMs) + (sentBytes / paceBytesPerSecond) * 1000;
    const waitMs = this.throughMs - nowMs;
    if (waitMs > 0) await new Promise<void>((resolve) => void this.clock.after(waitMs, resolve));
  }

  /** Throws {@link SnapshotSendError} if the call has failed. */
  check(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  /** Nothing more to come; resolves with the peer's word that all is well. */
  async finish(): Promise<void> {
    this.call.end();
    await this.answered;
    this.check();
  }

  /** Gives up; resolves to what the peer said about it, if it did. */
  async abandon(): Promise<SnapshotSendError | undefined> {
    const said = this.failure;
    this.call.cancel("given up");
    await this.answered;
    return said;
  }

  private async untilAnswer(signal: AbortSignal): Promise<void> {
    const cancel = (): void => this.call.cancel("closed");
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    const status: CallStatus = await this.call.ended;
    signal.removeEventListener("abort", cancel);
    if (status.code !== Code.OK) this.failure ??= new SnapshotSendError(status.details);
    this.isOver = true;
    for (const end of this.waiting) end();
  }

  private async untilOpen({ clock, openTimeoutMs }: SnapshotRoute): Promise<void> {
    const stop = clock.after(openTimeoutMs, () => this.call.cancel(`no answer within ${openTimeoutMs} ms`));
    await Promise.race([this.call.opened, this.answered]);
    stop();
    this.check();
  }
}
