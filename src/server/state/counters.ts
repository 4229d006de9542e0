/** The numbers that describe how far the state is. Kept in memory, stored in the transaction of each batch. */
import { invariant } from "../invariant.js";
import type { StateSource, StateStore } from "../storage/state-store.js";
import type { ReadPoint } from "./mvcc/read.js";

/** Revision of a store before its first write. */
const firstRevision = 1;
/** What etcd calls the compact revision before the first compaction. */
const neverCompacted = -1;

/** How far a state is. */
export interface CounterValues extends ReadPoint {
  readonly appliedIndex: number;
  readonly appliedTerm: number;
}

export class Counters implements CounterValues {
  revision = firstRevision;
  compactRevision = neverCompacted;
  appliedIndex = 0;
  appliedTerm = 0;

  /** Reads the numbers of the store's current file. */
  load({ tables: { meta } }: StateSource): void {
    this.revision = meta.number("revision") ?? firstRevision;
    this.compactRevision = meta.number("compact_revision") ?? neverCompacted;
    this.appliedIndex = meta.number("applied_index") ?? 0;
    this.appliedTerm = meta.number("applied_term") ?? 0;
    // The revision is never derived from the rows that are left: compaction may delete the newest one.
    const { revision, compactRevision } = this;
    invariant(revision >= compactRevision, "the revision is older than the compact revision", {
      revision,
      compactRevision,
    });
  }

  /** Stores what applying moved; compaction stores its own revision. */
  save({ tables: { meta } }: StateStore, before: { readonly revision: number; readonly appliedTerm: number }): void {
    meta.putNumber("applied_index", this.appliedIndex);
    if (this.appliedTerm !== before.appliedTerm) meta.putNumber("applied_term", this.appliedTerm);
    if (this.revision !== before.revision) meta.putNumber("revision", this.revision);
  }
}
