/** How calls end when their caller goes away, and how they wait for something that may not come. */
import { WireError, type WireStatus } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";

/** The error for an aborted call: the reason that the abort carries if it is a wire error, else `otherwise`. */
export function abortError(signal: AbortSignal, otherwise: WireStatus): WireError {
  return signal.reason instanceof WireError ? signal.reason : new WireError(otherwise, { cause: signal.reason });
}

/** Gives other work of the event loop a turn. */
export function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.after(0, resolve));
}

/** Wakes one waiter. A wake-up that comes while nobody waits is kept for the next one. */
export class WakeUp {
  private waiter: (() => void) | undefined;
  private woken = false;

  wake(): void {
    this.woken = true;
    this.waiter?.();
  }

  /** Resolves at the next wake-up, or at once if there was one since the last wait. */
  async wait(): Promise<void> {
    if (!this.woken) await new Promise<void>((resolve) => (this.waiter = resolve));
    this.waiter = undefined;
    this.woken = false;
  }
}
