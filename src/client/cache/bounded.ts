/** Waiting no longer than the caller wants to. */
import { EtcdError } from "../index.js";

export interface Bounds {
  /** `Infinity` waits for ever. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const grpc = { cancelled: 1, deadlineExceeded: 4 } as const;
/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;

/** As the promise, or rejects with code "TimedOut" or "Aborted"; the promise then goes on by itself. */
export function bounded<T>(promise: Promise<T>, { timeoutMs, signal }: Bounds): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    };
    const fail = (error: EtcdError): void => {
      done();
      reject(error);
    };
    const giveUp = (): void => fail(aborted(signal?.reason));
    const timer = timeoutMs > timerMsMax ? undefined : setTimeout(() => fail(timedOut(timeoutMs)), timeoutMs);
    void promise.then(resolve, reject).finally(done);
    if (signal?.aborted === true) giveUp();
    else signal?.addEventListener("abort", giveUp, { once: true });
  });
}

function aborted(cause: unknown): EtcdError {
  const facts = { code: "Aborted", grpcStatus: grpc.cancelled, outcome: "not-applied", cause } as const;
  return new EtcdError("the cache was not waited for", facts);
}

function timedOut(timeoutMs: number): EtcdError {
  return new EtcdError(`the cache did not get there within ${timeoutMs} ms`, {
    code: "TimedOut",
    grpcStatus: grpc.deadlineExceeded,
    outcome: "not-applied",
    retryable: true,
  });
}
