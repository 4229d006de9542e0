/**
 * Entries on their way between threads: one buffer a batch, which is handed over and not copied. A batch as an array of
 * objects would cost the sender several times as much (spec/raft-storage.md 4.12).
 */
import { invariant } from "../../invariant.js";
import type { Entry, EntryKind } from "../../raft/types.js";

const kinds: readonly EntryKind[] = ["noop", "command", "change"];
const kindCodes: Readonly<Record<EntryKind, number>> = { noop: 0, command: 1, change: 2 };

const countBytes = 4;
/** Index and term as 8-byte floating point (they are safe integers), kind 1 byte, length 4 bytes. */
const headBytes = 21;

/** The entries in memory of their own, whatever they are views into. */
export function packEntries(entries: readonly Entry[]): ArrayBuffer {
  const size = entries.reduce((sum, { data }) => sum + headBytes + data.length, countBytes);
  // Not from the pool, which cannot be handed over.
  const bytes = Buffer.allocUnsafeSlow(size);
  bytes.writeUInt32LE(entries.length, 0);
  let at = countBytes;
  for (const { index, term, kind, data } of entries) {
    bytes.writeDoubleLE(index, at);
    bytes.writeDoubleLE(term, at + 8);
    bytes[at + 16] = kindCodes[kind];
    bytes.writeUInt32LE(data.length, at + 17);
    bytes.set(data, at + headBytes);
    at += headBytes + data.length;
  }
  return bytes.buffer;
}

/** What was packed; the data are views into `packed`. */
export function unpackEntries(packed: ArrayBuffer): readonly Entry[] {
  const bytes = Buffer.from(packed);
  const count = bytes.readUInt32LE(0);
  const entries: Entry[] = [];
  let at = countBytes;
  for (let n = 0; n < count; n += 1) {
    const dataStart = at + headBytes;
    const dataEnd = dataStart + bytes.readUInt32LE(at + 17);
    entries.push({
      index: bytes.readDoubleLE(at),
      term: bytes.readDoubleLE(at + 8),
      kind: kindOf(bytes[at + 16]),
      data: new Uint8Array(packed, dataStart, dataEnd - dataStart),
    });
    at = dataEnd;
  }
  invariant(at === bytes.length, "a batch between threads was not read to its end", { at, bytes: bytes.length });
  return entries;
}

/** What was packed, each entry in memory of its own, so that one that is dropped lets go of it. */
export function unpackOwnEntries(packed: ArrayBuffer): Entry[] {
  return unpackEntries(packed).map((entry) => ({ ...entry, data: entry.data.slice() }));
}

function kindOf(code: number | undefined): EntryKind {
  const kind = code === undefined ? undefined : kinds[code];
  invariant(kind !== undefined, "a batch between threads cannot be read", { code });
  return kind;
}
