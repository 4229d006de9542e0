/** Sets of keys as merged intervals: what somebody may read or write as a whole (spec/server.md 8.3). */

/** What `key` and `rangeEnd` of a request or a permission say: see `intervalOf`. */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** From `from` on, up to and without `to`; without an end if `to` is undefined. */
interface Span {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
}

/** Keys, as intervals that neither touch nor overlap, in order. */
export class KeySet {
  readonly #spans: readonly Span[];

  /** All keys of all ranges. A range that holds no key adds nothing. */
  constructor(ranges: readonly KeyRange[]) {
    this.#spans = merged(ranges.map(spanOf).filter((span) => !isEmpty(span)));
  }

  /** Whether every key of the range is in the set. A range that holds no key is in no set. */
  covers(range: KeyRange): boolean {
    const span = spanOf(range);
    if (isEmpty(span)) return false;
    const holder = this.#lastFrom(span.from);
    return holder !== undefined && compareEnds(span.to, holder.to) <= 0;
  }

  /** The last interval that begins at `key` or before it. */
  #lastFrom(key: Uint8Array): Span | undefined {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const span = this.#spans[middle];
      if (span !== undefined && Buffer.compare(span.from, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return this.#spans[low - 1];
  }
}

/** The smallest key after another one. */
const zero = Buffer.alloc(1);

function spanOf({ key, rangeEnd }: KeyRange): Span {
  if (rangeEnd.length === 0) return { from: key, to: Buffer.concat([key, zero]) };
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { from: key, to: undefined };
  return { from: key, to: rangeEnd };
}

function isEmpty({ from, to }: Span): boolean {
  return to !== undefined && Buffer.compare(from, to) >= 0;
}

function merged(spans: readonly Span[]): readonly Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => Buffer.compare(a.from, b.from))) {
    const last = result.at(-1);
    // One that begins where the last one ends goes on with it.
    const joins = last !== undefined && compareEnds(span.from, last.to) <= 0;
    if (!joins) result.push(span);
    else if (compareEnds(span.to, last.to) > 0) result[result.length - 1] = { from: last.from, to: span.to };
  }
  return result;
}

/** Order of two ends; undefined is behind all others. */
function compareEnds(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  if (a === undefined) return b === undefined ? 0 : 1;
  return b === undefined ? -1 : Buffer.compare(a, b);
}
