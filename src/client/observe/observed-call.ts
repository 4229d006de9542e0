/** One call that somebody listens to: what is published of it, from its start over its attempts to its end. */
import type { MethodFacts } from "../connection/transport.js";
import { type EtcdError, isEtcdError, type Outcome } from "../errors.js";
import type { CallOptions } from "../options.js";
import { type CallFacts, callsObserved, publishCallAttempt, publishCallEnd, publishCallStart } from "./channels.js";

export class ObservedCall<Options extends CallOptions = CallOptions> {
  /** The caller's options, with what subscribers want to be sent along. */
  readonly options: Options;
  private readonly call: CallFacts;
  private readonly startedMs = performance.now();
  private attemptMs = this.startedMs;
  private attempts = 0;
  private endpoint: string | undefined;

  constructor({ path, kind }: MethodFacts, stream: boolean, options: Options) {
    this.call = { path, kind, stream, metadata: { ...options.metadata } };
    publishCallStart({ call: this.call });
    this.options = { ...options, metadata: this.call.metadata };
  }

  attemptStarted(): void {
    this.attemptMs = performance.now();
  }

  attemptEnded(endpoint: string, error?: unknown): void {
    const durationMs = performance.now() - this.attemptMs;
    this.endpoint = endpoint;
    publishCallAttempt({ call: this.call, attempt: ++this.attempts, endpoint, durationMs, error });
  }

  /** The call's own promise, told of when it settles. */
  async ending<T>(call: Promise<T>): Promise<T> {
    try {
      const answer = await call;
      this.ended(undefined);
      return answer;
    } catch (error) {
      this.ended(error);
      throw error;
    }
  }

  ended(failure: unknown): void {
    const { call, attempts, endpoint } = this;
    const error = failure === undefined ? undefined : errorOf(failure);
    const durationMs = performance.now() - this.startedMs;
    publishCallEnd({ call, attempts, endpoint, durationMs, outcome: outcomeOf(error), error });
  }
}

/** Undefined, and nothing done, while nobody listens. */
export function observedCall<Options extends CallOptions>(
  method: MethodFacts,
  options: Options,
  shape: "one answer" | "stream",
): ObservedCall<Options> | undefined {
  return callsObserved() ? new ObservedCall(method, shape === "stream", options) : undefined;
}

function outcomeOf(error: EtcdError | Error | undefined): Outcome {
  if (error === undefined) return "applied";
  return isEtcdError(error) ? error.outcome : "not-applied";
}

function errorOf(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(String(failure));
}
