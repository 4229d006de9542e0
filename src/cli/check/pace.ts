/** A fixed rate for many writers: each asks for its turn. */
import { setTimeout as delay } from "node:timers/promises";

/** The time that a pace keeps; tests bring their own. */
export interface Clock {
  /** Milliseconds that only grow. */
  now(): number;
  sleep(ms: number): Promise<unknown>;
}

export const realClock: Clock = { now: () => performance.now(), sleep: (ms) => delay(ms) };

export interface PaceOptions {
  readonly perSecond: number;
  readonly durationMs: number;
  /** Turns that may be made up for when no writer was free; what is missed beyond them is lost. */
  readonly backlogMax: number;
  readonly clock: Clock;
  /** Ends the turns, with the delay of one turn. */
  readonly signal: AbortSignal;
}

export class Pace {
  private readonly options: PaceOptions;
  private readonly intervalMs: number;
  private readonly endMs: number;
  private nextMs: number;

  constructor(options: PaceOptions) {
    this.options = options;
    this.intervalMs = 1_000 / options.perSecond;
    this.nextMs = options.clock.now();
    this.endMs = this.nextMs + options.durationMs;
  }

  /** Resolves when it is the caller's turn; false when there are no more turns. */
  async turn(): Promise<boolean> {
    const { backlogMax, clock, signal } = this.options;
    const nowMs = clock.now();
    const atMs = Math.max(this.nextMs, nowMs - backlogMax * this.intervalMs);
    this.nextMs = atMs + this.intervalMs;
    if (Math.max(atMs, nowMs) >= this.endMs || signal.aborted) return false;
    if (atMs > nowMs) await clock.sleep(atMs - nowMs);
    return !signal.aborted;
  }
}
