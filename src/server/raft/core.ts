/**
 * The Raft core of one member: events in, one Effects object out per turn. It is pure: no I/O, no clock, no randomness
 * of its own, so a run repeats from its events. What a driver must do with the effects is in spec 2.3 and types.ts.
 */
import { InvariantError } from "../invariant.js";
import { compact } from "./commit.js";
import { flushDeparture } from "./departure.js";
import { campaign, forgetLeader } from "./election.js";
import { checkPeers, checkRestored, EventTrace, StepCheck } from "./invariants.js";
import type { IndexRange } from "./log.js";
import { onMessage } from "./messages.js";
import type { ProgressState } from "./progress.js";
import { isChangePending, onPropose, onProposeChange } from "./proposals.js";
import { flushReads, onRead } from "./reads.js";
import { advanceCommit, onPeerUnreachable, sendAppends } from "./replication.js";
import { askForSnapshots, onSnapshotReceived, onSnapshotSent } from "./snapshots.js";
import { RaftState } from "./state.js";
import { onTick } from "./tick.js";
import { flushTransfer, mostCaughtUp, onTransfer } from "./transfer.js";
import type {
  Append,
  Effects,
  Entry,
  HardState,
  MemberId,
  Membership,
  Message,
  RaftConfig,
  RaftEvent,
  RestoredState,
  Role,
  RoleChange,
  SnapshotMeta,
} from "./types.js";

/** What a leader knows of one peer; for status and metrics. */
export interface PeerStatus {
  readonly state: ProgressState;
  readonly match: number;
  readonly next: number;
  /** Heard from since the last check of the quorum. */
  readonly active: boolean;
  /** Ticks since it was last heard, or since it became a peer of this leader. */
  readonly lastActiveTicks: number;
}

const APPENDS_INFLIGHT_MAX = 1;

export class RaftCore {
  readonly #state: RaftState;
  readonly #trace = new EventTrace();
  readonly #check: StepCheck;
  readonly #appendsInflightMax: number;
  #appendCount = 0;
  /** Term and vote as last handed to the disk. */
  #savedTerm: number;
  #savedVote: MemberId | undefined;
  #savedCommit: number;
  /** What the writes under way say of the commit index, oldest first. */
  readonly #commitsInflight: number[] = [];
  /** Promises to ourselves (our own vote), by the append they wait for. */
  readonly #toSelf = new Map<number, readonly Message[]>();
  #reported: RoleChange;
  #reportedMembership: Membership;

  /** Throws InvariantError if what the disk holds does not fit together. */
  constructor(config: RaftConfig, restored: RestoredState) {
    checkRestored(config, restored);
    this.#state = new RaftState(config, restored);
    this.#check = new StepCheck(this.#state);
    this.#appendsInflightMax = config.limits.appendsInflightMax ?? APPENDS_INFLIGHT_MAX;
    this.#savedTerm = this.#state.term;
    this.#savedVote = this.#state.vote;
    this.#savedCommit = this.#state.durableCommit;
    this.#reported = { role: this.role, term: this.term, leader: this.leader };
    this.#reportedMembership = restored.membership;
  }

  /** Takes one event. Nothing happens in the world until {@link take}. Throws InvariantError, which ends the member. */
  step(event: RaftEvent): void {
    this.#trace.record(event);
    try {
      this.#dispatch(event);
      this.#check.check(this.#state);
    } catch (error) {
      throw this.#withTrace(error);
    }
  }

  /** What is to be done for all events since the last call; undefined if that is nothing. */
  take(): Effects | undefined {
    try {
      return this.#collect();
    } catch (error) {
      throw this.#withTrace(error);
    }
  }

