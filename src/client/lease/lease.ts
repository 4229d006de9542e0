/** Granting, finding and revoking leases, and the book of those that this client holds. */
import { status } from "../../../proto/status.js";
import { onAbort } from "../calls/abort.js";
import type { Calls } from "../calls/call.js";
import { leaseMethods } from "../calls/methods.js";
import { EtcdError, isEtcdError } from "../errors.js";
import { ownBytes, sizeOf } from "../kv/convert.js";
import type { CallOptions } from "../options.js";
import { type Granted, HeldLease } from "./held-lease.js";
import type { Renewals } from "./keepalive.js";
import { keepAliveOnce } from "./keepalive-once.js";
import type { Lease, LeaseInfo, Leases } from "./types.js";

export class LeaseBook implements Leases {
  private readonly calls: Calls;
  private readonly renewals: Renewals;
  private readonly held = new Set<HeldLease>();
  private closed = false;

  constructor(calls: Calls, renewals: Renewals) {
    this.calls = calls;
    this.renewals = renewals;
  }

  async grant(
    ttlSeconds: number,
    options: CallOptions & { readonly id?: bigint; readonly keepAlive?: boolean } = {},
  ): Promise<Lease> {
    const granted = await this.grantOnce(ttlSeconds, options);
    return this.hold(granted, options.keepAlive ?? true);
  }

  async attach(id: bigint, options: CallOptions = {}): Promise<Lease> {
    const { response, sentAtMs } = await keepAliveOnce(this.calls, this.renewals, id, options);
    if (response.TTL <= 0n) throw leaseNotFound();
    return this.hold({ id, ttl: sizeOf(response.TTL), sentAtMs }, true);
  }

  async list(options: CallOptions = {}): Promise<bigint[]> {
    const { leases } = await this.calls.unary(leaseMethods.leaseLeases, {}, options);
    return leases.map((lease) => lease.ID);
  }

  async timeToLive(
    id: bigint,
    options: CallOptions & { readonly keys?: boolean } = {},
  ): Promise<LeaseInfo | undefined> {
    const request = { ID: id, keys: options.keys ?? false };
    const reply = await this.calls.unary(leaseMethods.leaseTimeToLive, request, options);
    if (reply.TTL < 0n) return undefined;
    return { id, ttl: sizeOf(reply.TTL), grantedTtl: sizeOf(reply.grantedTTL), keys: reply.keys.map(ownBytes) };
  }

  async revoke(id: bigint, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(leaseMethods.leaseRevoke, { ID: id }, options);
  }

  /** Every lease still held is given up as "closed"; the server lets them run out. */
  async close(): Promise<void> {
    this.closed = true;
    for (const lease of this.held) lease.lose("closed");
    await this.renewals.close();
  }

  /** The id is chosen here, so that a grant whose answer was lost can be repeated and found again. */
  private async grantOnce(ttlSeconds: number, options: CallOptions & { readonly id?: bigint }): Promise<Granted> {
    const own = options.id === undefined;
    const id = options.id ?? randomLeaseId();
    const retry = options.retry ?? (own ? "idempotent" : "safe");
    try {
      const request = { ID: id, TTL: BigInt(ttlSeconds) };
      const { response, sentAtMs } = await this.calls.timed(leaseMethods.leaseGrant, request, { ...options, retry });
      return { id: response.ID, ttl: sizeOf(response.TTL), sentAtMs };
    } catch (error) {
      // Only a repeated grant can have met itself.
      if (!own || !isEtcdError(error, "LeaseExist") || error.attempts < 2) throw error;
      const { response, sentAtMs } = await keepAliveOnce(this.calls, this.renewals, id, options);
      if (response.TTL <= 0n) throw error;
      return { id, ttl: sizeOf(response.TTL), sentAtMs };
    }
  }

  private hold(granted: Granted, keepAlive: boolean): Lease {
    const lease = new HeldLease({ book: this, calls: this.calls, renewals: this.renewals }, granted, keepAlive);
    this.held.add(lease);
    onAbort(lease.signal, () => this.held.delete(lease));
    // Its answer and the end of the client may come in one turn.
    if (this.closed) lease.lose("closed");
    return lease;
  }
}

/** A positive 63-bit id. */
function randomLeaseId(): bigint {
  const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return BigInt.asUintN(63, random) || 1n;
}

function leaseNotFound(): EtcdError {
  return new EtcdError(status.LeaseNotFound.message, {
    code: "LeaseNotFound",
    grpcStatus: status.LeaseNotFound.code,
    outcome: "not-applied",
    serverMessage: status.LeaseNotFound.message,
  });
}
