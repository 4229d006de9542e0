/**
 * The peer-down hint: the leader's host answers and refuses connections, so its process is gone and nobody needs to wait
 * for the election timeout. Safe because a pre-vote still asks a majority. Spec: raft-storage.md 1.5.
 */
import type { RaftCore } from "../raft/core.js";
import type { MemberId, RaftEvent } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Random } from "../runtime/random.js";

/** The first try comes within so many milliseconds. */
const firstWithinMs = 50;
/** Further tries: late enough for the answers of the one before, jittered so that two members do not collide again. */
const nextAfterMs = 50;
const nextJitterMs = 100;

export interface PeerDownOptions {
  readonly core: Pick<RaftCore, "leader" | "role" | "term">;
  readonly clock: Clock;
  readonly random: Random;
  readonly electionMs: number;
  readonly step: (event: RaftEvent) => void;
}

export class PeerDown {
  private readonly options: PeerDownOptions;
  /** Until when the hint stands: then the core's own timeout has taken over. */
  private untilMs = 0;
  private cancel: (() => void) | undefined;
  /** The term at the last try. */
  private lastTerm = 0;

  constructor(options: PeerDownOptions) {
    this.options = options;
  }

  refused(id: MemberId): void {
    const { core, clock, electionMs, step } = this.options;
    if (core.role !== "follower" || core.leader !== id) return;
    step({ kind: "leaderUnreachable" });
    this.untilMs = clock.monotonicMs() + 2 * electionMs;
    this.lastTerm = core.term;
    this.tryAfter(this.options.random.below(firstWithinMs + 1));
  }

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private tryAfter(delayMs: number): void {
    this.stop();
    this.cancel = this.options.clock.after(delayMs, () => this.campaign());
  }

  private campaign(): void {
    const { core, clock, random, step } = this.options;
    this.cancel = undefined;
    if (core.leader !== undefined || clock.monotonicMs() >= this.untilMs) return;
    // A new term is an election under way, this member's own or one that it gave its vote to. It gets the time until the
    // next try: to stand now would void its votes, or depose a leader that has just won and not been heard yet.
    const underWay = core.term !== this.lastTerm;
    this.lastTerm = core.term;
    if (!underWay) step({ kind: "campaign" });
    this.tryAfter(nextAfterMs + random.below(nextJitterMs + 1));
  }
}
