/** Leases: granting them, and deleting their keys with them (spec/server.md 5). */
import type { LeaseCheckpoint, LeaseGrant, LeaseRevoke } from "../../../proto/gen/internal/command.js";
import { status, WireError } from "../../../proto/status.js";
import { assertChangesFit, type Operations } from "./mvcc/operations.js";
import type { Lease, LeaseChange } from "./types.js";

/** About 285 years; etcd's own bound. */
const ttlSecondsMax = 9_000_000_000n;

/** Throws WireError LeaseTTLTooLarge, LeaseNotFound (id 0 means "no lease") or LeaseExist. */
export function grantLease({ store, hash }: Operations, { id, ttlSeconds }: LeaseGrant): Lease {
  if (ttlSeconds > ttlSecondsMax) throw new WireError(status.LeaseTTLTooLarge);
  if (id === 0n) throw new WireError(status.LeaseNotFound);
  if (store.tables.leases.get(id) !== undefined) throw new WireError(status.LeaseExist);
  const lease = { id, ttlSeconds: Number(ttlSeconds), remainingSeconds: 0 };
  store.tables.leases.insert(lease);
  hash.note("granted", id, ttlSeconds);
  return lease;
}

/**
 * Deletes a lease with its keys, in byte order and in one revision. Returns false if it was asked for by the expiry of
 * another term: a leader that has been replaced must not revoke what its successor has renewed.
 * Throws WireError LeaseNotFound.
 */
export function revokeLease(operations: Operations, { id, onlyInTerm }: LeaseRevoke, term: number): boolean {
  const { store, writer, hash } = operations;
  if (onlyInTerm !== 0n && onlyInTerm !== BigInt(term)) return false;
  if (store.tables.leases.get(id) === undefined) throw new WireError(status.LeaseNotFound);
  const attached = store.tables.keys.ofLease(id);
  assertChangesFit(attached.length);
  for (const ref of attached) writer.remove(ref);
  store.tables.leases.remove(id);
  hash.note("revoked", id);
  return true;
}

/**
 * Remembers what is left of leases, so that the next leader does not start them anew (spec/server.md 5.7). Like a revocation
 * by expiry it holds in the term of the leader that asked only. Returns what changed; leases that are gone are passed over.
 */
export function checkpointLeases(
  { store, hash }: Operations,
  { leases, onlyInTerm }: LeaseCheckpoint,
  term: number,
): readonly LeaseChange[] {
  if (onlyInTerm !== 0n && onlyInTerm !== BigInt(term)) return [];
  return leases.flatMap(({ id, remainingSeconds: asked }): LeaseChange[] => {
    const lease = store.tables.leases.get(id);
    if (lease === undefined) return [];
    const remainingSeconds = Math.min(Math.max(Number(asked), 0), lease.ttlSeconds);
    store.tables.leases.checkpoint(id, remainingSeconds);
    hash.note("checkpointed", id, remainingSeconds);
    return [{ kind: "checkpointed", id, remainingSeconds }];
  });
}
