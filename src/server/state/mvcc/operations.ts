/** Put, deletion and range as single steps: what a command does alone, and what a transaction does in order. */
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import type { DeleteRangeRequest, PutRequest, RangeRequest } from "../../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../../proto/status.js";
import { revisionChangesMax } from "../../storage/revisions.js";
import type { StateSource, StateStore } from "../../storage/state-store.js";
import type { StateHash } from "../state-hash.js";
import type { RangeResult } from "../types.js";
import { intervalOf } from "./interval.js";
import { type ReadPoint, range } from "./read.js";
import type { RevisionWriter } from "./write.js";

/** One command at work inside the batch's transaction. */
export interface Operations {
  readonly store: StateStore;
  readonly writer: RevisionWriter;
  readonly hash: StateHash;
  readonly compactRevision: number;
}

/** Throws WireError LeaseNotFound if the request names a lease that does not exist. */
export function assertLease(store: StateSource, { lease }: PutRequest): void {
  if (lease !== 0n && store.tables.leases.get(lease) === undefined) throw new WireError(status.LeaseNotFound);
}

/** Whether a put keeps a part of the pair it replaces, which then has to exist. */
export function keepsPart({ ignoreValue, ignoreLease }: PutRequest): boolean {
  return ignoreValue || ignoreLease;
}

/** Throws WireError KeyNotFound if there is no such pair. */
export function assertExists(store: StateSource, key: Uint8Array): void {
  const current = store.tables.keys.get(key);
  if (current === undefined || current.dead) throw new WireError(status.KeyNotFound);
}

/** Writes a pair that was checked; returns the former one if the request asks for it. */
export function put({ store, writer }: Operations, request: PutRequest): KeyValue | undefined {
  const { key, ignoreValue, ignoreLease, prevKv } = request;
  const current = store.tables.keys.get(key);
  const alive = current !== undefined && !current.dead;
  const former =
    alive && (ignoreValue || prevKv) ? KeyValue.decode(store.tables.revisions.get(current.id).kv) : undefined;
  const value = ignoreValue && former !== undefined ? former.value : request.value;
  const lease = ignoreLease && alive ? current.lease : request.lease;
  writer.put({ key, value, lease }, current);
  return prevKv ? former : undefined;
}

/** Deletes the keys of an interval in byte order. */
export function deleteRange(
  { store, writer }: Operations,
  request: DeleteRangeRequest,
): { deleted: number; previous: KeyValue[] } {
  const { scanner, keys } = store.tables;
  const interval = intervalOf(request);
  if (request.prevKv) {
    const found = scanner.latest({ interval, order: "keyAscending", filter: undefined, rowsMax: -1 });
    const previous = found.map(({ id, kv }) => {
      const pair = KeyValue.decode(kv);
      writer.remove({ key: pair.key, id });
      return pair;
    });
    return { deleted: previous.length, previous };
  }
  if (interval.kind === "one") {
    const current = keys.get(interval.key);
    if (current === undefined || current.dead) return { deleted: 0, previous: [] };
    writer.remove({ key: interval.key, id: current.id });
    return { deleted: 1, previous: [] };
  }
  const found = scanner.latestRefs(interval);
  for (const ref of found) writer.remove(ref);
  return { deleted: found.length, previous: [] };
}

/** Upper bound of the changes that a deletion makes to the state as it is now. */
export function deletionsMax({ tables: { scanner } }: StateSource, request: DeleteRangeRequest): number {
  const interval = intervalOf(request);
  return interval.kind === "one" ? 1 : scanner.countLatest(interval);
}

/** Throws WireError RequestTooLarge if one revision can not hold so many changes; the same on every member. */
export function assertChangesFit(changesMax: number): void {
  if (changesMax > revisionChangesMax) throw new WireError(status.RequestTooLarge);
}

/** Reads inside a transaction: what it has changed so far is the newest revision. */
export function rangeWithin({ store, writer, compactRevision }: Operations, request: RangeRequest): RangeResult {
  return range(store, readPoint(writer.revision, compactRevision), request);
}

function readPoint(revision: number, compactRevision: number): ReadPoint {
  return { revision, compactRevision };
}
