/** Which keys a range holds, so that a transaction finds its own writes in what it lists. */
import type { Bytes, KeyRange } from "../index.js";
import { bytesOf, identityOf } from "./keys.js";

export function isInRange(range: KeyRange, key: Bytes): boolean {
  if (typeof range === "string" || range instanceof Uint8Array) return compareKeys(bytesOf(range), key) === 0;
  if ("all" in range) return true;
  if ("prefix" in range) {
    const prefix = bytesOf(range.prefix);
    return prefix.length <= key.length && prefix.every((byte, index) => byte === key[index]);
  }
  const tooLow = compareKeys(key, bytesOf(range.from)) < 0;
  return !tooLow && (range.to === undefined || compareKeys(key, bytesOf(range.to)) < 0);
}

/** As the store orders keys: negative, zero or positive. */
export function compareKeys(one: Bytes, other: Bytes): number {
  const shared = Math.min(one.length, other.length);
  for (let index = 0; index < shared; index++) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

/** Equal for ranges that are written the same way. */
export function identityOfRange(range: KeyRange): string {
  if (typeof range === "string" || range instanceof Uint8Array) return `key ${identityOf(range)}`;
  if ("all" in range) return "all";
  if ("prefix" in range) return `prefix ${identityOf(range.prefix)}`;
  return `from ${identityOf(range.from)} to ${range.to === undefined ? "the end" : identityOf(range.to)}`;
}
