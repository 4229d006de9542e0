/** The bounds of one call: its deadline on a monotonic clock and the signals that may end it. */
import type { MonotonicClock } from "./options.js";

export interface LinkedSignal {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** One signal that follows several; `dispose` takes the listeners off again. */
export function linkSignals(first: AbortSignal, second: AbortSignal | undefined): LinkedSignal {
  if (second === undefined) return { signal: first, dispose: () => {} };
  const linked = new AbortController();
  const follow = (event: Event): void => linked.abort((event.target as AbortSignal).reason);
  for (const signal of [first, second]) {
    if (signal.aborted) linked.abort(signal.reason);
    signal.addEventListener("abort", follow);
  }
  const dispose = (): void => {
    for (const signal of [first, second]) signal.removeEventListener("abort", follow);
  };
  return { signal: linked.signal, dispose };
}

/** Resolves after `ms` or when the signal aborts, whichever is first. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

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
