/** Key ranges as the wire has them: a first key and an end, where an end of one zero byte means no end. */
import type { Bytes } from "../options.js";
import type { Key, KeyRange } from "./types.js";

export interface WireRange {
  readonly key: Bytes;
  /** Empty for a single key. */
  readonly rangeEnd: Bytes;
}

const encoder = new TextEncoder();
const none = new Uint8Array(0);
const zero = Uint8Array.of(0);

export function keyBytes(key: Key): Bytes {
  return typeof key === "string" ? encoder.encode(key) : key;
}

export function wireRange(range: KeyRange): WireRange {
  if (typeof range === "string" || range instanceof Uint8Array) return { key: keyBytes(range), rangeEnd: none };
  if ("all" in range) return { key: zero, rangeEnd: zero };
  if ("prefix" in range) return prefixRange(keyBytes(range.prefix));
  const from = keyBytes(range.from);
  // The smallest key there can be is one zero byte; an empty one is refused.
  const key = from.length === 0 ? zero : from;
  return { key, rangeEnd: range.to === undefined ? zero : keyBytes(range.to) };
}

/** True if the range names exactly one key. */
export function isSingleKey(range: KeyRange): range is Key {
  return typeof range === "string" || range instanceof Uint8Array;
}

function prefixRange(prefix: Bytes): WireRange {
  if (prefix.length === 0) return { key: zero, rangeEnd: zero };
  return { key: prefix, rangeEnd: prefixEnd(prefix) };
}

/** The first key after all that begin with `prefix`; no end if the prefix is all 0xff. */
function prefixEnd(prefix: Bytes): Bytes {
  for (let index = prefix.length - 1; index >= 0; index--) {
    const byte = prefix[index] ?? 0;
    if (byte === 0xff) continue;
    const end = prefix.slice(0, index + 1);
    end[index] = byte + 1;
    return end;
  }
  return zero;
}
