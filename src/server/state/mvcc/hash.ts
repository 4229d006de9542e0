/** Hashes over the state, for comparing members. */
import { status, WireError } from "../../../../proto/status.js";
import { revisionId, type StoredRevision } from "../../storage/revisions.js";
import type { Interval } from "../../storage/scan.js";
import type { StateSource } from "../../storage/state-store.js";
import type { HashResult } from "../types.js";
import { crc32c } from "./crc32c.js";
import { keyFieldBytes } from "./key-value.js";
import type { ReadPoint } from "./read.js";

const positionMask = (1n << 20n) - 1n;

/**
 * etcd's HashKV over what a reader at `requested` could still see or watch (0: the newest revision); spec/server.md 7.3.
 * How far physical compaction has come makes no difference. Throws WireError FutureRev or Compacted.
 */
export function hashKv(store: StateSource, { revision, compactRevision }: ReadPoint, requested: number): HashResult {
  if (requested > revision) throw new WireError(status.FutureRev);
  if (requested < 0 || (requested > 0 && requested < compactRevision)) throw new WireError(status.Compacted);
  const hashRevision = requested === 0 ? revision : requested;
  const { scanner, revisions } = store.tables;
  const uncompacted = revisionId(compactRevision + 1, 0);
  const end = revisionId(hashRevision + 1, 0);
  let hash = crc32c(Buffer.from("key"));
  // Of what is compacted only the pairs that are alive at the hashed revision count, and they come first. If none is alive
  // there, etcd leaves out nothing, which means what the compaction itself has kept.
  const bound = isEmpty(store, end) ? uncompacted : end;
  for (const row of scanner.pastChanges(bound, uncompacted)) hash = hashChange(revisions.checked(row), hash);
  for (const change of revisions.between(uncompacted, end)) hash = hashChange(change, hash);
  return { hash, compactRevision, hashRevision, revision };
}

/** Whether no key was alive before the change `bound`. */
function isEmpty({ tables: { scanner } }: StateSource, bound: bigint): boolean {
  const interval: Interval = { kind: "from", from: new Uint8Array(0) };
  return scanner.past({ interval, order: "keyAscending", filter: undefined, rowsMax: 1 }, bound).length === 0;
}

function hashChange({ id, deleted, kv }: StoredRevision, hash: number): number {
  const name = Buffer.alloc(deleted ? 18 : 17, "_");
  name.writeBigInt64BE(id >> 20n, 0);
  name.writeBigInt64BE(id & positionMask, 9);
  if (deleted) name.write("t", 17);
  // etcd keeps only the key in a tombstone.
  const stored = deleted ? kv.subarray(0, keyFieldBytes(kv)) : kv;
  return crc32c(stored, crc32c(name, hash));
}

/** Hash over keys, leases, members, alarms, versions, users, roles and the rolling hash; comparable between members of this implementation only. */
export function hashAll(store: StateSource, point: ReadPoint): number {
  const { leases, members, removed, alarms, marks, meta, users, roles, permissions } = store.tables;
  const rest = [
    [point.revision, point.compactRevision],
    leases.all(),
    [members.all(), removed.all()],
    alarms.all(),
    [meta.number("state_hash"), marks.all()],
    [meta.text("cluster_version"), meta.text("downgrade_target")],
    [meta.number("auth_enabled"), meta.number("auth_revision"), meta.number("auth_version")],
    [users.all(), roles.all(), permissions.all()],
  ];
  const text = JSON.stringify(rest, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
  return crc32c(Buffer.from(text), hashKv(store, point, 0).hash);
}
