/** The rows of one table of the memory medium, in the order of their key. Rows are never changed, only replaced. */

/** Takes changes back, newest first; see `tables.ts`. */
export type Undo = (takeBack: () => void) => void;

export class Rows<K extends number | bigint | string, R> {
  private rows: R[];
  /** Somebody else has the same array: it is copied before it is changed. */
  private shared = true;
  private readonly keyOf: (row: R) => K;
  private readonly undo: Undo;

  constructor(keyOf: (row: R) => K, undo: Undo, rows: readonly R[]) {
    this.keyOf = keyOf;
    this.undo = undo;
    this.rows = rows as R[];
  }

  /** All of them, in order; not to be changed, and valid until the next change. */
  get all(): readonly R[] {
    return this.rows;
  }

  get last(): R | undefined {
    return this.rows.at(-1);
  }

  /** All of them, for good: later changes do not reach what this returns. */
  share(): readonly R[] {
    this.shared = true;
    return this.rows;
  }

  private own(): R[] {
    if (this.shared) this.rows = [...this.rows];
    this.shared = false;
    return this.rows;
  }

  /** Position of the first row whose key is not less than this one. */
  position(key: K): number {
    const { rows, keyOf } = this;
    let low = 0;
    let high = rows.length;
    // What is looked for is most often among the newest.
    const newest = rows[high - 1];
    if (newest === undefined || keyOf(newest) < key) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keyOf(rows[middle] as R) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get(key: K): R | undefined {
    const row = this.rows[this.position(key)];
    return row !== undefined && this.keyOf(row) === key ? row : undefined;
  }

  /** Rows with from <= key < to. */
  between(from: K, to: K): R[] {
    return this.rows.slice(this.position(from), this.position(to));
  }

  /** Adds a row whose key is new. Throws as SQLite would if it is not. */
  insert(row: R): void {
    const at = this.position(this.keyOf(row));
    const present = this.rows[at];
    if (present !== undefined && this.keyOf(present) === this.keyOf(row)) throw new Error("UNIQUE constraint failed");
    if (at === this.rows.length) this.own().push(row);
    else this.own().splice(at, 0, row);
    this.undo(() => this.own().splice(at, 1));
  }

  /** Adds a row, or replaces the one with its key. */
  put(row: R): void {
    const at = this.position(this.keyOf(row));
    const present = this.rows[at];
    if (present === undefined || this.keyOf(present) !== this.keyOf(row)) return this.insert(row);
    this.own()[at] = row;
    this.undo(() => {
      this.own()[at] = present;
    });
  }

  /** Deletes the rows at these positions, the last one not included. Answers how many there were. */
  cut(from: number, to: number): number {
    if (to <= from) return 0;
    const { rows } = this;
    this.replace(from === 0 ? rows.slice(to) : [...rows.slice(0, from), ...rows.slice(to)]);
    return to - from;
  }

  /** Deletes one row. Answers how many there were. */
  remove(key: K): number {
    const at = this.position(key);
    const row = this.rows[at];
    return row !== undefined && this.keyOf(row) === key ? this.cut(at, at + 1) : 0;
  }

  /** Deletes what the test names. Answers how many there were. */
  drop(test: (row: R) => boolean): number {
    const { rows } = this;
    const kept = rows.filter((row) => !test(row));
    if (kept.length === rows.length) return 0;
    this.replace(kept);
    return rows.length - kept.length;
  }

  private replace(rows: R[]): void {
    const before = { rows: this.rows, shared: this.shared };
    this.rows = rows;
    this.shared = false;
    this.undo(() => Object.assign(this, before));
  }
}
