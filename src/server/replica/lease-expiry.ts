/**
 * Lease time as the leader keeps it: a heap of deadlines in active milliseconds, a clock that stands still while the
 * process is paused. Followers never expire anything. Spec: server.md 5.7, raft-storage.md 3.6.
 */
import TinyQueue from "tinyqueue";
import { status, WireError } from "../../../proto/status.js";
import type { Lease, LeaseChange } from "../state/types.js";

/** Leases revoked in one scan, and revocations under way at once (spec/server.md 5.7). */
const expiredPerScanMax = 500;
const revocationsInFlightMax = 16;
/** From so many leases on a new leader spreads their ends, to at most so many a second (spec/server.md 5.7). */
const spreadLeasesMin = 1000;
const endsPerSecondMax = 750;

interface Deadline {
  readonly id: bigint;
  readonly atMs: number;
}

interface Waiter {
  readonly resolve: (ttlSeconds: number) => void;
  readonly reject: (error: WireError) => void;
}

interface Running {
  readonly ttlSeconds: number;
  deadlineMs: number;
  /** Checkpoints asked for, the stored one included, and how many of them a later entry took back. */
  checkpoints: number;
  takenBack: number;
  /** Renewals that came in time and wait until this member is sure that it leads. */
  arrived: number;
  /** Renewals that wait until the expired lease is gone. */
  readonly waiters: Waiter[];
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

  /**
   * This member leads and has applied everything of earlier terms: every lease starts anew, with what the last checkpoint
   * left of it or else with its full TTL, and one election timeout more.
   */
  promote(leases: readonly Lease[]): void {
    this.demote();
    this.leading = true;
    const startMs = this.options.nowMs() + this.options.extendMs;
    const deadlines = leases.map((lease) => ({ lease, atMs: startMs + leftSeconds(lease) * 1000 }));
    for (const { lease, atMs } of spread(deadlines)) {
      this.start(lease, atMs, lease.remainingSeconds > 0 ? 1 : 0);
    }
  }

  /** This member leads no longer: deadlines mean nothing here, and nobody here can say what a renewal comes to. */
  demote(): void {
    this.leading = false;
    for (const { waiters } of this.running.values()) {
      for (const { reject } of waiters) reject(new WireError(status.NotPrimaryLessor));
    }
    this.running.clear();
    this.expired.clear();
    this.heap = new TinyQueue<Deadline>([], (a, b) => a.atMs - b.atMs);
  }

  /** Follows what was applied. */
  follow(changes: readonly LeaseChange[]): void {
    if (!this.leading) return;
    for (const change of changes) {
      switch (change.kind) {
        case "granted":
          this.start(change, this.options.nowMs() + change.ttlSeconds * 1000, 0);
          break;
        case "revoked":
          this.forget(change.id);
          break;
        case "checkpointed":
        // Counted when it was asked for.
      }
    }
  }

  /**
   * A renewal has come, and it is not known yet whether this member leads, or what it has not applied: until the returned
   * function is called the lease does not expire, for a slow server is not its client's fault. No use for one that has expired.
   */
  arrive(id: bigint): () => void {
    const lease = this.running.get(id);
    if (lease === undefined || this.isExpired(lease)) return () => undefined;
    lease.arrived += 1;
    return () => {
      lease.arrived -= 1;
    };
  }

  /**
   * Restarts the time of a lease: its full TTL in seconds, 0 once an expired one is gone, undefined if unknown. Rejects
   * with NotPrimaryLessor if this member stops leading meanwhile.
   */
  renew(id: bigint): Promise<number> | number | undefined {
    const lease = this.running.get(id);
    if (lease === undefined) return undefined;
    if (this.isExpired(lease)) return new Promise((resolve, reject) => lease.waiters.push({ resolve, reject }));
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

  /** Leases that have more than so much time left, with that time rounded up; each is counted as checkpointed. */
  checkpoint(moreThanSeconds: number): readonly { readonly id: bigint; readonly remainingSeconds: number }[] {
    const nowMs = this.options.nowMs();
    const long = [...this.running.entries()].filter(([, lease]) => lease.deadlineMs - nowMs > moreThanSeconds * 1000);
    return long.map(([id, lease]) => {
      lease.checkpoints += 1;
      return { id, remainingSeconds: Math.ceil((lease.deadlineMs - nowMs) / 1000) };
    });
  }

  /** Checkpoints of the lease that hold; a renewal must take them back, or the next leader would shorten the lease. */
  standingCheckpoints(id: bigint): number | undefined {
    const lease = this.running.get(id);
    return lease === undefined || lease.takenBack >= lease.checkpoints ? undefined : lease.checkpoints;
  }

  /** An entry that takes back the first `checkpoints` of the lease is applied. */
  tookBack(id: bigint, checkpoints: number): void {
    const lease = this.running.get(id);
    if (lease !== undefined) lease.takenBack = Math.max(lease.takenBack, checkpoints);
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
      if (lease === undefined || lease.deadlineMs > nowMs) continue;
      if (this.isExpired(lease)) this.expired.add(next.id);
      // Looked at again, whatever the renewal comes to.
      else this.heap.push({ id: next.id, atMs: nowMs + 1 });
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
    return lease.arrived === 0 && lease.deadlineMs <= this.options.nowMs();
  }

  private start({ id, ttlSeconds }: Pick<Lease, "id" | "ttlSeconds">, deadlineMs: number, checkpoints: number): void {
    this.running.set(id, { ttlSeconds, deadlineMs, checkpoints, takenBack: 0, arrived: 0, waiters: [] });
    this.heap.push({ id, atMs: deadlineMs });
  }

  private forget(id: bigint): void {
    const lease = this.running.get(id);
    this.running.delete(id);
    this.expired.delete(id);
    for (const { resolve } of lease?.waiters ?? []) resolve(0);
  }
}

function leftSeconds({ ttlSeconds, remainingSeconds }: Lease): number {
  return remainingSeconds > 0 ? remainingSeconds : ttlSeconds;
}

/** Moves ends later, never earlier, so that no second holds more than can be revoked in it. */
function spread<T extends { readonly atMs: number }>(deadlines: readonly T[]): readonly T[] {
  if (deadlines.length < spreadLeasesMin) return deadlines;
  const ordered: T[] = [];
  for (const deadline of deadlines.toSorted((a, b) => a.atMs - b.atMs)) {
    const secondBefore = ordered[ordered.length - endsPerSecondMax];
    const atMs = Math.max(deadline.atMs, secondBefore === undefined ? 0 : secondBefore.atMs + 1000);
    ordered.push({ ...deadline, atMs });
  }
  return ordered;
}