  get role(): Role {
    return this.#state.role;
  }
  get term(): number {
    return this.#state.term;
  }
  get leader(): MemberId | undefined {
    return this.#state.leader;
  }
  /** The committed configuration. */
  get membership(): Membership {
    return this.#state.membership;
  }
  get commitIndex(): number {
    return this.#state.log.commit;
  }
  get appliedIndex(): number {
    return this.#state.log.applied;
  }
  /** The log is durable on this member up to here. */
  get stableIndex(): number {
    return this.#state.log.stable;
  }
  get firstIndex(): number {
    return this.#state.log.firstIndex;
  }
  get lastIndex(): number {
    return this.#state.log.lastIndex;
  }
  /** Bytes of the entries that are kept in memory. */
  get logBytes(): number {
    const { log } = this.#state;
    return log.bytesBetween(log.firstIndex - 1, log.lastIndex);
  }
  /** Term of the entry at `index`; undefined if it is compacted or not there yet. */
  termAt(index: number): number | undefined {
    return this.#state.log.term(index);
  }
  /** The entries of a range, which must be in the log: firstIndex <= from, to <= lastIndex. */
  entries(range: IndexRange): readonly Entry[] {
    return this.#state.log.slice(range, Number.POSITIVE_INFINITY);
  }
  /** Leader: how far a peer is; undefined for strangers and on other members. */
  peer(id: MemberId): PeerStatus | undefined {
    const peer = this.role === "leader" ? this.#state.peers.get(id) : undefined;
    if (peer === undefined) return undefined;
    const { state, match, next, active, heardAtTick } = peer;
    return { state, match, next, active, lastActiveTicks: this.#state.tickCount - heardAtTick };
  }
  /** A membership change would be refused now because an earlier one, or what a new leader found, is not applied. */
  get changePending(): boolean {
    return isChangePending(this.#state);
  }
  /**
   * This member was removed and nobody needs it any more: it may go. A removed leader first sees to it that the others
   * know, so its applied removal alone is no reason to stop.
   */
  get removed(): boolean {
    return this.#state.removed;
  }
  /** Leadership is being handed over: nothing is appended. */
  get transferring(): boolean {
    return this.#state.handingOver;
  }
  /** Whom a `transfer` in progress hands over to. */
  get transferTarget(): MemberId | undefined {
    return this.#state.transfer?.to;
  }
  /** Leader: the active voter with the longest log, who would be the best next leader. */
  get heir(): MemberId | undefined {
    const state = this.#state;
    if (state.role !== "leader") return undefined;
    return mostCaughtUp(
      state,
      state.membership.voters.filter((voter) => state.peers.get(voter)?.active),
    );
  }
  /** Snapshots that were received and are not durable yet, oldest first. The file of any other is not needed. */
  get installs(): readonly SnapshotMeta[] {
    return this.#state.log.installs;
  }

  #dispatch(event: RaftEvent): void {
    const state = this.#state;
    switch (event.kind) {
      case "tick":
        return onTick(state);
      case "message":
        return onMessage(state, event.message);
      case "campaign":
        return campaign(state);
      case "propose":
        return onPropose(state, event.requestId, event.data);
      case "proposeChange":
        return onProposeChange(state, event);
      case "read":
        return onRead(state, event.requestId);
      case "durable":
        return this.#onDurable(event.appendId);
      case "applied":
        return state.log.appliedTo(event.index);
      case "compact":
        return compact(state, event.index);
      case "transfer":
        return onTransfer(state, event.to);
      case "snapshotSent":
        return onSnapshotSent(state, event.peer, event.ok);
      case "snapshotReceived":
        return onSnapshotReceived(state, event);
      case "peerUnreachable":
        return onPeerUnreachable(state, event.peer);
      case "leaderUnreachable":
        return forgetLeader(state);
    }
  }

  #onDurable(appendId: number): void {
    const state = this.#state;
    state.log.completeWrite(appendId);
    state.durableCommit = this.#commitsInflight.shift() ?? state.durableCommit;
    const toSelf = this.#toSelf.get(appendId);
    if (toSelf !== undefined) {
      this.#toSelf.delete(appendId);
      for (const message of toSelf) onMessage(state, message);
    }
    if (state.role === "leader") advanceCommit(state);
  }

