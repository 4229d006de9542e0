/** The bounds of one call: its deadline on a monotonic clock and the signals that may end it. */
import { type LinkedSignal, linkSignals, sleep } from "./abort.js";
import type { MonotonicClock } from "./options.js";

/** Time for a call. One that is endless survives any number of failures that another attempt may mend. */
export interface Patience {
  readonly timeoutMs: number;
  readonly endless: boolean;
}

export class CallScope {
  /** Aborts with the caller's signal or when the client closes. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly endless: boolean;
  private readonly clock: MonotonicClock;
  private readonly startedMs: number;
  private readonly link: LinkedSignal;

  constructor(clock: MonotonicClock, patience: Patience, signals: { closing: AbortSignal; caller?: AbortSignal }) {
    this.clock = clock;
    this.timeoutMs = patience.timeoutMs;
    this.endless = patience.endless;
    this.startedMs = clock.now();
    this.link = linkSignals(signals.closing, signals.caller);
    this.signal = this.link.signal;
  }

  /** Milliseconds left; Infinity without a deadline, never negative. */
  remainingMs(): number {
    return Math.max(0, this.timeoutMs - (this.clock.now() - this.startedMs));
  }

  async sleep(ms: number): Promise<void> {
    await sleep(Math.min(ms, this.remainingMs()), this.signal);
  }

  dispose(): void {
    this.link.dispose();
  }
}
