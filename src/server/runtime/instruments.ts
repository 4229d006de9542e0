/**
 * Counters, gauges and histograms that cost a few nanoseconds to touch: plain numbers, read only when somebody
 * scrapes. The metrics library (and its import) waits until then.
 */

/** One line of a scrape. `suffix` is appended to the metric's name: `_bucket`, `_sum`, `_count` or nothing. */
export interface Sample {
  readonly suffix: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export type Labels = Readonly<Record<string, string | number>>;

/** What a metric offers to the scrape, whatever its kind. */
export interface Collectable {
  samples(labels: Labels): readonly Sample[];
}

/** A number that only grows: either counted here, or read at each scrape from whoever counts it. */
export class Counter implements Collectable {
  value = 0;
  private read: (() => number) | undefined;

  inc(by = 1): void {
    this.value += by;
  }

  /** From now on the value is whatever `read` says at the moment of the scrape. */
  readFrom(read: () => number): void {
    this.read = read;
  }

  samples(labels: Labels): readonly Sample[] {
    return [{ suffix: "", labels, value: this.read?.() ?? this.value }];
  }
}

/** A number that moves both ways: either set by its owner, or read from its owner at each scrape. */
export class Gauge implements Collectable {
  private value = 0;
  private read: (() => number) | undefined;

  set(value: number): void {
    this.value = value;
  }

  add(by: number): void {
    this.value += by;
  }

  /** From now on the value is whatever `read` says at the moment of the scrape. */
  readFrom(read: () => number): void {
    this.read = read;
  }

  samples(labels: Labels): readonly Sample[] {
    return [{ suffix: "", labels, value: this.read?.() ?? this.value }];
  }
}

/** Counts observations by upper bound. `bounds` ascend; the bucket without bound is implied. */
export class Histogram implements Collectable {
  private readonly bounds: readonly number[];
  private readonly counts: number[];
  private sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] ?? Infinity)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }

  samples(labels: Labels): readonly Sample[] {
    let total = 0;
    const buckets = this.counts.map((count, bucket): Sample => {
      total += count;
      return { suffix: "_bucket", labels: { ...labels, le: this.bounds[bucket] ?? "+Inf" }, value: total };
    });
    return [...buckets, { suffix: "_sum", labels, value: this.sum }, { suffix: "_count", labels, value: total }];
  }
}

/**
 * One instrument for each combination of label values. Ask once with {@link labels} and keep what it returns:
 * the look-up is the only part that costs.
 */
export class Family<Name extends string, Instrument extends Collectable> implements Collectable {
  private readonly create: () => Instrument;
  private readonly children = new Map<string, { readonly labels: Labels; readonly instrument: Instrument }>();

  constructor(create: () => Instrument) {
    this.create = create;
  }

  labels(labels: Readonly<Record<Name, string>>): Instrument {
    const key = JSON.stringify(labels);
    const known = this.children.get(key);
    if (known !== undefined) return known.instrument;
    const instrument = this.create();
    this.children.set(key, { labels, instrument });
    return instrument;
  }

  /** Number of label combinations seen so far. */
  get size(): number {
    return this.children.size;
  }

  samples(labels: Labels): readonly Sample[] {
    return [...this.children.values()].flatMap((child) => child.instrument.samples({ ...labels, ...child.labels }));
  }
}

/** `count` upper bounds from `first`, each `factor` times the one before. */
export function exponentialBounds(first: number, factor: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, exponent) => Number((first * factor ** exponent).toPrecision(12)));
}