  #collect(): Effects | undefined {
    const state = this.#state;
    if (state.role === "leader") {
      sendAppends(state);
      askForSnapshots(state);
      checkPeers(state);
      flushTransfer(state);
      flushDeparture(state);
    }
    flushReads(state);
    const append = this.#takeAppend();
    const apply = state.log.nextApply(state.config.limits);
    const send = state.outbox.takeSend();
    const reads = state.outbox.takeReads();
    const rejected = state.outbox.takeRejected();
    const role = this.#takeRole();
    const needSnapshot = state.outbox.takeNeedSnapshot();
    const membership = this.#takeMembership();
    if (append === undefined && apply === undefined && role === undefined && membership === undefined) {
      if (send.length + reads.length + rejected.length + needSnapshot.length === 0) return undefined;
    }
    return { send, append, apply, reads, rejected, role, needSnapshot, membership };
  }

  /** The next write, unless enough are under way: then what comes meanwhile joins the one after. */
  #takeAppend(): Append | undefined {
    const { log, outbox } = this.#state;
    const voteMoved = this.#savedTerm !== this.term || this.#savedVote !== this.#state.vote;
    // The commit index need not be written for its own sake, unless it brought another configuration (spec 1.15).
    const hardStateMoved = voteMoved || this.#state.changeIndex > this.#savedCommit;
    const dirty = hardStateMoved || log.dirty;
    if (!dirty && !outbox.hasPromises) return undefined;
    if (!dirty && log.writesInflight === 0) {
      // All that the answers rest on is durable already.
      for (const message of outbox.takePromises()) outbox.send(message);
      return undefined;
    }
    if (log.writesInflight >= this.#appendsInflightMax) return undefined;
    return this.#beginAppend(hardStateMoved);
  }

  #beginAppend(hardStateMoved: boolean): Append {
    const { log, outbox } = this.#state;
    this.#appendCount += 1;
    const id = this.#appendCount;
    const { truncateFrom, entries, compactTo, install } = log.beginWrite(id);
    const promises = install === undefined ? outbox.takePromises() : outbox.takeInstallPromises();
    const toSelf = promises.filter((message) => message.to === this.#state.id);
    if (toSelf.length > 0) this.#toSelf.set(id, toSelf);
    const sendAfter = toSelf.length > 0 ? promises.filter((message) => message.to !== this.#state.id) : promises;
    const wanted = hardStateMoved || entries.length > 0 || install !== undefined;
    // What was appended after a snapshot is not on disk with it, however much of it is committed.
    const hardState = wanted ? this.#hardState(install?.index ?? this.commitIndex) : undefined;
    this.#commitsInflight.push(this.#savedCommit);
    const compacted = compactTo === undefined ? undefined : { to: compactTo, membership: this.#state.base };
    return { id, hardState, truncateFrom, entries, compact: compacted, install, sendAfter };
  }

  /** Entries never reach the disk without the commit index known at that moment (spec 1.1, 1.15). */
  #hardState(commit: number): HardState {
    this.#savedTerm = this.term;
    this.#savedVote = this.#state.vote;
    this.#savedCommit = commit;
    return { term: this.#savedTerm, vote: this.#savedVote, commit };
  }

  #takeMembership(): Membership | undefined {
    const { membership } = this.#state;
    if (membership === this.#reportedMembership) return undefined;
    this.#reportedMembership = membership;
    return membership;
  }

  #takeRole(): RoleChange | undefined {
    const { role, term, leader } = this.#state;
    if (role === this.#reported.role && term === this.#reported.term && leader === this.#reported.leader)
      return undefined;
    this.#reported = { role, term, leader };
    return this.#reported;
  }

  /** Adds the last events to the numbers of a broken invariant; not to its message, which is the last line of the log. */
  #withTrace(error: unknown): unknown {
    if (error instanceof InvariantError) {
      Object.assign(error.details, { events: this.#trace.lines(), prng: this.#state.prng.state });
    }
    return error;
  }
}
