/**
 * Writes that bind keys to leases this process holds: not sent once a lease is lost, and a lease that the server does not
 * know any more is lost at once, before its next renewal would tell.
 */
import type { EffortOptions } from "../calls/effort.js";
import { isEtcdError } from "../errors.js";
import type { Op, TxnSpec } from "../kv/txn-types.js";
import type { PutOptions } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import type { Lease } from "./types.js";

const listeners = new WeakMap<Lease, () => void>();

/** Calls back when a write was refused because the server does not know the lease. */
export function onLeaseNotFound(lease: Lease, callback: () => void): void {
  listeners.set(lease, callback);
}

/** The held leases that these puts bind to, each once; those that are only named by id are not held here. */
export function leasesOf(puts: readonly { readonly options: Pick<PutOptions, "lease"> }[]): readonly Lease[] {
  return [...new Set(puts.flatMap(({ options: { lease } }) => (typeof lease === "object" ? [lease] : [])))];
}

/** The same for all puts of a transaction. */
export function leasesIn(spec: TxnSpec<readonly Op[], readonly Op[]>): readonly Lease[] {
  const operations = [...spec.then, ...(spec.else ?? [])];
  const nested = operations.flatMap((operation) => (operation.kind === "txn" ? leasesIn(operation.spec) : []));
  const puts = operations.filter((operation) => operation.kind === "put");
  return [...new Set([...leasesOf(puts), ...nested])];
}

/**
 * Makes a write under the leases. Rejects with the LeaseLostError of one that is lost; for a single lease also if it is
 * lost before the write was sent. Of several, a refusal does not tell which one is gone.
 */
export async function underLeases<T, O extends CallOptions>(
  leases: readonly Lease[],
  options: O,
  write: (options: O & EffortOptions) => Promise<T>,
): Promise<T> {
  for (const lease of leases) lease.signal.throwIfAborted();
  const [lease] = leases;
  if (lease === undefined || leases.length > 1) return write(options);
  try {
    return await write({ ...options, sendWhile: lease.signal });
  } catch (error) {
    if (isEtcdError(error, "LeaseNotFound")) listeners.get(lease)?.();
    throw error;
  }
}
