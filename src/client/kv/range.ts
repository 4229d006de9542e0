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
/** A range without keys. */
const nowhere: WireRange = { key: Uint8Array.of(1), rangeEnd: Uint8Array.of(1) };

export function keyBytes(key: Key): Bytes {
  return typeof key === "string" ? encoder.encode(key) : key;
}

export function wireRange(range: KeyRange): WireRange {
  if (isSingleKey(range)) return { key: keyBytes(range), rangeEnd: none };
  if ("all" in range) return { key: zero, rangeEnd: zero };
  if ("prefix" in range) return prefixRange(keyBytes(range.prefix));
  const from = keyBytes(range.from);
  // The smallest key there can be is one zero byte; an empty one is refused.
  const key = from.length === 0 ? zero : from;
  if (range.to === undefined) return { key, rangeEnd: zero };
  const rangeEnd = keyBytes(range.to);
  // On the wire, an end of nothing or of one zero byte has a meaning of its own: a single key, and no end at all.
  return isBelow(key, rangeEnd) ? { key, rangeEnd } : nowhere;
}

/** True if the range names exactly one key. */
export function isSingleKey(range: KeyRange): range is Key {
  return typeof range === "string" || range instanceof Uint8Array;
}

/** The range as seen from outside a namespace: never a key that does not begin with `prefix`. */
export function rangeInside(prefix: Bytes, { key, rangeEnd }: WireRange): WireRange {
  const end = rangeEnd.length === 0 ? none : isNoEnd(rangeEnd) ? prefixEnd(prefix) : concat(prefix, rangeEnd);
  return { key: concat(prefix, key), rangeEnd: end };
}

/** The smallest key that is greater. */
export function keyAfter(key: Bytes): Bytes {
  return concat(key, zero);
}

export function startsWith(key: Bytes, prefix: Bytes): boolean {
  return key.length >= prefix.length && prefix.every((byte, index) => key[index] === byte);
}

export function concat(first: Bytes, second: Bytes): Bytes {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** By bytes, as servers order keys. */
function isBelow(one: Bytes, other: Bytes): boolean {
  const differs = other.findIndex((byte, index) => one[index] !== byte);
  return differs >= 0 && (differs >= one.length || (one[differs] ?? 0) < (other[differs] ?? 0));
}

function isNoEnd(rangeEnd: Bytes): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
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
    const end = Uint8Array.from(prefix.subarray(0, index + 1)); // a slice of a Buffer would be the caller's own bytes
    end[index] = byte + 1;
    return end;
  }
  return zero;
}
