/** Everything one member's Raft core remembers between two events; the other files of this room work on it. */
import { RaftLog } from "./log.js";
import { Outbox } from "./outbox.js";
import { Prng } from "./prng.js";
import { Progress } from "./progress.js";
import { ReadQueue } from "./reads.js";
import type { MemberId, Membership, RaftConfig, RestoredState, Role } from "./types.js";

export class RaftState {
  readonly id: MemberId;
  readonly config: RaftConfig;
  readonly bootCount: number;
  readonly prng: Prng;
  readonly log: RaftLog;
  readonly outbox = new Outbox();
  readonly reads = new ReadQueue();
  readonly membership: Membership;

  term: number;
  vote: MemberId | undefined;
  role: Role = "follower";
  leader: MemberId | undefined;

  /** Ticks since we last heard from a leader or voted; at a leader, since the last check of the quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Drawn anew from [E, 2E) at every change of role or term. */
  electionTimeout: number;

  /** Candidates: what the voters answered. */
  readonly votes = new Map<MemberId, boolean>();
  /** Leader: every other voter and learner. */
  readonly peers = new Map<MemberId, Progress>();
  /** Leader: the newest forwarded proposal of each member, so that a duplicate is not appended twice. */
  readonly forwarded = new Map<MemberId, { readonly boot: number; readonly sequence: number }>();

  /** Follower: proposals forwarded in this boot. */
  forwardCount = 0;

  constructor(config: RaftConfig, restored: RestoredState) {
    this.id = config.id;
    this.config = config;
    this.bootCount = restored.bootCount ?? 0;
    this.prng = new Prng(restored.seed);
    this.log = new RaftLog(restored);
    this.membership = restored.membership;
    this.term = restored.hardState.term;
    this.vote = restored.hardState.vote;
    this.electionTimeout = this.drawTimeout();
  }

  /** Uniform in [E, 2E) ticks. Thesis 3.4. */
  drawTimeout(): number {
    return this.config.electionTicks + this.prng.below(this.config.electionTicks);
  }

  get isVoter(): boolean {
    return this.membership.voters.includes(this.id);
  }

  /** The only voter: its own disk is the quorum. */
  get isAlone(): boolean {
    return this.membership.voters.length === 1 && this.membership.voters[0] === this.id;
  }

  /** An entry of our own term is committed, so the commit index is at least every older leader's. Thesis 6.4. */
  get committedInTerm(): boolean {
    return this.log.term(this.log.commit) === this.term;
  }

  /** A new leader knows nothing of its peers yet. */
  resetPeers(): void {
    this.peers.clear();
    this.forwarded.clear();
    for (const id of [...this.membership.voters, ...this.membership.learners]) {
      if (id !== this.id) this.peers.set(id, new Progress(this.log.lastIndex + 1, this.config.limits));
    }
  }
}
