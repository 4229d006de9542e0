/** Ranges as the server stores them, back in the words in which they were granted. Pure. */
import { type WireRange, wireRange } from "../kv/range.js";
import type { Key, KeyRange } from "../kv/types.js";
import type { Bytes } from "../options.js";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The same bytes by `wireRange` again. Keys are text where they are UTF-8, and bytes where they are not. */
export function keyRangeOf({ key, rangeEnd }: WireRange): KeyRange {
  if (rangeEnd.length === 0) return keyOf(key);
  if (isZero(rangeEnd)) return isZero(key) ? { all: true } : { from: keyOf(key) };
  if (sameBytes(wireRange({ prefix: key }).rangeEnd, rangeEnd)) return { prefix: keyOf(key) };
  return { from: keyOf(key), to: keyOf(rangeEnd) };
}

function keyOf(bytes: Bytes): Key {
  try {
    return strict.decode(bytes);
  } catch {
    // No UTF-8: as text it would be another key.
    return bytes;
  }
}

function isZero(bytes: Bytes): boolean {
  return bytes.length === 1 && bytes[0] === 0;
}

function sameBytes(a: Bytes, b: Bytes): boolean {
  return Buffer.compare(a, b) === 0;
}
