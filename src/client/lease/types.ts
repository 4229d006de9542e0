/** The words of leases. */
import type { LeaseLostError } from "../errors.js";
import type { Bytes, CallOptions } from "../options.js";

export interface LeaseInfo {
  readonly id: bigint;
  /** Seconds left. */
  readonly ttl: number;
  readonly grantedTtl: number;
  /** Empty unless asked for. */
  readonly keys: Bytes[];
}
/**
 * "held": surely alive. "suspect": only a renewal can tell, because this process was suspended for a while, or because
 * a revocation got no answer.
 * "lost": see the signal's reason.
 */
export type LeaseState = "held" | "suspect" | "lost";

/** A lease this process holds. Disposing revokes it. */
export interface Lease extends AsyncDisposable {
  readonly id: bigint;
  readonly state: LeaseState;
  /** Seconds, as the server granted them. */
  readonly ttl: number;
  /**
   * Aborts with a LeaseLostError no later than the server can let the lease expire. A process that was suspended finds it
   * aborted when it asks the lease for it; whoever listens to it hears of it as soon as timers run again.
   */
  readonly signal: AbortSignal;
  /** Time for which the lease surely lives, counted from when the last acknowledged renewal was sent; 0 unless held. */
  readonly remainingMs: number;
  /** Resolves once, when the lease is lost; never rejects. */
  readonly lost: Promise<LeaseLostError>;
  /** Renews now; resolves with the granted seconds. */
  refresh(options?: CallOptions): Promise<number>;
  /** Stops renewing; the lease then runs out by itself. */
  release(): void;
  /**
   * Ends the lease and deletes its keys. If that fails, the lease is still held and renewed; it is lost if the server
   * knows no such lease, and "suspect" until the next renewal if the outcome is unknown.
   */
  revoke(options?: CallOptions): Promise<void>;
}
export interface Leases {
  /** A lease that is renewed until it is released, revoked or lost; `keepAlive: false` lets it run out. */
  grant(
    ttlSeconds: number,
    options?: CallOptions & { readonly id?: bigint; readonly keepAlive?: boolean },
  ): Promise<Lease>;
  /** Takes over the renewal of a lease that exists. */
  attach(id: bigint, options?: CallOptions): Promise<Lease>;
  list(options?: CallOptions): Promise<bigint[]>;
  timeToLive(id: bigint, options?: CallOptions & { readonly keys?: boolean }): Promise<LeaseInfo | undefined>;
  revoke(id: bigint, options?: CallOptions): Promise<void>;
}
