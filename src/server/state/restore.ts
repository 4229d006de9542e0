/** Makes the state of a snapshot that of a new cluster: same keys, leases and users, other members (spec/cli.md 9.2). */
import { StateStore } from "../storage/state-store.js";
import { compact } from "./mvcc/compact.js";
import type { Member } from "./types.js";

/** Revisions are numbered with 43 bits: a change is its revision and its position, in the 63 bits of a row's id. */
const revisionMax = 2 ** 43 - 1;

/** The revision cannot be raised so far. */
export class RevisionLimit extends Error {
  override readonly name = "RevisionLimit";
}

export interface RestoreStateOptions {
  readonly dir: string;
  /** File name in `dir`; nobody else has it open. */
  readonly file: string;
  readonly clusterId: bigint;
  readonly members: readonly Member[];
  /**
   * Added to the revision; all history up to the new one counts as compacted then, so that nobody who has seen more than the
   * snapshot holds can go on as if nothing had happened. 0 leaves both as they are.
   */
  readonly bumpRevision: bigint;
}

/**
 * Changes the file, durably. It stands for entry 1 of term 1 afterwards, as a founder's does. Alarms go: they speak of members
 * that are no more. Throws RevisionLimit, StorageRefused and StorageFailure.
 */
export function restoreState(options: RestoreStateOptions): void {
  const store = new StateStore({ dir: options.dir, file: options.file, mode: "existing" });
  try {
    const revision = store.read(() => store.tables.meta.number("revision") ?? 1);
    if (BigInt(revision) + options.bumpRevision > BigInt(revisionMax)) {
      throw new RevisionLimit(
        `revision ${revision} cannot be raised by ${options.bumpRevision}: at most ${revisionMax}`,
      );
    }
    store.writeDurably(() => rewrite(store, options));
  } finally {
    store.close();
  }
}

function rewrite(store: StateStore, { clusterId, members, bumpRevision }: RestoreStateOptions): void {
  const { tables } = store;
  tables.meta.putClusterId(clusterId);
  tables.meta.putNumber("applied_index", 1);
  tables.meta.putNumber("applied_term", 1);
  tables.meta.putNumber("durable_index", 1);
  // Marks are named by entries of the former log.
  tables.marks.clear();
  for (const { id } of tables.members.all()) tables.members.remove(id);
  tables.removed.clear();
  for (const alarm of tables.alarms.all()) tables.alarms.remove(alarm);
  for (const member of members) tables.members.put(member);
  if (bumpRevision > 0n) bump(store, Number(bumpRevision));
}

function bump(store: StateStore, by: number): void {
  const { meta } = store.tables;
  const revision = (meta.number("revision") ?? 1) + by;
  meta.putNumber("revision", revision);
  compact(store, { revision, compactRevision: meta.number("compact_revision") ?? -1 }, BigInt(revision));
}
