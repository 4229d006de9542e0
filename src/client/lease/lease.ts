/**
 * Leases that are renewed while they are held. A lease is never claimed for longer than the server could keep it:
 * its time counts from when the last acknowledged renewal was sent, on a monotonic clock.
 */
import { status } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { leaseMethods } from "../calls/methods.js";
import { EtcdError, isEtcdError, LeaseLostError, type LeaseLostReason } from "../errors.js";
import { ownBytes, sizeOf } from "../kv/convert.js";
import type { CallOptions } from "../options.js";
import { type RenewalHandle, Renewals } from "./keepalive.js";
import { keepAliveOnce } from "./keepalive-once.js";
import type { Lease, LeaseInfo, Leases } from "./types.js";

/** `setTimeout` counts no further; longer waits are made of several. */
const timerMsMax = 2 ** 31 - 1;

interface Granted {
  readonly id: bigint;
  readonly ttl: number;
  readonly sentAtMs: number;
}

export class LeaseBook implements Leases {
  private readonly calls: Calls;
  private readonly renewals: Renewals;
  private readonly held = new Set<HeldLease>();

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
      if (!own || !isEtcdError(error, "LeaseExist")) throw error;
      const { response, sentAtMs } = await keepAliveOnce(this.calls, this.renewals, id, options);
      if (response.TTL <= 0n) throw error;
      return { id, ttl: sizeOf(response.TTL), sentAtMs };
    }
  }

  private hold(granted: Granted, keepAlive: boolean): Lease {
    const lease = new HeldLease({ book: this, calls: this.calls, renewals: this.renewals }, granted, keepAlive);
    this.held.add(lease);
    lease.signal.addEventListener("abort", () => this.held.delete(lease), { once: true });
    return lease;
  }
}

class HeldLease implements Lease {
  readonly id: bigint;
  readonly lost: Promise<LeaseLostError>;
  ttl: number;
  private readonly parts: { readonly book: LeaseBook; readonly calls: Calls; readonly renewals: Renewals };
  private readonly controller = new AbortController();
  private settleLost: (error: LeaseLostError) => void = () => {};
  private renewal: RenewalHandle | undefined;
  private deadlineMs: number;
  private timer: NodeJS.Timeout | undefined;
  private lastFailure: unknown;

  constructor(
    parts: { readonly book: LeaseBook; readonly calls: Calls; readonly renewals: Renewals },
    granted: Granted,
    keepAlive: boolean,
  ) {
    this.parts = parts;
    this.id = granted.id;
    this.ttl = granted.ttl;
    this.deadlineMs = granted.sentAtMs + granted.ttl * 1000;
    this.lost = new Promise((resolve) => {
      this.settleLost = resolve;
    });
    this.arm();
    if (keepAlive) this.renew(granted);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get remainingMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.deadlineMs - this.nowMs());
  }

  async refresh(options: CallOptions = {}): Promise<number> {
    this.signal.throwIfAborted();
    const { calls, renewals } = this.parts;
    const { response, sentAtMs } = await keepAliveOnce(calls, renewals, this.id, options);
    this.renewed(sizeOf(response.TTL), sentAtMs);
    this.signal.throwIfAborted();
    return this.ttl;
  }

  release(): void {
    this.renewal?.stop();
    this.renewal = undefined;
  }

  async revoke(options: CallOptions = {}): Promise<void> {
    await this.parts.book.revoke(this.id, options);
    this.lose("revoked");
  }

  /** Revokes; a lease that is already gone needs nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.signal.aborted) return;
    try {
      await this.revoke();
    } catch (error) {
      if (!isEtcdError(error, "LeaseNotFound")) throw error;
      this.lose("revoked");
    }
  }

  /** Final, and once: a lease that was lost is never claimed again. */
  lose(reason: LeaseLostReason): void {
    if (this.signal.aborted) return;
    clearTimeout(this.timer);
    this.release();
    const error = new LeaseLostError(this.id, reason, this.lastFailure);
    this.controller.abort(error);
    this.settleLost(error);
  }

  private renew(granted: Granted): void {
    const { renewals } = this.parts;
    const times = { ttlMs: granted.ttl * 1000, sentAtMs: granted.sentAtMs };
    this.renewal = renewals.addGranted(granted.id, times, {
      onAnswer: (response, sentAtMs) => this.renewed(sizeOf(response.TTL), sentAtMs),
      onFailure: (error) => {
        this.lastFailure = error;
      },
    });
  }

  /** An answer without a TTL says that the lease is gone: before its time, because someone revoked it. */
  private renewed(ttlSeconds: number, sentAtMs: number): void {
    if (this.signal.aborted) return;
    if (this.remainingMs === 0) return this.lose(this.renewal === undefined ? "expired" : "unreachable");
    if (ttlSeconds <= 0) return this.lose("revoked");
    this.ttl = ttlSeconds;
    this.lastFailure = undefined;
    this.deadlineMs = Math.max(this.deadlineMs, sentAtMs + ttlSeconds * 1000);
    this.arm();
  }

  private arm(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onTimer(), Math.min(this.remainingMs, timerMsMax));
    this.timer.unref();
  }

  /** Timers may be early by a fraction of a millisecond; the clock decides. */
  private onTimer(): void {
    if (this.remainingMs > 0) return this.arm();
    this.lose(this.renewal === undefined ? "expired" : "unreachable");
  }

  private nowMs(): number {
    return this.parts.calls.wiring.settings.clock.now();
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
