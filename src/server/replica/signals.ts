/** How waiting calls end when their caller goes away or their time is up. */
import { status, WireError } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";

/** The error for an aborted call: the reason that the abort carries if it is a wire error, else "request canceled". */
export function abortError(signal: AbortSignal): WireError {
  return signal.reason instanceof WireError ? signal.reason : new WireError(status.Canceled, { cause: signal.reason });
}

/** Settles as `work` does, or rejects as soon as the signal aborts; what `work` comes to then is nobody's business. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortError(signal));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    const settled = (): void => signal.removeEventListener("abort", abort);
    work.then(resolve, reject).finally(settled);
  });
}

/** Resolves after a time, or rejects as soon as the signal aborts. */
export function pause(clock: Pick<Clock, "after">, delayMs: number, signal?: AbortSignal): Promise<void> {
  return orAborted(new Promise((resolve) => clock.after(delayMs, resolve)), signal);
}

/** Aborts with the given status after a time. The opener cancels it. */
export function deadline(
  clock: Pick<Clock, "after">,
  delayMs: number,
): { readonly signal: AbortSignal; readonly cancel: () => void } {
  const controller = new AbortController();
  const cancel = clock.after(delayMs, () => controller.abort(new WireError(status.Timeout)));
  return { signal: controller.signal, cancel };
}
