/**
 * Key intervals: the one place that knows what `key` and `range_end` mean together (spec/server.md 3.2).
 * Keys are held as text of one character a byte, so that JavaScript's own `<` compares them bytewise.
 */

/** A key with one character (U+0000 to U+00FF) for each byte. */
export type KeyText = string;

/** All keys from `start` on and below `end`; no upper bound when `end` is undefined. */
export interface Interval {
  readonly start: KeyText;
  readonly end: KeyText | undefined;
}

export function keyText(key: Uint8Array): KeyText {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

export function keyBytes(key: KeyText): Uint8Array {
  return Buffer.from(key, "latin1");
}

/** An empty `rangeEnd` means the key alone, a single zero byte means every key from `key` on. */
export function intervalOf(key: Uint8Array, rangeEnd: Uint8Array): Interval {
  const start = keyText(key);
  if (rangeEnd.length === 0) return { start, end: keyAfter(start) };
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { start, end: undefined };
  return { start, end: keyText(rangeEnd) };
}

/** The lowest key above `key`: nothing lies between them. */
export function keyAfter(key: KeyText): KeyText {
  return `${key}\0`;
}

export function isEmpty(interval: Interval): boolean {
  return interval.end !== undefined && interval.end <= interval.start;
}

/** Whether the interval is that of one key. */
export function isSingleKey(interval: Interval): boolean {
  return interval.end === keyAfter(interval.start);
}

export function contains(interval: Interval, key: KeyText): boolean {
  return interval.start <= key && (interval.end === undefined || key < interval.end);
}

/** The `range_end` that makes a range of every key under `prefix`: the prefix plus one, or open if all bytes are 0xff. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const last = prefix.findLastIndex((byte) => byte !== 0xff);
  const end = Uint8Array.from(prefix.subarray(0, last + 1));
  if (last < 0) return Uint8Array.of(0);
  end[last] = (prefix[last] ?? 0) + 1;
  return end;
}
