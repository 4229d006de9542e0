/**
 * Nine promises of a watch (spec/server.md 4.7), each held against the history of the store: filter, ordered, unique,
 * atomic, reliable, resumable, bookmarkable, prevKv and isCreate. Feed it everything that one watcher got, in order.
 */
import { inRange } from "./sequential-model.js";

/** A change as the history knows it. */
export interface HistoricalChange {
  readonly kind: "put" | "delete";
  readonly key: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
  readonly value: string;
  readonly lease: bigint;
  readonly previous: HistoricalChange | undefined;
}

/** What happened, as far as it is known now. The validator only asks for revisions that a member has told of. */
export interface WatchHistory {
  readonly revision: number;
  /** Whether some member may have compacted away what is before this revision. */
  readonly compactRevision: number;
  changesAt(revision: number): readonly HistoricalChange[];
}

/** What was asked for. Keys are latin1 text. */
export interface WatchWish {
  readonly key: string;
  readonly rangeEnd: string;
  /** 0: from the first revision after the one that the creation answered with. */
  readonly startRevision: number;
  readonly puts: boolean;
  readonly deletes: boolean;
  readonly previousKv: boolean;
}

/** One event as the watcher got it. */
export interface WatchedEvent {
  readonly kind: "put" | "delete";
  readonly key: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
  readonly value: string;
  readonly lease: bigint;
  /** In the words of `describe`; undefined if there was none. */
  readonly previous: string | undefined;
}

export type WatchProblem =
  | "filter"
  | "ordered"
  | "unique"
  | "atomic"
  | "reliable"
  | "resumable"
  | "bookmarkable"
  | "prevKv"
  | "isCreate";

export interface WatchFinding {
  readonly problem: WatchProblem;
  readonly detail: string;
}

/** Follows one watcher from its creation to its end. */
export class WatchValidator {
  readonly findings: WatchFinding[] = [];
  private readonly wish: WatchWish;
  private readonly history: WatchHistory;
  private readonly describe: (change: HistoricalChange) => string;
  /** First revision that was not accounted for. */
  private next: number;
  private started = false;
  private readonly startRevision: number;
  private lastRevision = 0;
  private bookmark = 0;
  /** The last message was a fragment: its revision goes on in the next one. */
  private fragmented = false;

  /** `createdRevision` is that of the header that answered the creation. */
  constructor(
    wish: WatchWish,
    createdRevision: number,
    history: WatchHistory,
    describe: (change: HistoricalChange) => string,
  ) {
    this.wish = wish;
    this.history = history;
    this.describe = describe;
    this.next = wish.startRevision > 0 ? wish.startRevision : createdRevision + 1;
    this.startRevision = this.next;
  }

  /** The revision to go on from with a new watch. */
  get resumeRevision(): number {
    return Math.max(this.next, this.bookmark + 1);
  }

  /** A message with events. */
  events(events: readonly WatchedEvent[], { fragment }: { readonly fragment: boolean }): void {
    const first = events[0];
    if (first === undefined) return;
    if (first.revision <= this.bookmark)
      this.find("bookmarkable", `revision ${first.revision} after progress ${this.bookmark}`);
    if (first.revision < this.startRevision)
      this.find("resumable", `revision ${first.revision} before ${this.startRevision}`);
    if (first.revision === this.lastRevision && !this.fragmented) {
      this.find("atomic", `revision ${first.revision} in two messages`);
    }
    this.checkOrder(events);
    for (const event of events) this.checkEvent(event);
    this.checkComplete(events, fragment);
    this.fragmented = fragment;
    this.started = true;
  }

  /** A message that says: everything up to this revision was sent. */
  progress(revision: number): void {
    if (revision < this.bookmark) this.find("bookmarkable", `progress went from ${this.bookmark} to ${revision}`);
    this.bookmark = Math.max(this.bookmark, revision);
    this.skipTo(revision, "progress");
  }

  /** The watch ends while the member had told of everything up to `revision`; nothing of it may be missing. */
  quiet(revision: number): void {
    this.skipTo(revision, "the end");
  }

  private find(problem: WatchProblem, detail: string): void {
    this.findings.push({ problem, detail });
  }

  private checkOrder(events: readonly WatchedEvent[]): void {
    const seen = new Set<string>();
    let last = this.lastRevision;
    for (const { revision, key, kind } of events) {
      if (revision < last) this.find("ordered", `revision ${revision} after ${last}`);
      const name = `${revision} ${kind} ${key}`;
      if (seen.has(name) || revision < this.lastRevision) this.find("unique", `again: ${name}`);
      seen.add(name);
      last = Math.max(last, revision);
    }
    this.lastRevision = last;
  }

  private checkEvent(event: WatchedEvent): void {
    const { wish } = this;
    if (!inRange(event.key, wish.key, wish.rangeEnd) || !(event.kind === "put" ? wish.puts : wish.deletes)) {
      this.find("filter", `${event.kind} ${event.key} was not asked for`);
    }
    const truth = this.history
      .changesAt(event.revision)
      .find(({ key, kind }) => key === event.key && kind === event.kind);
    if (truth === undefined) {
      this.find("reliable", `${event.kind} ${event.key} at ${event.revision} never happened`);
      return;
    }
    this.checkPrevious(event, truth);
    if (event.kind === "delete") return;
    const same = event.value === truth.value && event.version === truth.version && event.lease === truth.lease;
    if (!same) this.find("reliable", `${event.key} at ${event.revision} is ${event.value}, it was ${truth.value}`);
    if (event.createRevision !== truth.createRevision) {
      this.find("isCreate", `${event.key} at ${event.revision} says it was created at ${event.createRevision}`);
    }
  }

  /** It may be missing once the revision before is compacted; it may never be wrong. */
  private checkPrevious(event: WatchedEvent, truth: HistoricalChange): void {
    const { previous } = truth;
    const expected = previous === undefined || !this.wish.previousKv ? undefined : this.describe(previous);
    if (event.previous === expected) return;
    if (event.previous === undefined && event.revision - 1 < this.history.compactRevision) return;
    this.find(
      "prevKv",
      `${event.key} at ${event.revision} replaced ${String(event.previous)}, not ${String(expected)}`,
    );
  }

  /** Between what came before and these events nothing may be missing, and of their revisions all must be there. */
  private checkComplete(events: readonly WatchedEvent[], fragment: boolean): void {
    const last = events.at(-1)?.revision ?? 0;
    const got = new Set(events.map(({ kind, key, revision }) => `${revision} ${kind} ${key}`));
    const through = fragment ? last - 1 : last;
    for (let revision = this.next; revision <= through; revision += 1) {
      for (const change of this.history.changesAt(revision)) {
        if (!this.wants(change) || got.has(`${revision} ${change.kind} ${change.key}`)) continue;
        if (this.fragmented && revision === this.next) continue;
        const problem = this.started ? "reliable" : "resumable";
        this.find(problem, `missing: ${change.kind} ${change.key} at ${revision}`);
      }
    }
    this.next = Math.max(this.next, through + 1);
  }

  private skipTo(revision: number, why: string): void {
    for (; this.next <= revision; this.next += 1) {
      for (const change of this.history.changesAt(this.next)) {
        if (this.wants(change))
          this.find("reliable", `${why} ${revision} without ${change.kind} ${change.key} at ${this.next}`);
      }
    }
  }

  private wants({ kind, key }: HistoricalChange): boolean {
    const { wish } = this;
    return inRange(key, wish.key, wish.rangeEnd) && (kind === "put" ? wish.puts : wish.deletes);
  }
}
