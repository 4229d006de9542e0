/**
 * Calls that wait for their command to be applied: numbered, bounded by one deadline each, answered once.
 * A command that was surely not appended is kept and handed over again when a leader is known; nothing that may have been
 * appended ever is. There is no timer and no listener per call: the owner asks for the overdue ones at every tick.
 *
 * What a leader that died made of a command is known as soon as the first entry of a later term is applied. Only the leader
 * of the term in which the command was handed over could append it (others drop it by its term), and whatever of that term
 * is not in the log before the later leader's first entry is in no log that counts: the command is lost, and is sent again.
 */
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import type { Applied } from "../state/types.js";
import { abortError } from "./signals.js";
import type { Outcome } from "./types.js";

interface Waiting extends Submission {
  readonly sequence: number;
  readonly deadlineMs: number;
  /** The number under which the core has it, or had it last. */
  attempt: number;
  /** The term in which the core got it; undefined if it may have been applied without a word, in a snapshot. */
  term: number | undefined;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: WireError) => void;
}

export interface Submission {
  /** The encoded command, which names `sequence`. */
  readonly data: Uint8Array;
  readonly startedMs: number;
  readonly signal: AbortSignal | undefined;
  /** `here`: only this member may append it, as the leader it is now. Such a call is never handed over again. */
  readonly where: "anywhere" | "here";
}

/** What decides which timeout text a call gets (spec/server.md 11.4). Times are monotonic milliseconds. */
export interface TimeoutFacts {
  readonly nowMs: number;
  readonly electionTimeoutMs: number;
  /** When the last leader was elected, as this member saw it; undefined if there was none. */
  readonly leaderElectedMs: number | undefined;
  /** Whether a leader is known and could not be reached, or as the leader a quorum could not, since `startedMs`. */
  readonly connectionLost: (startedMs: number) => boolean;
}

export interface ProposalsOptions {
  readonly timeoutMs: number;
  /** Commands kept while there is no leader; more are refused. */
  readonly heldBytesMax: number;
  /** The core's term. */
  readonly term: () => number;
  /** Hands a command to the core under a number. */
  readonly give: (requestId: number, data: Uint8Array) => void;
}

export class Proposals {
  private readonly options: ProposalsOptions;
  /** In order of start, hence of deadline: all calls wait equally long. */
  private readonly waiting = new Map<number, Waiting>();
  /** Calls by the number of a later attempt; the first attempt has the number of the call. */
  private readonly retries = new Map<number, number>();
  /** Calls that the core does not have. */
  private readonly held = new Set<number>();
  private heldBytes = 0;
  private sequence = 0;
  failedCount = 0;

  constructor(options: ProposalsOptions) {
    this.options = options;
  }

  get pendingCount(): number {
    return this.waiting.size;
  }

  /** A number that names a call, an attempt or a read of this boot; none is given twice. */
  nextSequence(): number {
    this.sequence += 1;
    return this.sequence;
  }

