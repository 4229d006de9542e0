/**
 * Lease time as the leader keeps it: a heap of deadlines in active milliseconds, a clock that stands still while the
 * process is paused. Followers never expire anything. Spec: server.md 5.7, raft-storage.md 3.6.
 */
import TinyQueue from "tinyqueue";
import type { Lease, LeaseChange } from "../state/types.js";

/** Leases revoked in one scan, and revocations under way at once (spec/server.md 5.7). */
const expiredPerScanMax = 500;
const revocationsInFlightMax = 16;

interface Deadline {
  readonly id: bigint;
  readonly atMs: number;
}

interface Running {
  readonly ttlSeconds: number;
  deadlineMs: number;
  /** Renewals that wait until the expired lease is gone. */
  readonly waiters: ((ttlSeconds: number) => void)[];
}

export interface LeaseExpiryOptions {
  /** Proposes a revocation that holds only in the term of this leader. Settles when it is applied or has failed. */
  readonly revoke: (id: bigint) => Promise<void>;
  /** The clock that deadlines are counted in. */
  readonly nowMs: () => number;
  /** Time added after a leader change, milliseconds. */
  readonly extendMs: number;
}

export class LeaseExpiry {
  private readonly options: LeaseExpiryOptions;
  private readonly running = new Map<bigint, Running>();
  private heap = new TinyQueue<Deadline>([], (a, b) => a.atMs - b.atMs);
  /** Expired and not yet gone: these cannot be renewed any more. */
  private readonly expired = new Set<bigint>();
  private readonly revoking = new Set<bigint>();
  private leading = false;

  constructor(options: LeaseExpiryOptions) {
    this.options = options;
  }

  get primary(): boolean {
    return this.leading;
  }

  /** This member leads and has applied everything of earlier terms: every lease starts anew with its full TTL. */
  promote(leases: readonly Lease[]): void {
    this.demote();
    this.leading = true;
    for (const lease of leases) this.start(lease.id, lease.ttlSeconds, this.options.extendMs);
  }

  /** This member leads no longer: deadlines mean nothing here, and blocked renewals end unanswered (TTL 0). */
  demote(): void {
    this.leading = false;
    for (const lease of this.running.values()) for (const answer of lease.waiters) answer(0);
    this.running.clear();
    this.expired.clear();
    this.heap = new TinyQueue<Deadline>([], (a, b) => a.atMs - b.atMs);
  }

  /** Follows what was applied. */
  follow(changes: readonly LeaseChange[]): void {
    if (!this.leading) return;
    for (const change of changes) {
      if (change.kind === "granted") this.start(change.id, change.ttlSeconds, 0);
      else this.forget(change.id);
    }
  }

  /** Restarts the time of a lease: its full TTL in seconds, 0 once an expired one is gone, undefined if unknown. */
  renew(id: bigint): Promise<number> | number | undefined {
    const lease = this.running.get(id);
    if (lease === undefined) return undefined;
    if (this.isExpired(lease)) return new Promise((resolve) => lease.waiters.push(resolve));
    lease.deadlineMs = this.options.nowMs() + lease.ttlSeconds * 1000;
    this.heap.push({ id, atMs: lease.deadlineMs });
    return lease.ttlSeconds;
  }

  remainingSeconds(id: bigint): number | undefined {
    const lease = this.running.get(id);
    if (lease === undefined) return undefined;
    return Math.max(0, Math.floor((lease.deadlineMs - this.options.nowMs()) / 1000));
  }

  ordered(): readonly bigint[] {
    return [...this.running.entries()].toSorted(([, a], [, b]) => a.deadlineMs - b.deadlineMs).map(([id]) => id);
  }

  /** Finds what has expired, within the limit, and revokes it; called twice a second. */
  scan(): void {
    if (!this.leading) return;
    const nowMs = this.options.nowMs();
    for (let count = 0; count < expiredPerScanMax; count += 1) {
      const next = this.heap.peek();
      if (next === undefined || next.atMs > nowMs) break;
      this.heap.pop();
      const lease = this.running.get(next.id);
      if (lease !== undefined && lease.deadlineMs <= nowMs) this.expired.add(next.id);
    }
    this.revokeExpired();
  }

  private revokeExpired(): void {
    for (const id of this.expired) {
      if (this.revoking.size >= revocationsInFlightMax) return;
      if (!this.revoking.has(id)) this.revoke(id);
    }
  }

  private revoke(id: bigint): void {
    this.revoking.add(id);
    const settled = (): void => {
      this.revoking.delete(id);
    };
    // A lease that is still here after a failure stays in the expired set: the next scan takes it up again.
    this.options.revoke(id).then(() => {
      settled();
      this.revokeExpired();
    }, settled);
  }

  private isExpired(lease: Running): boolean {
    return lease.deadlineMs <= this.options.nowMs();
  }

  private start(id: bigint, ttlSeconds: number, extendMs: number): void {
    const deadlineMs = this.options.nowMs() + ttlSeconds * 1000 + extendMs;
    this.running.set(id, { ttlSeconds, deadlineMs, waiters: [] });
    this.heap.push({ id, atMs: deadlineMs });
  }

  private forget(id: bigint): void {
    const lease = this.running.get(id);
    this.running.delete(id);
    this.expired.delete(id);
    for (const answer of lease?.waiters ?? []) answer(0);
  }
}
