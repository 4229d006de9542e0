/** Where a key of the source goes, and how far the copying of a range has come. Pure. */
import type { Bytes, Key, KeyRange } from "../index.js";

export function bytesOf(key: Key): Bytes {
  return typeof key === "string" ? new TextEncoder().encode(key) : key;
}

/** The key at the destination. Keeps the order of keys, since all share the prefix. */
export function moved(key: Bytes, prefix: Bytes, toPrefix: Bytes): Bytes {
  return Buffer.concat([toPrefix, key.subarray(prefix.length)]);
}

/** All keys with the prefix, or those of them behind `after`. */
export function rest(prefix: Bytes, after: Bytes | undefined): KeyRange {
  if (after === undefined) return prefix.length === 0 ? { all: true } : { prefix };
  const from = Buffer.concat([after, Uint8Array.of(0)]);
  const to = prefixEnd(prefix);
  return to === undefined ? { from } : { from, to };
}

/** The first key after all with the prefix; undefined if there is none. */
function prefixEnd(prefix: Bytes): Bytes | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = Uint8Array.from(prefix.subarray(0, length)); // a slice of a Buffer would be the caller's own bytes
  end[length - 1] = (end[length - 1] ?? 0) + 1;
  return end;
}
