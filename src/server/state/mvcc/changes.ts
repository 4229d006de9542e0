/** The history of changes, for watchers that catch up. */
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import { status, WireError } from "../../../../proto/status.js";
import { revisionId, revisionOf, type StoredRevision } from "../../storage/revisions.js";
import type { StateSource } from "../../storage/state-store.js";
import type { Change, RevisionChanges } from "../types.js";
import type { ReadPoint } from "./read.js";
import { type PreviousReader, StoredChange } from "./write.js";

/** What to read: whole revisions from `from` on, until one of the limits is reached; at least one revision. */
export interface ChangesRequest {
  readonly from: number;
  readonly revisionsMax: number;
  readonly bytesMax: number;
}

/** Whole revisions, oldest first. Throws WireError Compacted if `from` is older than the compact revision. */
export function changesSince(
  store: StateSource,
  { revision, compactRevision }: ReadPoint,
  previous: PreviousReader,
  request: ChangesRequest,
): readonly RevisionChanges[] {
  if (request.from < compactRevision) throw new WireError(status.Compacted);
  const found: { revision: number; changes: Change[] }[] = [];
  let bytes = 0;
  const rows = store.tables.revisions.between(revisionId(Math.max(request.from, 0), 0), revisionId(revision + 1, 0));
  for (const row of rows) {
    const revisionOfRow = revisionOf(row.id);
    let newest = found.at(-1);
    if (newest?.revision !== revisionOfRow) {
      if (found.length >= request.revisionsMax || bytes >= request.bytesMax) break;
      newest = { revision: revisionOfRow, changes: [] };
      found.push(newest);
    }
    newest.changes.push(changeOf(row, previous));
    bytes += row.kv.length;
  }
  return found;
}

function changeOf({ id, deleted, kv }: StoredRevision, previous: PreviousReader): Change {
  return new StoredChange(deleted ? "delete" : "put", KeyValue.decode(kv), id, previous);
}
