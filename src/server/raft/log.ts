/**
 * The tail of the log that is kept in memory, and how far it is written, committed and applied.
 * firstIndex - 1 <= applied <= min(commit, stable), commit <= lastIndex, stable <= lastIndex; while a snapshot is being
 * installed, applied is still that of the old state and lies below firstIndex - 1.
 */
import { InvariantError, invariant } from "../invariant.js";
import type { Apply, Entry, RaftLimits, RestoredState, SnapshotMeta } from "./types.js";

/** A write on its way to disk. `upTo` is the last index of the log *as it is now* that is durable with it. */
interface Write {
  readonly id: number;
  upTo: number;
  /** The snapshot that replaces log and state with this write. */
  readonly install: SnapshotMeta | undefined;
}

/** What the next durable write must do to the log on disk. */
export interface LogWrite {
  readonly truncateFrom: number | undefined;
  readonly entries: readonly Entry[];
  readonly compactTo: number | undefined;
  /** Replace the log by this snapshot; then the rest is empty. */
  readonly install: SnapshotMeta | undefined;
}

/** An inclusive range of indexes. */
export interface IndexRange {
  readonly from: number;
  readonly to: number;
}

const noEntries: readonly Entry[] = [];

export class RaftLog {
  readonly #entries: Entry[] = [];
  /** Bytes of all entries ever appended here, through each entry: any range is one subtraction. */
  readonly #bytesThrough: number[] = [];
  #bytesBefore = 0;
  #firstIndex: number;
  #previousTerm: number;
  #commit: number;
  #applied: number;
  #applying: number | undefined;
  #stable: number;
  /** First index that was not handed to the disk yet. */
  #unwritten: number;
  #truncateFrom: number | undefined;
  #compactTo: number | undefined;
  readonly #writes: Write[] = [];
  /** Indexes of the membership changes in the log. */
  readonly #changes: number[] = [];
  /** A snapshot that was not handed to the disk yet. */
  #install: SnapshotMeta | undefined;
  #installsInflight = 0;
  /** What is being applied goes into a state that a snapshot has replaced by now. */
  #overtaken = false;

  constructor(restored: RestoredState) {
    this.#firstIndex = restored.firstIndex;
    this.#previousTerm = restored.previousTerm;
    this.#stable = restored.firstIndex - 1;
    for (const entry of restored.entries) this.append(entry);
    this.#stable = this.lastIndex;
    this.#unwritten = this.lastIndex + 1;
    // The stored commit is a lower bound: the state file may have seen a later one.
    this.#commit = Math.max(restored.hardState.commit, restored.applied, restored.firstIndex - 1);
    this.#applied = restored.applied;
    this.#must(this.#applied >= this.#firstIndex - 1, "the log is compacted past what is applied", this.#applied);
    this.#must(this.#applied <= this.lastIndex, "more is applied than the log holds", this.#applied);
    this.#must(this.#commit <= this.lastIndex, "more was committed than the log holds", this.#commit);
  }

