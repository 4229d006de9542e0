/** Compaction: forgotten at once for readers, deleted from the file in small steps (spec/raft-storage.md 3.5). */
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import { status, WireError } from "../../../../proto/status.js";
import { revisionId } from "../../storage/revisions.js";
import type { StateStore } from "../../storage/state-store.js";
import type { ReadPoint } from "./read.js";

/**
 * Makes everything before `target` unreadable, inside the batch's transaction, and returns the new compact revision.
 * Throws WireError FutureRev or Compacted.
 */
export function compact(store: StateStore, { revision, compactRevision }: ReadPoint, target: bigint): number {
  if (target > BigInt(revision)) throw new WireError(status.FutureRev);
  if (target <= BigInt(compactRevision)) throw new WireError(status.Compacted);
  const { meta, compactCursor } = store.tables;
  meta.putNumber("compact_revision", Number(target));
  // Tombstones at the former compact revision were kept; from now on they are garbage, so the walk starts with them.
  const first = revisionId(Math.max(compactRevision, 0), 0);
  const pending = compactCursor.get();
  if (pending === undefined || pending > first) compactCursor.put(first);
  return Number(target);
}

/**
 * Deletes what is garbage among the next `rowsMax` rows up to the compact revision; false if nothing is left to do. Local: members
 * may be at different steps, and no permitted read can tell.
 */
export function compactStep(store: StateStore, compactRevision: number, rowsMax: number): boolean {
  const { compactCursor, revisions } = store.tables;
  return store.read(() => compactCursor.get()) === undefined
    ? false
    : store.write(() => {
        const first = compactCursor.get() ?? 0n;
        const end = revisionId(compactRevision + 1, 0);
        const last = revisions.stepEnd(first, end, rowsMax);
        if (last === undefined) {
          compactCursor.remove();
          return false;
        }
        revisions.dropPrevious(first, last);
        dropTombstones(store, first, smaller(last + 1n, revisionId(compactRevision, 0)));
        compactCursor.put(last + 1n);
        return true;
      });
}

/** Tombstones before `end` are garbage; the one at the compact revision stays for watchers that start there. */
function dropTombstones({ tables: { revisions, keys } }: StateStore, first: bigint, end: bigint): void {
  for (const { id, kv } of revisions.tombstones(first, end)) keys.forget(KeyValue.decode(kv).key, id);
  revisions.dropTombstones(first, end);
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
