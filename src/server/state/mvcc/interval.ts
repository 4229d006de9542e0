/** What `key` and `range_end` select (spec/server.md 3.2). */
import type { Interval } from "../../storage/scan.js";

interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** Empty `rangeEnd`: one key. The single byte 0: everything from `key` on. Anything else: an excluded end. */
export function intervalOf({ key, rangeEnd }: KeyRange): Interval {
  if (rangeEnd.length === 0) return { kind: "one", key };
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { kind: "from", from: key };
  return { kind: "between", from: key, to: rangeEnd };
}

export function contains(interval: Interval, key: Uint8Array): boolean {
  switch (interval.kind) {
    case "one":
      return Buffer.compare(interval.key, key) === 0;
    case "between":
      return Buffer.compare(interval.from, key) <= 0 && Buffer.compare(key, interval.to) < 0;
    case "from":
      return Buffer.compare(interval.from, key) <= 0;
  }
}