  /** Hands the command to the core, or keeps it until there is a leader. */
  submit(sequence: number, submission: Submission, leaderKnown: boolean): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const deadlineMs = submission.startedMs + this.options.timeoutMs;
      const term = this.options.term();
      const call: Waiting = { ...submission, sequence, deadlineMs, attempt: sequence, term, resolve, reject };
      this.waiting.set(sequence, call);
      if (leaderKnown) this.options.give(sequence, call.data);
      else this.hold(call);
    });
  }

  /** Answers the call whose command was applied; false if there is none of this number. */
  settle(sequence: number, { result }: Applied): boolean {
    const call = this.take(sequence);
    if (call === undefined) return false;
    if (result.kind === "failed") call.reject(new WireError(result.status));
    else call.resolve({ revision: result.revision, response: result.response });
    return true;
  }

  /** The core surely did not append this attempt: the call waits for a leader. False if it is no attempt of a call. */
  notAppended(requestId: number): boolean {
    const call = this.callOf(requestId);
    if (call === undefined) return false;
    // An attempt before the last one: whatever it came to, the call has another one under way.
    if (call.attempt !== requestId) return true;
    if (call.where === "here") this.fail(call.sequence, status.RaftProposalDropped);
    else this.hold(call);
    return true;
  }

  /** The first entry of a term was applied: commands of earlier terms that were not applied before it are lost. */
  termBegan(term: number): void {
    for (const call of this.waiting.values()) {
      const lost = call.term !== undefined && call.term < term && !this.held.has(call.sequence);
      if (lost) this.notAppended(call.attempt);
    }
  }

  /** The state was replaced by a snapshot, which may hold any command that the core has got. */
  stateReplaced(): void {
    for (const call of this.waiting.values()) if (!this.held.has(call.sequence)) call.term = undefined;
  }

  /** The member refuses this attempt under pressure. */
  refused(requestId: number, wireStatus: WireStatus): boolean {
    const call = this.callOf(requestId);
    if (call?.attempt === requestId) this.fail(call.sequence, wireStatus);
    return call !== undefined;
  }

  /** A leader is known: every call that was kept is handed over, under a new number. */
  giveHeld(): void {
    const sequences = [...this.held];
    this.held.clear();
    this.heldBytes = 0;
    for (const sequence of sequences) {
      const call = this.waiting.get(sequence);
      if (call === undefined) continue;
      this.retries.delete(call.attempt);
      call.attempt = this.nextSequence();
      call.term = this.options.term();
      this.retries.set(call.attempt, sequence);
      this.options.give(call.attempt, call.data);
    }
  }

  fail(sequence: number, wireStatus: WireStatus): void {
    this.failWith(sequence, new WireError(wireStatus));
  }

  failAll(wireStatus: WireStatus): void {
    for (const sequence of this.waiting.keys()) this.fail(sequence, wireStatus);
  }

  /** Answers every call whose caller is gone or whose time is up. */
  expire(facts: TimeoutFacts): void {
    for (const call of this.waiting.values()) {
      if (call.signal?.aborted === true) this.failWith(call.sequence, abortError(call.signal));
      else if (call.deadlineMs <= facts.nowMs) this.fail(call.sequence, this.timeoutStatus(call, facts));
    }
  }

  private timeoutStatus(call: Waiting, facts: TimeoutFacts): WireStatus {
    const connectionLost = facts.connectionLost(call.startedMs);
    if (this.held.has(call.sequence) && !connectionLost) return status.ContextDeadlineExceeded;
    const { leaderElectedMs, electionTimeoutMs } = facts;
    if (leaderElectedMs !== undefined) {
      const duringElection =
        call.startedMs > leaderElectedMs - 2 * electionTimeoutMs && call.startedMs < leaderElectedMs;
      if (duringElection) return status.TimeoutDueToLeaderFail;
    }
    return connectionLost ? status.TimeoutDueToConnectionLost : status.Timeout;
  }

  private hold(call: Waiting): void {
    if (this.heldBytes + call.data.byteLength > this.options.heldBytesMax) {
      this.fail(call.sequence, status.TooManyRequests);
      return;
    }
    this.held.add(call.sequence);
    this.heldBytes += call.data.byteLength;
  }

  private callOf(requestId: number): Waiting | undefined {
    return this.waiting.get(this.retries.get(requestId) ?? requestId);
  }

  private failWith(sequence: number, error: WireError): void {
    const call = this.take(sequence);
    if (call === undefined) return;
    this.failedCount += 1;
    call.reject(error);
  }

  private take(sequence: number): Waiting | undefined {
    const call = this.waiting.get(sequence);
    if (call === undefined) return undefined;
    this.waiting.delete(sequence);
    this.retries.delete(call.attempt);
    if (this.held.delete(sequence)) this.heldBytes -= call.data.byteLength;
    return call;
  }
}
