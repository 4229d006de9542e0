/** How long a watch may be without a server, and the error for when that is too long. */
import { Code } from "../../../proto/status.js";
import { EtcdError } from "../errors.js";

/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;

export class Patience {
  /** The last failure, for the error to tell. */
  cause: unknown;
  private readonly over: (error: EtcdError) => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(over: (error: EtcdError) => void) {
    this.over = over;
  }

  /** The watch is without a server from now on, or still. Undefined or infinite: for as long as it takes. */
  begin(limitMs: number | undefined): void {
    if (limitMs === undefined || limitMs > timerMsMax || this.timer !== undefined) return;
    this.timer = setTimeout(() => this.over(exhausted(limitMs, this.cause)), limitMs);
  }

  /** A server serves the watch, or nobody waits for one any more. */
  end(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.cause = undefined;
  }
}

function exhausted(limitMs: number, cause: unknown): EtcdError {
  return new EtcdError(`no server could serve the watch for ${limitMs} ms`, {
    code: "TimedOut",
    grpcStatus: Code.DEADLINE_EXCEEDED,
    outcome: "not-applied",
    retryable: true,
    cause,
  });
}
