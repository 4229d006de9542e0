/** How long a watch may be without a server, and the error for when that is too long. */
import { Code } from "../../../proto/status.js";
import { EtcdError } from "../errors.js";

/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;

interface Failure {
  readonly cause: unknown;
  readonly endpoint: string | undefined;
}

export class Patience {
  /** The last failure and where it was, for the error to tell. */
  private failure: Failure | undefined;
  private readonly over: (error: EtcdError) => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(over: (error: EtcdError) => void) {
    this.over = over;
  }

  failed(cause: unknown, endpoint: string | undefined): void {
    this.failure = { cause, endpoint };
  }

  /** The watch is without a server from now on, or still. Undefined or infinite: for as long as it takes. */
  begin(limitMs: number | undefined): void {
    if (limitMs === undefined || limitMs > timerMsMax || this.timer !== undefined) return;
    this.timer = setTimeout(() => this.over(exhausted(limitMs, this.failure)), limitMs);
  }

  /** A server serves the watch, or nobody waits for one any more. */
  end(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.failure = undefined;
  }
}

function exhausted(limitMs: number, failure: Failure | undefined): EtcdError {
  const where = failure?.endpoint === undefined ? "" : ` (${failure.endpoint}: ${textOf(failure.cause)})`;
  return new EtcdError(`no server could serve the watch for ${limitMs} ms${where}`, {
    code: "TimedOut",
    grpcStatus: Code.DEADLINE_EXCEEDED,
    outcome: "not-applied",
    retryable: true,
    ...failure,
  });
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
