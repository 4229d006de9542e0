/**
 * What the writers were told, against what the member says after a restart. Pure: the loop feeds it, and its own
 * tests feed it lies.
 */

/** One change inside a revision. */
export type Change =
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "delete"; readonly key: string };

/** One request that changes keys: it becomes exactly one revision, or nothing at all. */
export interface Write {
  /** Unique over the whole run. */
  readonly id: string;
  /** In the order the member must report them. */
  readonly changes: readonly Change[];
}

/** One revision as a watch reported it. */
export interface Revision {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** A key as a range reports it, and as replaying the history yields it. */
export interface KeyState {
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

/** The first revision that a write gets: a fresh store stands at 1. */
export const firstRevision = 2;

/**
 * Knows every write that was acknowledged or seen by a watch, with its revision, and every write whose outcome the
 * kill left open. {@link settle} holds them against a history and decides the open ones.
 */
export class Ledger {
  readonly #known = new Map<number, Write>();
  readonly #seen = new Map<number, readonly Change[]>();
  #open: Write[] = [];

  acknowledged(revision: number, write: Write): void {
    this.#known.set(revision, write);
  }

  /** The call failed because the member died: the write may or may not have happened. */
  leftOpen(write: Write): void {
    this.#open.push(write);
  }

  /** A watch delivered this revision, so it was committed, whether or not its writer was told. */
  watched(revision: Revision): void {
    this.#seen.set(revision.revision, revision.changes);
  }

  /** The highest revision that anybody outside was told of. A member may never stand below it again. */
  get told(): number {
    return Math.max(firstRevision - 1, ...this.#lastOf(this.#known), ...this.#lastOf(this.#seen));
  }

  /** Revisions of which the outcome is known, in order. */
  get history(): readonly Revision[] {
    return [...this.#known]
      .toSorted(([a], [b]) => a - b)
      .map(([revision, write]) => ({ revision, changes: write.changes }));
  }

  /**
   * Compares everything that is known with what a watch from `from` delivered up to the member's current revision.
   * Open writes that turn up are known from here on; those that do not are forgotten and may never turn up.
   * Returns what is wrong, in words; empty when nothing is.
   */
  settle(from: number, delivered: readonly Revision[]): string[] {
    const wrong = outOfOrder(from, delivered);
    const used = new Set<string>();
    for (const revision of delivered) wrong.push(...this.#settleOne(revision, used));
    const last = delivered.at(-1)?.revision ?? from - 1;
    for (const [revision, write] of this.#known) {
      if (revision > last)
        wrong.push(`lost: write ${write.id} was acknowledged at revision ${revision}, the last is ${last}`);
    }
    for (const [revision, changes] of this.#seen) {
      const known = this.#known.get(revision);
      if (known === undefined) wrong.push(`lost: a watch had seen revision ${revision}`);
      else if (!same(known.changes, changes))
        wrong.push(`changed: a watch had seen something else at revision ${revision}`);
    }
    this.#open = [];
    this.#seen.clear();
    return wrong;
  }

  #settleOne({ revision, changes }: Revision, used: Set<string>): string[] {
    const known = this.#known.get(revision);
    const write = known ?? this.#open.find((candidate) => same(candidate.changes, changes));
    if (write === undefined) return [`invented: nobody wrote revision ${revision} ${JSON.stringify(changes)}`];
    if (!same(write.changes, changes)) {
      return [`changed: revision ${revision} is not write ${write.id}: ${JSON.stringify(changes)}`];
    }
    if (used.has(write.id)) return [`repeated: write ${write.id} again at revision ${revision}`];
    used.add(write.id);
    this.#known.set(revision, write);
    return [];
  }

  #lastOf(map: ReadonlyMap<number, unknown>): number[] {
    return map.size === 0 ? [] : [[...map.keys()].reduce((a, b) => Math.max(a, b))];
  }
}

/** The keys that a whole history leaves behind. */
export function replay(history: readonly Revision[]): Map<string, KeyState> {
  const keys = new Map<string, KeyState>();
  for (const { revision, changes } of history) {
    for (const change of changes) {
      if (change.kind === "delete") keys.delete(change.key);
      else keys.set(change.key, next(keys.get(change.key), change.value, revision));
    }
  }
  return keys;
}

/** What is wrong with the keys that a range returned, held against the history. */
export function compareKeys(expected: ReadonlyMap<string, KeyState>, found: ReadonlyMap<string, KeyState>): string[] {
  const keys = [...new Set([...expected.keys(), ...found.keys()])];
  return keys.flatMap((key) => {
    const [want, have] = [expected.get(key), found.get(key)].map((state) => JSON.stringify(state ?? "absent"));
    return want === have ? [] : [`key ${key}: the history says ${want}, the range says ${have}`];
  });
}

function next(before: KeyState | undefined, value: string, revision: number): KeyState {
  return {
    value,
    createRevision: before?.createRevision ?? revision,
    modRevision: revision,
    version: (before?.version ?? 0) + 1,
  };
}

function outOfOrder(from: number, delivered: readonly Revision[]): string[] {
  return delivered.flatMap(({ revision }, position) => {
    const expected = position === 0 ? from : (delivered[position - 1]?.revision ?? 0) + 1;
    return revision === expected
      ? []
      : [`out of order: expected revision ${expected}, the watch delivered ${revision}`];
  });
}

function same(a: readonly Change[], b: readonly Change[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
