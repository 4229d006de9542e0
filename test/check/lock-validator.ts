/**
 * What a lock promises that is made of leases and keys (the recipe of etcd's clients): nobody takes himself for the holder
 * while another one's key is there and older, and no two hold it while both their leases live. Revisions, not clocks, decide.
 */

/** A key as one revision left it. */
interface LockKey {
  readonly key: string;
  readonly createRevision: number;
}

/** What the committed log says. */
export interface LockHistory {
  /** The living key at a revision. */
  at(key: string, revision: number): LockKey | undefined;
  /** All living keys in a range at a revision. */
  alive(from: string, rangeEnd: string, revision: number): readonly LockKey[];
}

/** Somebody takes himself for the holder. */
export interface LockClaim {
  readonly key: string;
  /** Of his key: what guards his writes. */
  readonly createRevision: number;
  /** Of the store, as of which he takes himself for the holder. */
  readonly revision: number;
}

export interface LockFinding {
  readonly problem: "lost" | "queue" | "two holders" | "fencing";
  readonly detail: string;
}

/** Follows one lock through a run. */
export class LockValidator {
  readonly findings: LockFinding[] = [];
  private readonly history: LockHistory;
  private readonly prefix: string;
  /** Claims whose keys may still be there. */
  private claims: LockClaim[] = [];
  private lastFenced = { createRevision: 0, revision: 0 };

  /** All keys of the lock begin with the prefix, and nothing else does. */
  constructor(history: LockHistory, prefix: string) {
    this.history = history;
    this.prefix = prefix;
  }

  claimed(claim: LockClaim): void {
    const { key, createRevision, revision } = claim;
    const text = `${key} of ${createRevision} is taken for the holder at ${revision}`;
    if (!this.isThere(claim, revision)) this.find("lost", `${text}, and its key is gone`);
    for (const other of this.history.alive(this.prefix, endOf(this.prefix), revision)) {
      if (other.createRevision < createRevision) this.find("queue", `${text} before ${other.key}`);
    }
    this.claims = this.claims.filter((other) => this.isThere(other, revision) || other.revision > revision);
    const [other] = this.claims;
    if (other !== undefined) this.find("two holders", `${text}, and ${other.key} since ${other.revision}`);
    this.claims.push(claim);
  }

  /** A write that was to happen only while this key is there has happened at this revision. */
  fenced({ createRevision }: LockClaim, revision: number): void {
    const last = this.lastFenced;
    const backwards = revision > last.revision !== createRevision >= last.createRevision;
    if (backwards && createRevision !== last.createRevision)
      this.find("fencing", `${createRevision} wrote at ${revision}, ${last.createRevision} at ${last.revision}`);
    if (revision > last.revision) this.lastFenced = { createRevision, revision };
  }

  private isThere({ key, createRevision }: LockClaim, revision: number): boolean {
    return this.history.at(key, revision)?.createRevision === createRevision;
  }

  private find(problem: LockFinding["problem"], detail: string): void {
    this.findings.push({ problem, detail });
  }
}

/** The end of all keys that begin with a prefix, whose last character is none of the last. */
export function endOf(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
