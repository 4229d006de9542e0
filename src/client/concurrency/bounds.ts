/**
 * What ends a wait: the caller's signal, his time, the loss of what he waits with. Every call made on the way is bound to
 * the one signal of it, and fails with its reason.
 */
import { EtcdError, isEtcdError } from "../index.js";

/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;
/** Between attempts at what failed for the moment: a random part of it. */
const pauseMsMax = 250;

const statusCancelled = 1;
const statusDeadline = 4;

export interface Patience {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export class Bounds {
  private readonly what: string;
  private readonly deadlineMs: number;
  private readonly patience: Patience;
  private readonly controller = new AbortController();
  private readonly undo: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  /** `what` begins the message of the error. The caller disposes. */
  constructor(what: string, patience: Patience) {
    this.what = what;
    this.patience = patience;
    this.deadlineMs = performance.now() + (patience.timeoutMs ?? Number.POSITIVE_INFINITY);
    const { signal } = patience;
    if (signal !== undefined) this.until(signal, () => this.givenUp(signal.reason));
    if (patience.timeoutMs !== undefined) this.arm();
  }

  /** Aborts with an EtcdError. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Ends the wait with this signal too; with its own reason unless another one is made. */
  until(signal: AbortSignal, reason: () => unknown = () => signal.reason): void {
    this.undo.push(whenAborted(signal, () => this.controller.abort(reason())));
  }

  /** One call. It takes the client's default time unless the wait has its own. */
  async call<T>(make: (options: { signal: AbortSignal; timeoutMs?: number }) => Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    const own = this.patience.timeoutMs === undefined ? {} : { timeoutMs: this.remainingMs() };
    try {
      return await make({ signal: this.signal, ...own });
    } catch (error) {
      this.signal.throwIfAborted();
      throw error;
    }
  }

  /** A call that does no harm when made twice, again and again until it is answered, refused, or the wait is over. */
  async persist<T>(make: (options: { signal: AbortSignal; timeoutMs: number }) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.call((options) => make({ timeoutMs: Number.POSITIVE_INFINITY, ...options }));
      } catch (error) {
        if (this.signal.aborted || !isEtcdError(error) || !error.retryable) throw error;
        await this.sleep(Math.random() * pauseMsMax);
      }
    }
  }

  /** Returns early when the wait is over. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      let undo: (() => void) | undefined;
      const done = (): void => {
        clearTimeout(timer);
        undo?.();
        resolve();
      };
      const timer = setTimeout(done, ms);
      undo = whenAborted(this.signal, done);
    });
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const each of this.undo.splice(0)) each();
  }

  private remainingMs(): number {
    return Math.max(0, this.deadlineMs - performance.now());
  }

  private arm(): void {
    const leftMs = this.remainingMs();
    if (leftMs === 0) this.controller.abort(this.timedOut());
    else this.timer = setTimeout(() => this.arm(), Math.min(Math.ceil(leftMs), timerMsMax));
  }

  private givenUp(cause: unknown): EtcdError {
    const facts = { code: "Aborted", grpcStatus: statusCancelled, outcome: "not-applied", cause } as const;
    return new EtcdError(`${this.what}: given up`, facts);
  }

  private timedOut(): EtcdError {
    const facts = { code: "TimedOut", grpcStatus: statusDeadline, outcome: "not-applied", retryable: true } as const;
    return new EtcdError(`${this.what}: not within ${this.patience.timeoutMs} ms`, facts);
  }
}

const callbacks = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back once, at once if it has aborted. Returns what undoes it. However many listen, the signal itself gets one
 * listener: hundreds of locks may share a session.
 */
export function whenAborted(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => {};
  }
  const listening = callbacks.get(signal) ?? listen(signal);
  // A wrapper, so that the same function may listen twice.
  const entry = (): void => callback();
  listening.add(entry);
  return () => {
    listening.delete(entry);
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const listening = new Set<() => void>();
  callbacks.set(signal, listening);
  const notify = (): void => {
    callbacks.delete(signal);
    for (const callback of listening) callback();
    listening.clear();
  };
  signal.addEventListener("abort", notify, { once: true });
  return listening;
}
