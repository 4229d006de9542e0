/**
 * Calls that only the leader can answer, and that may be repeated: asked of it wherever it is, and asked again while there is
 * none or it cannot be reached, up to the request timeout (spec/server.md 5.4).
 */
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Code, status, WireError } from "../../../proto/status.js";
import type { RaftCore } from "../raft/core.js";
import type { MemberId } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Peers } from "./peers.js";
import { orAborted, pause } from "./signals.js";
import type { WaitOptions } from "./types.js";

const retryAfterMs = 50;

export interface LeaderCallsOptions {
  readonly memberId: MemberId;
  readonly core: Pick<RaftCore, "leader">;
  readonly peers: Pick<Peers, "ask">;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  /** Bound on one question, so that a leader that went away silently is not waited for. */
  readonly askTimeoutMs: number;
}

export interface LeaderCall<T> {
  /** Answers as the leader; rejects with NotPrimaryLessor or LeaderChanged if this member is not (or no longer) one. */
  readonly here: () => Promise<T>;
  readonly question: Question;
  /** The answer's meaning; undefined if it does not belong to the question. */
  readonly read: (answer: NonNullable<Answer["kind"]>) => T | undefined;
}

export class LeaderCalls {
  private readonly options: LeaderCallsOptions;
  private closed = false;

  constructor(options: LeaderCallsOptions) {
    this.options = options;
  }

  /** Rejects with NoLeader, NotPrimaryLessor, Timeout, Stopped, or what the leader says. */
  async ask<T>(call: LeaderCall<T>, { signal }: WaitOptions): Promise<T> {
    const { clock, core, requestTimeoutMs } = this.options;
    const deadlineMs = clock.monotonicMs() + requestTimeoutMs;
    for (;;) {
      if (this.closed) throw new WireError(status.Stopped);
      const { leader } = core;
      const failure = leader === undefined ? new WireError(status.NoLeader) : undefined;
      const outcome = failure ?? (await orAborted(this.attempt(call, leader), signal));
      if (!(outcome instanceof WireError)) return outcome.value;
      if (!mayRepeat(outcome)) throw outcome;
      if (clock.monotonicMs() >= deadlineMs) throw leader === undefined ? outcome : lastWord(outcome);
      await pause(clock, retryAfterMs, signal);
    }
  }

  close(): void {
    this.closed = true;
  }

  private async attempt<T>(
    call: LeaderCall<T>,
    leader: MemberId | undefined,
  ): Promise<WireError | { readonly value: T }> {
    const { memberId, peers, askTimeoutMs } = this.options;
    try {
      if (leader === undefined) return new WireError(status.NoLeader);
      if (leader === memberId) return { value: await call.here() };
      const { kind } = await peers.ask(leader, call.question, { timeoutMs: askTimeoutMs });
      if (kind?.$case === "failure") return failureOf(kind.value);
      const value = kind === undefined ? undefined : call.read(kind);
      return value === undefined ? new WireError(status.Timeout) : { value };
    } catch (error) {
      if (error instanceof WireError) return error;
      throw error;
    }
  }
}

/** The failure as the leader told it. */
export function failureOf({ code, message }: { readonly code: number; readonly message: string }): WireError {
  const known = Object.values(Code).find((candidate) => candidate === code);
  return new WireError({ code: known ?? Code.UNKNOWN, message });
}

/** Leadership moved, or the question may not have arrived: asking again does no harm. */
function mayRepeat({ code, message }: WireError): boolean {
  if (message === status.Stopped.message) return false;
  return (
    code === Code.UNAVAILABLE || message === status.NotPrimaryLessor.message || message === status.NotLeader.message
  );
}

function lastWord(error: WireError): WireError {
  return error.message === status.NotPrimaryLessor.message ? error : new WireError(status.Timeout);
}
