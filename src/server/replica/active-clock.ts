/**
 * Time in which this process was awake: it follows the monotonic clock from tick to tick, but one tick never counts for
 * more than two tick lengths. A paused process therefore finds its leases as it left them (spec/raft-storage.md 3.6).
 */
import type { Clock } from "../runtime/clock.js";

export class ActiveClock {
  private readonly clock: Pick<Clock, "monotonicMs">;
  private readonly stepMsMax: number;
  private activeMs = 0;
  private lastTickMs: number;

  constructor(clock: Pick<Clock, "monotonicMs">, options: { readonly tickMs: number }) {
    this.clock = clock;
    this.stepMsMax = 2 * options.tickMs;
    this.lastTickMs = clock.monotonicMs();
  }

  /** Call once a tick. */
  tick(): void {
    this.activeMs = this.nowMs();
    this.lastTickMs = this.clock.monotonicMs();
  }

  /** Active milliseconds since construction. */
  nowMs(): number {
    return this.activeMs + Math.min(this.clock.monotonicMs() - this.lastTickMs, this.stepMsMax);
  }
}
