/** Everything one member's Raft core remembers between two events; the other files of this room work on it. */
import { isMember, membershipAfter } from "./configuration.js";
import { RaftLog } from "./log.js";
import { Outbox } from "./outbox.js";
import { Prng } from "./prng.js";
import { Progress } from "./progress.js";
import { ReadQueue } from "./reads.js";
import type { MemberId, Membership, RaftConfig, RestoredState, Role } from "./types.js";

/** Leadership on its way to another voter. */
interface Transfer {
  readonly to: MemberId;
  elapsedTicks: number;
  /** The target may be told to campaign, as soon as it has the whole log. */
  due: boolean;
}

/** Members were removed, and wait until a majority of the others knows of it; see departure.ts. */
export interface Departure {
  /** The newest removal's own index. */
  readonly index: number;
  elapsedTicks: number;
}

export class RaftState {
  readonly id: MemberId;
  readonly config: RaftConfig;
  readonly bootCount: number;
  readonly prng: Prng;
  readonly log: RaftLog;
  readonly outbox = new Outbox();
  readonly reads = new ReadQueue();
  /** The configuration as of the entry before the log's first; what goes to disk with a compaction. */
  base: Membership;
  #membership: Membership;
  #isVoter = false;
  #isAlone = false;

  term: number;
  vote: MemberId | undefined;
  role: Role = "follower";
  leader: MemberId | undefined;

  /** All ticks of this life. */
  tickCount = 0;
  /** Ticks since we last heard from a leader or voted; at a leader, since the last check of the quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Drawn anew from [E, 2E) at every change of role or term. */
  electionTimeout: number;

  /** Candidates: what the voters answered. */
  readonly votes = new Map<MemberId, boolean>();
  /** Leader: every other voter and learner. */
  readonly peers = new Map<MemberId, Progress>();
  /** Leader: peers that were removed, and shall hear of it in the end. */
  readonly parting = new Map<MemberId, Progress>();
  /** Leader: the newest forwarded proposal of each member, so that a duplicate is not appended twice. */
  readonly forwarded = new Map<MemberId, { readonly boot: number; readonly sequence: number }>();
  /** Leader: index of the empty entry of its term. */
  noopIndex = 0;
  transfer: Transfer | undefined;
  departure: Departure | undefined;

  /** Index of the newest change that took effect; 0 if the log holds none. */
  changeIndex = 0;
  /** The commit index as the disk holds it for sure. */
  durableCommit: number;
  /** Index of the change that removed this member. */
  removalIndex: number | undefined;
  /** This member was removed, and others know it for sure: nobody needs it any more. */
  removed = false;

  /** Follower: proposals forwarded in this boot. */
  forwardCount = 0;

  constructor(config: RaftConfig, restored: RestoredState) {
    this.id = config.id;
    this.config = config;
    this.bootCount = restored.bootCount ?? 0;
    this.prng = new Prng(restored.seed);
    this.log = new RaftLog(restored);
    this.base = restored.membership;
    this.#membership = this.base;
    this.membership = this.base;
    this.durableCommit = restored.hardState.commit;
    for (const entry of this.log.changes(0, this.log.commit)) {
      this.enterMembership(membershipAfter(this.membership, entry), entry.index);
    }
    this.term = restored.hardState.term;
    this.vote = restored.hardState.vote;
    this.electionTimeout = this.drawTimeout();
  }

  /** The committed configuration: the only one that counts, for elections as for commits. */
  get membership(): Membership {
    return this.#membership;
  }
  set membership(membership: Membership) {
    const { voters } = membership;
    this.#membership = membership;
    this.#isVoter = voters.includes(this.id);
    this.#isAlone = this.#isVoter && voters.length === 1;
  }

  get isVoter(): boolean {
    return this.#isVoter;
  }

  /** The only voter: its own disk is the quorum. */
  get isAlone(): boolean {
    return this.#isAlone;
  }

  /** The change at `index` is committed and takes effect. */
  enterMembership(membership: Membership, index: number): void {
    if (isMember(this.#membership, this.id) && !isMember(membership, this.id)) this.removalIndex = index;
    this.membership = membership;
    this.changeIndex = index;
  }

  /** Leadership is on its way to another voter: the next leader needs the whole log, so it does not grow any more. */
  get handingOver(): boolean {
    return this.transfer !== undefined || (this.role === "leader" && !this.#isVoter);
  }

  /** A change took effect that this member would not know of after a power loss. */
  get changeUnsaved(): boolean {
    return this.changeIndex > this.durableCommit;
  }

  /** The configuration as of a committed entry of the log. */
  membershipAt(index: number): Membership {
    return this.log.changes(0, index).reduce(membershipAfter, this.base);
  }

  /** Uniform in [E, 2E) ticks. Thesis 3.4. */
  drawTimeout(): number {
    return this.config.electionTicks + this.prng.below(this.config.electionTicks);
  }

  /** An entry of our own term is committed, so the commit index is at least every older leader's. Thesis 6.4. */
  get committedInTerm(): boolean {
    return this.log.term(this.log.commit) === this.term;
  }

  /** A new leader knows nothing of its peers yet. */
  resetPeers(): void {
    this.peers.clear();
    this.forwarded.clear();
    const { voters, learners } = this.membership;
    for (const members of [voters, learners]) {
      for (const id of members) if (id !== this.id) this.peers.set(id, this.newPeer());
    }
  }

  newPeer(): Progress {
    const peer = new Progress(this.log.lastIndex + 1, this.config.limits);
    peer.heardAtTick = this.tickCount;
    return peer;
  }
}
