/** Keys and range ends as the requests want them: a prefix, everything from a key, one key (spec/cli.md 8.1). */
import { bytesOf } from "./byte-text.js";

export interface RangeSelection {
  readonly key: string;
  readonly end?: string | undefined;
  readonly prefix?: boolean;
  readonly fromKey?: boolean;
}

/** A single zero byte: as a key the smallest one there is, as a range end "no upper end". */
const zeroByte = Uint8Array.of(0);

/** The two fields of a request. An empty key with `prefix` or `fromKey` means all keys. */
export function keyRange({ key, end, prefix, fromKey }: RangeSelection): { key: Uint8Array; rangeEnd: Uint8Array } {
  if (prefix !== true && fromKey !== true) {
    return { key: bytesOf(key), rangeEnd: end === undefined ? new Uint8Array() : bytesOf(end) };
  }
  if (key === "") return { key: zeroByte, rangeEnd: zeroByte };
  return { key: bytesOf(key), rangeEnd: fromKey === true ? zeroByte : prefixEnd(bytesOf(key)) };
}

/** The first key after all keys with this prefix; a zero byte ("no upper end") if there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  if (last === -1) return zeroByte;
  const end = Uint8Array.from(prefix.subarray(0, last + 1));
  end[last] = (end[last] ?? 0) + 1;
  return end;
}