  get firstIndex(): number {
    return this.#firstIndex;
  }
  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }
  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#previousTerm;
  }
  get commit(): number {
    return this.#commit;
  }
  get applied(): number {
    return this.#applied;
  }
  /** The log is durable on this member up to here. */
  get stable(): number {
    return this.#stable;
  }
  get writesInflight(): number {
    return this.#writes.length;
  }
  /** A snapshot takes the place of log and state, and is not durable yet: nothing is applied meanwhile. */
  get installing(): boolean {
    return this.#install !== undefined || this.#installsInflight > 0;
  }
  /** The snapshots that are still to be installed, in order. */
  get installs(): readonly SnapshotMeta[] {
    const installs = this.#writes.flatMap(({ install }) => (install === undefined ? [] : [install]));
    return this.#install === undefined ? installs : [...installs, this.#install];
  }
  /** Index of the newest membership change in the log, committed or not; 0 if there is none. */
  get lastChange(): number {
    return this.#changes.at(-1) ?? 0;
  }
  /** Whether two membership changes are above the commit index, which must never be (spec 1.15, I24 and I28). */
  get changesOverlap(): boolean {
    return (this.#changes.at(-2) ?? 0) > this.#commit;
  }

  /** The membership changes in (after, through], oldest first. */
  changes(after: number, through: number): readonly Entry[] {
    if (this.lastChange <= after) return noEntries;
    const indexes = this.#changes.filter((index) => index > after && index <= through);
    return indexes.map((index) => this.#entries[index - this.#firstIndex] as Entry);
  }

  /** Term of the entry at `index`; undefined if it is compacted or not there yet. */
  term(index: number): number | undefined {
    if (index === this.#firstIndex - 1) return this.#previousTerm;
    return this.#entries[index - this.#firstIndex]?.term;
  }

  /** Bytes of the entries in (after, through]. */
  bytesBetween(after: number, through: number): number {
    return this.#bytesAt(through) - this.#bytesAt(after);
  }

  /** The entries of the range, cut where their bytes pass `bytesMax`, but at least one. The range must be in the log. */
  slice(range: IndexRange, bytesMax: number): readonly Entry[] {
    this.#must(range.from >= this.#firstIndex, "entries are not in the log any more", range.from);
    this.#must(range.to <= this.lastIndex, "entries are not in the log yet", range.to);
    const limit = this.#bytesAt(range.from - 1) + bytesMax;
    let to = range.to;
    if (this.#bytesAt(to) > limit) {
      to = range.from;
      while (to < range.to && this.#bytesAt(to + 1) <= limit) to += 1;
    }
    return this.#entries.slice(range.from - this.#firstIndex, to - this.#firstIndex + 1);
  }

  /** The last index at or before `position.index` whose term is not newer than `position.term`. Thesis 3.3, back-off. */
  lastNotNewer(position: { readonly index: number; readonly term: number }): number {
    let index = Math.min(position.index, this.lastIndex);
    while (index >= this.#firstIndex - 1) {
      if ((this.term(index) ?? 0) <= position.term) return index;
      index -= 1;
    }
    return index;
  }

  append(entry: Entry): void {
    this.#must(entry.index === this.lastIndex + 1, "the log has a gap", entry.index);
    this.#must(entry.term >= this.lastTerm, "terms in the log go backwards", entry.index);
    this.#bytesThrough.push(this.#bytesAt(this.lastIndex) + entry.data.length);
    this.#entries.push(entry);
    if (entry.kind === "change") this.#changes.push(entry.index);
  }

  /** The first of the leader's entries, as far as this log has them; `entries` itself if that is all of them. */
  held(entries: readonly Entry[]): readonly Entry[] {
    const count = this.#heldCount(entries);
    return count === entries.length ? entries : entries.slice(0, count);
  }

  /** Follower: takes over the leader's entries, replacing what differs. They follow an entry known to match. */
  merge(entries: readonly Entry[]): void {
    let position = this.#heldCount(entries);
    const first = entries[position];
    if (first === undefined) return;
    if (first.index <= this.lastIndex) this.#truncate(first.index);
    for (; position < entries.length; position += 1) this.append(entries[position] as Entry);
  }

  /** Raises the commit index; answers whether it moved. */
  commitTo(index: number): boolean {
    if (index <= this.#commit) return false;
    this.#must(index <= this.lastIndex, "commit is beyond the log", index);
    this.#commit = index;
    return true;
  }

  /** Whether the log on disk differs from the log as it is now, apart from writes in flight. */
  get dirty(): boolean {
    if (this.#truncateFrom !== undefined || this.#compactTo !== undefined) return true;
    return this.#install !== undefined || this.#unwritten <= this.lastIndex;
  }

  /** Hands what is not written yet to write `id`; {@link completeWrite} must follow in the same order. */
  beginWrite(id: number): LogWrite {
    if (this.#install !== undefined) return this.#beginInstall(id, this.#install);
    const lastIndex = this.lastIndex;
    const write: LogWrite = {
      truncateFrom: this.#truncateFrom,
      entries: this.#unwritten <= lastIndex ? this.#entries.slice(this.#unwritten - this.#firstIndex) : noEntries,
      compactTo: this.#compactTo,
      install: undefined,
    };
    this.#unwritten = lastIndex + 1;
    this.#truncateFrom = undefined;
    this.#compactTo = undefined;
    this.#writes.push({ id, upTo: lastIndex, install: undefined });
    return write;
  }

  /** A snapshot is a write of its own; what was appended after it comes with the next. */
  #beginInstall(id: number, install: SnapshotMeta): LogWrite {
    this.#install = undefined;
    this.#installsInflight += 1;
    this.#writes.push({ id, upTo: install.index, install });
    return { truncateFrom: undefined, entries: noEntries, compactTo: undefined, install };
  }

  /** Write `id` is durable. Writes end in the order they began. */
  completeWrite(id: number): void {
    const write = this.#writes.shift();
    invariant(write?.id === id, "a write became durable out of order", { id, expected: write?.id });
    if (write.upTo > this.#stable) this.#stable = write.upTo;
    if (write.install === undefined) return;
    this.#installsInflight -= 1;
    this.#applied = write.install.index;
    this.#overtaken = this.#applying !== undefined;
  }

  /** The next entries for the state machine: committed, durable here, one range at a time. */
  nextApply(limits: RaftLimits): Apply | undefined {
    if (this.#applying !== undefined || this.installing) return undefined;
    const from = this.#applied + 1;
    const to = Math.min(this.#commit, this.#stable, this.#applied + limits.applyEntriesMax);
    if (to < from) return undefined;
    const entries = this.slice({ from, to }, limits.applyBytesMax);
    this.#applying = this.#applied + entries.length;
    return { first: from, last: this.#applying, entries };
  }

  appliedTo(index: number): void {
    this.#must(index <= (this.#applying ?? this.#applied), "applied what was not handed out", index);
    if (!this.#overtaken) {
      this.#must(index >= this.#applied, "the applied index went back", index);
      this.#applied = index;
    }
    if (index !== this.#applying) return;
    this.#applying = undefined;
    this.#overtaken = false;
  }

  /**
   * Lets a snapshot of committed entries beyond ours take the place of the whole log. On disk, the old log stays until the
   * write is durable, so of what is there or on its way only the committed part still counts.
   */
  install(snapshot: SnapshotMeta): void {
    this.#must(snapshot.index > this.#commit, "a snapshot would undo what is committed", snapshot.index);
    this.#bytesBefore = this.#bytesAt(this.lastIndex);
    this.#entries.length = 0;
    this.#bytesThrough.length = 0;
    this.#changes.length = 0;
    this.#stable = Math.min(this.#stable, this.#commit);
    for (const write of this.#writes) write.upTo = Math.min(write.upTo, this.#commit);
    this.#firstIndex = snapshot.index + 1;
    this.#previousTerm = snapshot.term;
    this.#commit = snapshot.index;
    this.#unwritten = snapshot.index + 1;
    this.#truncateFrom = undefined;
    this.#compactTo = undefined;
    this.#install = snapshot;
  }

  /** Forgets entries up to `index` here and, with the next write, on disk. */
  compact(index: number): void {
    if (index < this.#firstIndex) return;
    this.#must(index <= this.#applied, "compaction passes what is applied", index);
    const previousTerm = this.term(index);
    this.#must(previousTerm !== undefined, "the compacted entry has no term", index);
    this.#bytesBefore = this.#bytesAt(index);
    const count = index - this.#firstIndex + 1;
    this.#entries.splice(0, count);
    this.#bytesThrough.splice(0, count);
    this.#changes.splice(0, this.#changes.filter((change) => change <= index).length);
    this.#previousTerm = previousTerm;
    this.#firstIndex = index + 1;
    this.#compactTo = index;
  }

  #heldCount(entries: readonly Entry[]): number {
    let count = 0;
    for (const entry of entries) {
      if (this.term(entry.index) !== entry.term) break;
      count += 1;
    }
    return count;
  }

  #truncate(from: number): void {
    this.#must(from > this.#commit, "a committed entry would be overwritten", from);
    this.#entries.length = from - this.#firstIndex;
    this.#bytesThrough.length = from - this.#firstIndex;
    while (this.lastChange >= from) this.#changes.pop();
    if (from < this.#unwritten) {
      this.#unwritten = from;
      this.#truncateFrom = Math.min(from, this.#truncateFrom ?? from);
    }
    if (this.#stable >= from) this.#stable = from - 1;
    // What an older write in flight brings for these indexes is no longer our log, even if equal entries return.
    for (const write of this.#writes) if (write.upTo >= from) write.upTo = from - 1;
  }

  #bytesAt(index: number): number {
    return this.#bytesThrough[index - this.#firstIndex] ?? this.#bytesBefore;
  }

  /** An invariant about `index`; the numbers that prove a failure are gathered only then, for this is the hot path. */
  #must(condition: boolean, message: string, index: number): asserts condition {
    if (condition) return;
    throw new InvariantError(message, {
      index,
      firstIndex: this.#firstIndex,
      lastIndex: this.lastIndex,
      lastTerm: this.lastTerm,
      commit: this.#commit,
      applied: this.#applied,
      stable: this.#stable,
      unwritten: this.#unwritten,
      writes: this.#writes,
    });
  }
}
