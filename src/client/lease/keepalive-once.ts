/** Renewals for a caller instead of for a held lease: a single one, and a run of them with every answer. */
import type { LeaseKeepAliveResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import { linkSignals, onAbort } from "../calls/abort.js";
import type { Calls } from "../calls/call.js";
import { EtcdError, isEtcdError, LeaseLostError } from "../errors.js";
import { sizeOf } from "../kv/convert.js";
import type { CallOptions, MonotonicClock } from "../options.js";
import { Inbox } from "./inbox.js";
import type { RenewalListener, Renewals } from "./keepalive.js";

export interface Renewed {
  readonly response: LeaseKeepAliveResponse;
  readonly sentAtMs: number;
}

/** Answers kept for a reader that is slow; a third of a TTL passes between two, and a newer one says more. */
const answersMax = 1_024;
/** `setTimeout` counts no further. */
const timerMsMax = 2 ** 31 - 1;

/** One renewal. A response with TTL 0 says that there is no such lease. */
export async function keepAliveOnce(
  calls: Calls,
  renewals: Renewals,
  id: bigint,
  options: CallOptions,
): Promise<Renewed> {
  for await (const renewed of renewing({ calls, renewals }, id, options)) return renewed;
  throw new EtcdError("the client is closed", { code: "ClientClosed", grpcStatus: Code.CANCELLED, outcome: "unknown" });
}

/** Every answer, until the lease is gone or could not be renewed in time. The first one has `timeoutMs`. */
export async function* keepAliveAnswers(
  calls: Calls,
  renewals: Renewals,
  id: bigint,
  options: CallOptions,
): AsyncGenerator<LeaseKeepAliveResponse> {
  for await (const { response } of renewing({ calls, renewals }, id, options)) {
    yield response;
    if (response.TTL <= 0n) return;
  }
}

async function* renewing(
  { calls, renewals }: { readonly calls: Calls; readonly renewals: Renewals },
  id: bigint,
  options: CallOptions,
): AsyncGenerator<Renewed> {
  const { settings, closing } = calls.wiring;
  const inbox = new Inbox<Renewed>(answersMax);
  const timeoutMs = options.timeoutMs ?? settings.timeoutMs;
  let lastFailure: unknown;
  const patience = new Deadline(settings.clock, () => inbox.fail(notAnswered(timeoutMs, lastFailure)));
  patience.set(settings.clock.now() + timeoutMs);
  const life = new Deadline(settings.clock, () => inbox.fail(new LeaseLostError(id, "unreachable", lastFailure)));
  const listener: RenewalListener = {
    onAnswer: (response, sentAtMs) => {
      patience.clear();
      life.set(sentAtMs + sizeOf(response.TTL) * 1000);
      inbox.push({ response, sentAtMs });
    },
    onFailure: (error) => {
      lastFailure = error;
      // No server will renew for this caller; a held lease keeps trying, because its keys still live.
      if (isEtcdError(error) && !error.retryable) inbox.fail(error);
    },
  };
  const link = linkSignals(closing, options.signal);
  const stop = (): void => (closing.aborted ? inbox.end() : inbox.fail(aborted(link.signal.reason)));
  const unstop = onAbort(link.signal, stop);
  const handle = renewals.add(id, listener);
  try {
    yield* inbox;
  } finally {
    handle.stop();
    patience.clear();
    life.clear();
    unstop();
    link.dispose();
  }
}

/** Calls back at a time on a clock, however far away it is. */
class Deadline {
  private readonly clock: MonotonicClock;
  private readonly callback: () => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(clock: MonotonicClock, callback: () => void) {
    this.clock = clock;
    this.callback = callback;
  }

  set(atMs: number): void {
    this.clear();
    const leftMs = atMs - this.clock.now();
    const onTimer = leftMs > timerMsMax ? (): void => this.set(atMs) : this.callback;
    this.timer = setTimeout(onTimer, Math.min(Math.max(0, leftMs), timerMsMax));
  }

  clear(): void {
    clearTimeout(this.timer);
  }
}

function notAnswered(timeoutMs: number, cause: unknown): EtcdError {
  return new EtcdError(`no renewal was answered within ${timeoutMs} ms`, {
    code: "TimedOut",
    grpcStatus: Code.DEADLINE_EXCEEDED,
    outcome: "unknown",
    retryable: true,
    cause,
  });
}

function aborted(reason: unknown): EtcdError {
  return new EtcdError("LeaseKeepAlive: given up", {
    code: "Aborted",
    grpcStatus: Code.CANCELLED,
    outcome: "unknown",
    cause: reason,
  });
}
