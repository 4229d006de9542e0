/**
 * Calls that wait for their command to be applied: numbered, bounded by one deadline each, answered once.
 * There is no timer per call: the owner asks for the overdue ones at every tick.
 */
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import type { Applied } from "../state/types.js";
import type { Outcome } from "./types.js";

interface Waiting {
  readonly sequence: number;
  readonly startedMs: number;
  readonly deadlineMs: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: WireError) => void;
}

/** What decides which timeout text a call gets (spec/server.md 11.4). Times are monotonic milliseconds. */
export interface TimeoutFacts {
  readonly nowMs: number;
  readonly electionTimeoutMs: number;
  /** When the present leader was elected, as this member saw it; undefined if there is none. */
  readonly leaderSinceMs: number | undefined;
}

export class Proposals {
  /** In order of start, hence of deadline: all calls wait equally long. */
  private readonly waiting = new Map<number, Waiting>();
  private sequence = 0;
  failedCount = 0;
  private readonly timeoutMs: number;

  constructor(options: { readonly timeoutMs: number }) {
    this.timeoutMs = options.timeoutMs;
  }

  get pendingCount(): number {
    return this.waiting.size;
  }

  /** Number of the next call; unique since this start of the member. */
  nextSequence(): number {
    this.sequence += 1;
    return this.sequence;
  }

  wait(sequence: number, nowMs: number): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const deadlineMs = nowMs + this.timeoutMs;
      this.waiting.set(sequence, { sequence, startedMs: nowMs, deadlineMs, resolve, reject });
    });
  }

  isWaiting(sequence: number): boolean {
    return this.waiting.has(sequence);
  }

  settle(sequence: number, applied: Applied): void {
    const call = this.take(sequence);
    if (call === undefined) return;
    const { result } = applied;
    if (result.kind === "failed") call.reject(new WireError(result.status));
    else call.resolve({ revision: result.revision, response: result.response });
  }

  fail(sequence: number, wireStatus: WireStatus): void {
    const call = this.take(sequence);
    if (call === undefined) return;
    this.failedCount += 1;
    call.reject(new WireError(wireStatus));
  }

  failAll(wireStatus: WireStatus): void {
    for (const sequence of this.waiting.keys()) this.fail(sequence, wireStatus);
  }

  /** Answers every call whose time is up. `unsent` are calls that never reached the Raft core. */
  expire(facts: TimeoutFacts, unsent: ReadonlySet<number>): void {
    for (const call of this.waiting.values()) {
      if (call.deadlineMs > facts.nowMs) return;
      this.fail(call.sequence, unsent.has(call.sequence) ? status.ContextDeadlineExceeded : timeoutStatus(call, facts));
    }
  }

  private take(sequence: number): Waiting | undefined {
    const call = this.waiting.get(sequence);
    this.waiting.delete(sequence);
    return call;
  }
}

function timeoutStatus(call: Waiting, facts: TimeoutFacts): WireStatus {
  const { leaderSinceMs, electionTimeoutMs } = facts;
  if (leaderSinceMs === undefined) return status.Timeout;
  const duringElection = call.startedMs > leaderSinceMs - 2 * electionTimeoutMs && call.startedMs < leaderSinceMs;
  return duringElection ? status.TimeoutDueToLeaderFail : status.Timeout;
}
