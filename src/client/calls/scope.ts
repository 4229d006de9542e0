/** The bounds of one call: its deadline on a monotonic clock and the signals that may end it. */

import type { MonotonicClock } from "../options.js";
import { type LinkedSignal, linkSignals, onAbort, sleep } from "./abort.js";

/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;

/** Time for a call. One that is endless survives any number of failures that another attempt may mend. */
export interface Patience {
  readonly timeoutMs: number;
  readonly endless: boolean;
  /** When it began to count, on the client's clock; now if absent. */
  readonly startedMs?: number;
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
    this.startedMs = patience.startedMs ?? clock.now();
    this.link = linkSignals(signals.closing, signals.caller);
    this.signal = this.link.signal;
  }

  /** Milliseconds left; Infinity without a deadline, never negative. */
  remainingMs(): number {
    return Math.max(0, this.timeoutMs - (this.clock.now() - this.startedMs));
  }

  /** Waits for the promise, but no longer than the call may take; then undefined. Rejects as the promise does. */
  within<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      let undo: (() => void) | undefined;
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        undo?.();
        act();
      };
      const give = (): void => settle(() => resolve(undefined));
      // Timers may be early by a fraction of a millisecond, and count no further than three weeks; the clock decides.
      const arm = (): void => {
        if (this.remainingMs() === 0) give();
        else timer = setTimeout(arm, Math.min(this.remainingMs(), timerMsMax));
      };
      arm();
      undo = onAbort(this.signal, give);
      promise.then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }

  async sleep(ms: number): Promise<void> {
    await sleep(Math.min(ms, this.remainingMs()), this.signal);
  }

  dispose(): void {
    this.link.dispose();
  }
}
