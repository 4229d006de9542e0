/** Leases: granting them, and deleting their keys with them (spec/server.md 5). */
import type { LeaseGrant, LeaseRevoke } from "../../../proto/gen/internal/command.js";
import { status, WireError } from "../../../proto/status.js";
import { assertChangesFit, type Operations } from "./mvcc/operations.js";
import type { Lease } from "./types.js";

/** About 285 years; etcd's own bound. */
const ttlSecondsMax = 9_000_000_000n;

/** Throws WireError LeaseTTLTooLarge, LeaseNotFound (id 0 means "no lease") or LeaseExist. */
export function grantLease({ store }: Operations, { id, ttlSeconds }: LeaseGrant): Lease {
  if (ttlSeconds > ttlSecondsMax) throw new WireError(status.LeaseTTLTooLarge);
  if (id === 0n) throw new WireError(status.LeaseNotFound);
  if (store.tables.leases.get(id) !== undefined) throw new WireError(status.LeaseExist);
  const lease = { id, ttlSeconds: Number(ttlSeconds) };
  store.tables.leases.insert(lease);
  return lease;
}

/**
 * Deletes a lease with its keys, in byte order and in one revision. Returns false if it was asked for by the expiry of
 * another term: a leader that has been replaced must not revoke what its successor has renewed.
 * Throws WireError LeaseNotFound.
 */
export function revokeLease({ store, writer }: Operations, { id, onlyInTerm }: LeaseRevoke, term: number): boolean {
  if (onlyInTerm !== 0n && onlyInTerm !== BigInt(term)) return false;
  if (store.tables.leases.get(id) === undefined) throw new WireError(status.LeaseNotFound);
  const attached = store.tables.keys.ofLease(id);
  assertChangesFit(attached.length);
  for (const ref of attached) writer.remove(ref);
  store.tables.leases.remove(id);
  return true;
}
