/**
 * A lease while it is held. It is never claimed for longer than the server could keep it: its time counts from when the
 * last acknowledged renewal was sent, on a monotonic clock, and ends a moment early rather than late.
 */
import type { Calls } from "../calls/call.js";
import { isEtcdError, LeaseLostError, type LeaseLostReason } from "../errors.js";
import { sizeOf } from "../kv/convert.js";
import { publishLeaseLost } from "../observe/channels.js";
import type { CallOptions } from "../options.js";
import { onLeaseNotFound } from "./bound.js";
import type { RenewalHandle, Renewals } from "./keepalive.js";
import { keepAliveOnce } from "./keepalive-once.js";
import type { Lease, LeaseState } from "./types.js";

/** `setTimeout` counts no further; longer waits are made of several. */
const timerMsMax = 2 ** 31 - 1;

export interface Granted {
  readonly id: bigint;
  /** Seconds. */
  readonly ttl: number;
  /** When the request was sent that was answered with this TTL. */
  readonly sentAtMs: number;
}

/** What a lease needs of its client. */
export interface LeaseParts {
  readonly book: { revoke(id: bigint, options?: CallOptions): Promise<void> };
  readonly calls: Calls;
  readonly renewals: Renewals;
}

export class HeldLease implements Lease {
  readonly id: bigint;
  readonly lost: Promise<LeaseLostError>;
  ttl: number;
  private readonly parts: LeaseParts;
  private readonly controller = new AbortController();
  private settleLost: (error: LeaseLostError) => void = () => {};
  private renewal: RenewalHandle | undefined;
  private deadlineMs: number;
  /** Only a renewal sent since then can tell whether the lease lives; undefined while there is no doubt. */
  private suspectSinceMs: number | undefined;
  private timer: NodeJS.Timeout | undefined;
  private lastFailure: unknown;

  constructor(parts: LeaseParts, granted: Granted, keepAlive: boolean) {
    this.parts = parts;
    this.id = granted.id;
    this.ttl = granted.ttl;
    this.deadlineMs = granted.sentAtMs + granted.ttl * 1000;
    this.lost = new Promise((resolve) => {
      this.settleLost = resolve;
    });
    onLeaseNotFound(this, () => this.lose("revoked"));
    this.arm();
    if (keepAlive) this.renew(granted);
  }

  /** After this process was suspended others may look at it before the timer has its turn: the clock decides. */
  get signal(): AbortSignal {
    if (!this.over && this.leftMs() < 1) this.runOut();
    return this.controller.signal;
  }

  get state(): LeaseState {
    if (this.over || this.leftMs() < 1) return "lost";
    return this.suspectSinceMs === undefined ? "held" : "suspect";
  }

  get remainingMs(): number {
    return this.state === "held" ? this.leftMs() : 0;
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
    try {
      await this.parts.book.revoke(this.id, options);
    } catch (error) {
      if (isEtcdError(error, "LeaseNotFound")) this.lose("revoked");
      else if (isEtcdError(error) && error.outcome === "unknown") this.doubt();
      throw error;
    }
    this.lose("revoked");
  }

  /** Revokes; a lease that is already gone needs nothing, and one that cannot be revoked is not renewed any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.signal.aborted) return;
    this.release();
    try {
      await this.revoke({ retry: "idempotent" });
    } catch (error) {
      if (!isEtcdError(error, "LeaseNotFound")) throw error;
    }
  }

  /** Final, and once: a lease that was lost is never claimed again. */
  lose(reason: LeaseLostReason): void {
    if (this.over) return;
    clearTimeout(this.timer);
    this.release();
    const error = new LeaseLostError(this.id, reason, this.lastFailure);
    publishLeaseLost({ leaseId: this.id, reason });
    this.controller.abort(error);
    this.settleLost(error);
  }

  private get over(): boolean {
    return this.controller.signal.aborted;
  }

  private renew(granted: Granted): void {
    const { renewals } = this.parts;
    const times = { ttlMs: granted.ttl * 1000, sentAtMs: granted.sentAtMs };
    this.renewal = renewals.addGranted(granted.id, times, {
      onAnswer: (response, sentAtMs) => this.renewed(sizeOf(response.TTL), sentAtMs),
      onFailure: (error) => {
        this.lastFailure = error;
      },
      onLate: () => {
        this.suspectSinceMs = this.nowMs();
      },
    });
  }

  /** A renewal that is sent from now on tells, if there is to be one. */
  private doubt(): void {
    this.suspectSinceMs = this.nowMs();
    this.renewal?.now();
  }

  /** An answer without a TTL says that the lease is gone: before its time, because someone revoked it. */
  private renewed(ttlSeconds: number, sentAtMs: number): void {
    if (this.over) return;
    if (this.leftMs() < 1) return this.runOut();
    if (ttlSeconds <= 0) return this.lose("revoked");
    this.ttl = ttlSeconds;
    if (this.suspectSinceMs !== undefined && sentAtMs >= this.suspectSinceMs) this.suspectSinceMs = undefined;
    this.lastFailure = undefined;
    this.deadlineMs = Math.max(this.deadlineMs, sentAtMs + ttlSeconds * 1000);
    this.arm();
  }

  /** Timers count whole milliseconds: the last one is given away rather than overdrawn. */
  private arm(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onTimer(), Math.min(Math.floor(this.leftMs()), timerMsMax));
    this.timer.unref();
  }

  /** Timers may also be early; the clock decides. */
  private onTimer(): void {
    if (this.leftMs() >= 1) return this.arm();
    this.runOut();
  }

  private runOut(): void {
    this.lose(this.renewal === undefined ? "expired" : "unreachable");
  }

  private leftMs(): number {
    return Math.max(0, this.deadlineMs - this.nowMs());
  }

  private nowMs(): number {
    return this.parts.calls.wiring.settings.clock.now();
  }
}
