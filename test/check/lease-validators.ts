/**
 * What leases promise (spec/raft-storage.md 6.4 d): none ends early, none lives on for ever, a renewal of a dead one says so.
 * Times are milliseconds of the observer's clock.
 */

export interface LeaseFinding {
  readonly problem: "early" | "late" | "undead" | "ttl";
  readonly detail: string;
}

export interface LeaseTolerance {
  /** How much faster than the observer's a member's clock may go: 1.05 for 5 %. */
  readonly rateMax: number;
  /** What a healthy cluster may take to revoke an expired lease. */
  readonly lateMs: number;
}

interface LeaseRecord {
  readonly ttlMs: number;
  /** The lease can not end before this time plus its TTL: when the last renewal that succeeded was asked for. */
  renewedMs: number;
  endedMs: number | undefined;
}

/** Follows all leases of a run. */
export class LeaseValidator {
  readonly findings: LeaseFinding[] = [];
  private readonly tolerance: LeaseTolerance;
  private readonly leases = new Map<bigint, LeaseRecord>();

  constructor(tolerance: LeaseTolerance) {
    this.tolerance = tolerance;
  }

  /** The grant was applied somewhere. */
  granted(id: bigint, ttlSeconds: number, nowMs: number): void {
    this.leases.set(id, { ttlMs: ttlSeconds * 1000, renewedMs: nowMs, endedMs: undefined });
  }

  /** A renewal that was asked for at `askedMs` was answered. */
  renewed(id: bigint, ttlSeconds: number, askedMs: number): void {
    const lease = this.leases.get(id);
    if (ttlSeconds === 0 || lease === undefined) return;
    if (ttlSeconds * 1000 !== lease.ttlMs)
      this.find("ttl", `lease ${id} was renewed for ${ttlSeconds} s, not ${lease.ttlMs} ms`);
    if (lease.endedMs !== undefined && lease.endedMs < askedMs) {
      this.find("undead", `lease ${id} ended at ${lease.endedMs}, a renewal asked for at ${askedMs} succeeded`);
    }
    lease.renewedMs = Math.max(lease.renewedMs, askedMs);
  }

  /** A revocation was applied for the first time, by its own time or by a client. */
  revoked(id: bigint, why: "expired" | "asked", nowMs: number): void {
    const lease = this.leases.get(id);
    if (lease === undefined || lease.endedMs !== undefined) return;
    lease.endedMs = nowMs;
    if (why === "asked") return;
    const earliestMs = lease.renewedMs + lease.ttlMs / this.tolerance.rateMax;
    if (nowMs < earliestMs) {
      const lateBy = (earliestMs - nowMs).toFixed(0);
      this.find("early", `lease ${id} of ${lease.ttlMs} ms ended ${lateBy} ms early, at ${nowMs.toFixed(0)}`);
    }
  }

  /** The cluster has been healthy since `sinceMs`: what should have ended by now must have. */
  settled(sinceMs: number, nowMs: number): void {
    for (const [id, lease] of this.leases) {
      if (lease.endedMs !== undefined) continue;
      const latestMs =
        Math.max(lease.renewedMs, sinceMs) + lease.ttlMs * this.tolerance.rateMax + this.tolerance.lateMs;
      if (nowMs > latestMs)
        this.find("late", `lease ${id} should have ended at ${latestMs.toFixed(0)}, it is ${nowMs.toFixed(0)}`);
    }
  }

  /** Leases that have not ended. */
  get alive(): readonly bigint[] {
    return [...this.leases].filter(([, { endedMs }]) => endedMs === undefined).map(([id]) => id);
  }

  private find(problem: LeaseFinding["problem"], detail: string): void {
    this.findings.push({ problem, detail });
  }
}
