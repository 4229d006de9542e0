/** Sends a state file to another member, in chunks, as fast as it takes them. */

import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { SnapshotPart } from "../../../proto/gen/internal/raft.js";
import type { OutgoingSnapshot } from "../replica/peers.js";
import type { Clock } from "../runtime/clock.js";
import { type CallStatus, callCodes } from "./call-status.js";
import { type Connection, methods } from "./connection.js";
import { withBytes } from "./frame-data.js";
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
/** Of `SnapshotPart.data`. */
const dataField = 2;
const nothing = new Uint8Array(0);
/** Handed to the connection and not yet taken by the system. */
const inflightBytesMax = 4 * chunkBytes;
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
  try {
    await call.opened;
    await sendParts(file, snapshot, call);
    await call.finish();
  } catch (error) {
    // What the peer says about it is more than that the stream broke.
    throw (await call.abandon()) ?? error;
  }
}

async function sendParts(file: FileHandle, snapshot: OutgoingSnapshot, call: SnapshotCall): Promise<void> {
  const { from, senderTerm, index, term, sizeBytes } = snapshot;
  const numbers = { senderTerm: BigInt(senderTerm), index: BigInt(index), term: BigInt(term) };
  await call.write(encode({ $case: "start", value: { from, ...numbers, sizeBytes: BigInt(sizeBytes) } }));
  const hash = createHash("sha256");
  const chunk = new Uint8Array(Math.min(chunkBytes, sizeBytes));
  let position = 0;
  while (position < sizeBytes) {
    const wanted = Math.min(chunk.length, sizeBytes - position);
    const { bytesRead } = await file.read(chunk, 0, wanted, position);
    if (bytesRead === 0) throw new SnapshotSendError(`the file ends at ${position} of ${sizeBytes} bytes`);
    const data = chunk.subarray(0, bytesRead);
    hash.update(data);
    // This copies, so the chunk can be filled again.
    await call.write(writePrefix(withBytes(nothing, { number: dataField, elements: [data] }, prefixBytes)));
    position += bytesRead;
  }
  await call.write(encode({ $case: "end", value: { sizeBytes: BigInt(position), sha256: hash.digest() } }));
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
  private failure: SnapshotSendError | undefined;
  private inflightBytes = 0;
  /** Goes on with writing, or ends the wait with the call. */
  private proceed: () => void = () => undefined;

  constructor(route: SnapshotRoute) {
    const { connection, headers } = route;
    this.onSent = route.onSent;
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

  async write(part: Buffer): Promise<void> {
    this.check();
    this.inflightBytes += part.length;
    this.call.write(part, () => {
      this.inflightBytes -= part.length;
      this.proceed();
    });
    this.onSent(part.length);
    while (this.inflightBytes >= inflightBytesMax) {
      await new Promise<void>((resolve) => {
        this.proceed = resolve;
      });
      this.check();
    }
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
    if (status.code !== callCodes.ok) this.failure ??= new SnapshotSendError(status.details);
    this.proceed();
  }

  private async untilOpen({ clock, openTimeoutMs }: SnapshotRoute): Promise<void> {
    const stop = clock.after(openTimeoutMs, () => this.call.cancel(`no answer within ${openTimeoutMs} ms`));
    await Promise.race([this.call.opened, this.answered]);
    stop();
    this.check();
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
