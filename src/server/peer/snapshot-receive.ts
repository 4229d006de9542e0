/** Takes a snapshot from another member and gives it on only if every byte is right. */

import { createHash } from "node:crypto";
import { type SnapshotEnd, SnapshotPart, type SnapshotStart } from "../../../proto/gen/internal/raft.js";
import type { MemberId } from "../raft/types.js";
import type { SnapshotHead, SnapshotSink } from "../replica/peers.js";

/** What came is no whole and true snapshot. */
export class SnapshotBroken extends Error {
  override readonly name = "SnapshotBroken";
}

/** Reads all parts. Rejects with {@link SnapshotBroken} or what the sink says, after the sink was told to abort. */
export async function receiveSnapshotParts(
  parts: AsyncIterable<Uint8Array>,
  from: MemberId,
  open: (head: SnapshotHead) => SnapshotSink,
): Promise<void> {
  const iterator = parts[Symbol.asyncIterator]();
  const first = partOf(await next(iterator));
  if (first?.$case !== "start") throw new SnapshotBroken("it does not begin with a head");
  const head = headOf(first.value);
  if (head.from !== from) throw new SnapshotBroken("its head names another sender");
  const sink = open(head);
  try {
    await copy(iterator, head, sink);
    await sink.finish();
  } catch (error) {
    sink.abort(error);
    throw error;
  }
}

async function copy(iterator: AsyncIterator<Uint8Array>, head: SnapshotHead, sink: SnapshotSink): Promise<void> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for (;;) {
    const part = partOf(await next(iterator));
    switch (part?.$case) {
      case "data":
        sizeBytes += part.value.length;
        if (sizeBytes > head.sizeBytes) throw new SnapshotBroken(`it is longer than its ${head.sizeBytes} bytes`);
        hash.update(part.value);
        await sink.write(part.value);
        break;
      case "end":
        verify(part.value, { head, sizeBytes, sha256: hash.digest() });
        return;
      case "start":
      case undefined:
        throw new SnapshotBroken("it holds a part that does not belong there");
    }
  }
}

function verify(end: SnapshotEnd, received: { head: SnapshotHead; sizeBytes: number; sha256: Buffer }): void {
  const { head, sizeBytes, sha256 } = received;
  if (sizeBytes !== head.sizeBytes || end.sizeBytes !== BigInt(sizeBytes)) {
    throw new SnapshotBroken(`${sizeBytes} of ${head.sizeBytes} bytes came`);
  }
  if (!sha256.equals(end.sha256)) throw new SnapshotBroken("its SHA-256 is wrong: it was changed on the way");
}

async function next(iterator: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  const { done, value } = await iterator.next();
  if (done === true) throw new SnapshotBroken("it ends too early");
  return value;
}

function partOf(bytes: Uint8Array): SnapshotPart["kind"] {
  try {
    return SnapshotPart.decode(bytes).kind;
  } catch (error) {
    throw new SnapshotBroken("it holds a part that cannot be read", { cause: error });
  }
}

function headOf(start: SnapshotStart): SnapshotHead {
  const numbers = {
    senderTerm: Number(start.senderTerm),
    index: Number(start.index),
    term: Number(start.term),
    sizeBytes: Number(start.sizeBytes),
  };
  if (!Object.values(numbers).every(Number.isSafeInteger))
    throw new SnapshotBroken("its head holds impossible numbers");
  return { from: start.from, ...numbers };
}
