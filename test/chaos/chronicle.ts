/** The whole history of the store, put together from what the recorders at all members heard. */
import type { HistoricalChange, WatchedEvent, WatchHistory } from "../check/watch-validators.js";
import type { Change, KeyState, Revision } from "../crash/history.js";
import { type WatchSession, wordsOf } from "./watchers.js";

export class Chronicle implements WatchHistory {
  /** What the recorders disagree on, and what they missed. */
  readonly wrong: string[] = [];
  readonly compactRevision: number;
  #revision = 1;
  readonly #changes = new Map<number, HistoricalChange[]>();
  readonly #byKey = new Map<string, HistoricalChange[]>();
  /** When anybody first heard of a revision. */
  readonly #heardMs = new Map<number, number>();

  /** `through` is the revision that the store stands at now; `compactRevision` the highest that was ever compacted. */
  constructor(recorded: readonly WatchSession[], { through, compactRevision }: Extent) {
    this.compactRevision = compactRevision;
    for (const session of recorded) this.#take(session);
    this.#link();
    for (let revision = 2; revision <= through; revision++) {
      if (!this.#changes.has(revision)) this.wrong.push(`no recorder heard of revision ${revision} (of ${through})`);
    }
    if (this.#revision > through)
      this.wrong.push(`revision ${this.#revision} was heard of, the store is at ${through}`);
  }

  get revision(): number {
    return this.#revision;
  }

  changesAt(revision: number): readonly HistoricalChange[] {
    return this.#changes.get(revision) ?? [];
  }

  /** When anybody first heard of it; Infinity if nobody did. */
  heardMs(revision: number): number {
    return this.#heardMs.get(revision) ?? Infinity;
  }

  /** The history as the ledgers and the checker of linearizability want it. */
  revisions(): Revision[] {
    return [...this.#changes.keys()]
      .toSorted((a, b) => a - b)
      .map((revision) => ({
        revision,
        changes: this.changesAt(revision).map(
          ({ kind, key, value }): Change => (kind === "put" ? { kind, key, value } : { kind, key }),
        ),
      }));
  }

  /** All changes of one key, oldest first. */
  changesOf(key: string): HistoricalChange[] {
    return this.#byKey.get(key) ?? [];
  }

  /** The key as it was at a revision. */
  at(key: string, revision: number): KeyState | undefined {
    const change = this.changesOf(key).findLast((candidate) => candidate.revision <= revision);
    if (change === undefined || change.kind === "delete") return undefined;
    return {
      value: change.value,
      createRevision: change.createRevision,
      modRevision: change.revision,
      version: change.version,
    };
  }

  /** The first recorder to tell of a revision is believed; the others must say the same. */
  #take({ member, messages }: WatchSession): void {
    for (const message of messages) {
      if (message.kind !== "events") continue;
      for (const revision of new Set(message.events.map((event) => event.revision))) {
        const events = message.events.filter((event) => event.revision === revision);
        this.#heardMs.set(revision, Math.min(this.heardMs(revision), message.atMs));
        const known = this.#changes.get(revision);
        if (known === undefined) this.#changes.set(revision, events.map(withoutPrevious));
        else if (textOf(known) !== textOf(events)) {
          this.wrong.push(
            `${member} says that revision ${revision} is ${textOf(events)}, another said ${textOf(known)}`,
          );
        }
        this.#revision = Math.max(this.#revision, revision);
      }
    }
  }

  /** Tells each change what it replaced, and counts versions instead of believing them. */
  #link(): void {
    for (const revision of [...this.#changes.keys()].toSorted((a, b) => a - b)) {
      const linked = this.changesAt(revision).map((change) => this.#after(this.changesOf(change.key).at(-1), change));
      this.#changes.set(revision, linked);
      for (const change of linked) {
        const changes = this.#byKey.get(change.key);
        if (changes === undefined) this.#byKey.set(change.key, [change]);
        else changes.push(change);
      }
    }
  }

  #after(last: HistoricalChange | undefined, change: HistoricalChange): HistoricalChange {
    const previous = last?.kind === "put" ? last : undefined;
    if (change.kind === "delete") return { ...change, previous };
    const counted = {
      ...change,
      previous,
      version: (previous?.version ?? 0) + 1,
      createRevision: previous?.createRevision ?? change.revision,
    };
    if (wordsOf(counted) !== wordsOf(change)) {
      this.wrong.push(`${change.key}: the event says "${wordsOf(change)}", the history "${wordsOf(counted)}"`);
    }
    return counted;
  }
}

interface Extent {
  readonly through: number;
  readonly compactRevision: number;
}

function withoutPrevious(event: WatchedEvent): HistoricalChange {
  return { ...event, previous: undefined };
}

function textOf(changes: readonly (HistoricalChange | WatchedEvent)[]): string {
  return changes.map(({ kind, key, value, lease }) => `${kind} ${key}=${value} (${lease})`).join(", ");
}
