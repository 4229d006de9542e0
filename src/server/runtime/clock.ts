/** Time as an interface, so that the simulator can own it. */

export interface Clock {
  /** Wall clock, milliseconds since 1970. For ids and log lines only, never for deadlines. */
  wallMs(): number;
  /** Monotonic milliseconds; all deadlines are counted in these. */
  monotonicMs(): number;
  /** Calls back after `delayMs`; the returned function cancels. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
