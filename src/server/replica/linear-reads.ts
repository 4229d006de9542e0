/**
 * Linearizable reads by read index, batched: one round serves every read that arrived before it started.
 * Spec: server.md 3.2 (barrier), raft-storage.md 1.6. A retry is always a new request with a new id.
 */
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import { abortError } from "./signals.js";

const retryAfterMs = 500;

interface Reader {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: WireError) => void;
}

/** Readers that share one barrier. `index` is known once the leader has confirmed it. */
interface Round {
  readers: readonly Reader[];
  readonly requestIds: number[];
  askedMs: number;
  index: number | undefined;
}

export interface LinearReadsOptions {
  readonly timeoutMs: number;
  /** A number for the Raft core that no other request of this member carries. */
  readonly nextRequestId: () => number;
  /** Hands a read request to the Raft core. */
  readonly ask: (requestId: number) => void;
}

export class LinearReads {
  private readonly options: LinearReadsOptions;
  private arriving: Reader[] = [];
  private rounds: Round[] = [];
  slowCount = 0;
  failedCount = 0;

  constructor(options: LinearReadsOptions) {
    this.options = options;
  }

  wait(nowMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.arriving.push({ deadlineMs: nowMs + this.options.timeoutMs, signal, resolve, reject });
    });
  }

  /** Starts one round for everything that has arrived; called once a turn. */
  startRound(nowMs: number): void {
    if (this.arriving.length === 0) return;
    const round: Round = { readers: this.arriving, requestIds: [], askedMs: nowMs, index: undefined };
    this.arriving = [];
    this.rounds.push(round);
    this.ask(round, nowMs);
  }

  /** The leader confirmed a read index. Any id still outstanding of a round will do. */
  confirmed(requestId: number, index: number): void {
    const round = this.rounds.find((candidate) => candidate.requestIds.includes(requestId));
    if (round !== undefined) round.index ??= index;
  }

  /** Lets go every round whose index is applied. */
  applied(appliedIndex: number): void {
    if (this.rounds.length === 0) return;
    const waiting: Round[] = [];
    for (const round of this.rounds) {
      if (round.index === undefined || round.index > appliedIndex) waiting.push(round);
      else for (const reader of round.readers) reader.resolve();
    }
    this.rounds = waiting;
  }

  /** The leader changed under a request; without a leader it simply waits for the retry. */
  leaderChanged(requestId: number): void {
    const round = this.rounds.find((candidate) => candidate.requestIds.includes(requestId));
    if (round !== undefined) this.fail(round, status.LeaderChanged);
  }

  /** A leader is known (again): what has no answer yet asks at once instead of waiting for the retry. */
  leaderKnown(nowMs: number): void {
    for (const round of this.rounds) if (round.index === undefined) this.ask(round, nowMs);
  }

  /** Once a tick: asks again where no answer came, and ends what is overdue or whose caller is gone. */
  tick(nowMs: number): void {
    for (const round of this.rounds) {
      round.readers = round.readers.filter((reader) => !isAborted(reader));
      const [first] = round.readers;
      if (first === undefined) this.rounds = this.rounds.filter((other) => other !== round);
      else if (first.deadlineMs <= nowMs) this.fail(round, status.Timeout);
      else if (round.index === undefined && nowMs - round.askedMs >= retryAfterMs) {
        this.slowCount += 1;
        this.ask(round, nowMs);
      }
    }
  }

  failAll(wireStatus: WireStatus): void {
    for (const reader of this.arriving) reader.reject(new WireError(wireStatus));
    this.arriving = [];
    for (const round of this.rounds) this.fail(round, wireStatus);
  }

  private ask(round: Round, nowMs: number): void {
    const requestId = this.options.nextRequestId();
    round.askedMs = nowMs;
    round.requestIds.push(requestId);
    this.options.ask(requestId);
  }

  private fail(round: Round, wireStatus: WireStatus): void {
    this.failedCount += 1;
    this.rounds = this.rounds.filter((other) => other !== round);
    for (const reader of round.readers) reader.reject(new WireError(wireStatus));
  }
}

/** Ends a reader whose caller is gone. */
function isAborted({ signal, reject }: Reader): boolean {
  if (signal?.aborted !== true) return false;
  reject(abortError(signal));
  return true;
}
