/**
 * Keys and ranges by the order of bytes. A key is held as a string with one character a byte, which JavaScript compares
 * as the server compares bytes; UTF-16 text would sort some characters elsewhere. Pure.
 */
import type { Key, KeyRange } from "../index.js";

/** A key, one character a byte. */
export type ByteKey = string;

/** `from <= key < to`; no end if `to` is undefined. */
export interface Span {
  readonly from: ByteKey;
  readonly to: ByteKey | undefined;
}

export function byteKey(key: Key): ByteKey {
  return (typeof key === "string" ? Buffer.from(key) : Buffer.from(key.buffer, key.byteOffset, key.length)).toString(
    "latin1",
  );
}

export function spanOf(range: KeyRange): Span {
  if (typeof range === "string" || range instanceof Uint8Array) {
    const from = byteKey(range);
    // Nothing sorts between a key and the same key with a zero byte behind it.
    return { from, to: `${from}\0` };
  }
  if ("all" in range) return { from: "", to: undefined };
  if ("prefix" in range) return { from: byteKey(range.prefix), to: prefixEnd(byteKey(range.prefix)) };
  return { from: byteKey(range.from), to: range.to === undefined ? undefined : byteKey(range.to) };
}

/** The first key after all with the prefix; undefined if there is none. */
function prefixEnd(prefix: ByteKey): ByteKey | undefined {
  const head = prefix.replace(/\u00ff+$/, "");
  if (head === "") return undefined;
  return head.slice(0, -1) + String.fromCharCode(head.charCodeAt(head.length - 1) + 1);
}

export function within(key: ByteKey, { from, to }: Span): boolean {
  return key >= from && (to === undefined || key < to);
}

/** Whether all of `inner` lies in `outer`. */
export function covers(outer: Span, inner: Span): boolean {
  if (inner.from < outer.from) return false;
  return outer.to === undefined || (inner.to !== undefined && inner.to <= outer.to);
}

/** A key of the range that the server lets anyone read who may read the range: its first. */
export function firstKey(range: KeyRange): Key {
  if (typeof range === "string" || range instanceof Uint8Array) return range;
  const first = "all" in range ? "" : "prefix" in range ? range.prefix : range.from;
  // The smallest key there can be is one zero byte.
  return first.length === 0 ? "\0" : first;
}
