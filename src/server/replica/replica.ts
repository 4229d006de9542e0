/**
 * Drives the Raft core of this member: proposals in, results out, reads confirmed, leases timed, members changed, snapshots
 * sent and installed, logs compacted. It knows neither watchers nor transports: whoever builds it plugs them in.
 */
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import { majority } from "../raft/quorum.js";
import type { Effects, MembershipChange, RoleChange, SnapshotMeta } from "../raft/types.js";
import { type Caller, theServer } from "../state/auth/types.js";
import { encodeCommand } from "../state/command.js";
import type { Applied, CommandBody, CommandResponse, StateReader } from "../state/types.js";
import type { ReplicaLeases } from "./leases.js";
import type { Maintenance } from "./maintenance.js";
import type { Membership } from "./membership.js";
import type { ReplicaOptions } from "./options.js";
import { createParts, type Parts } from "./parts.js";
import type { PeerListener } from "./peers.js";
import { outgoingName } from "./snapshot-sender.js";
import { Turn } from "./turn.js";
import type { Outcome, ProposeOptions, Replica, ReplicaStatus, WaitOptions } from "./types.js";

export interface ReplicaCounts {
  readonly pendingProposals: number;
  readonly failedProposals: number;
  readonly slowReads: number;
  readonly failedReads: number;
  readonly leaderChanges: number;
}

const leaseScanIntervalMs = 500;

export class LocalReplica implements Replica {
  readonly state: StateReader;
  readonly leases: ReplicaLeases;
  readonly maintenance: Maintenance;
  readonly members: Membership;
  /** What the other members bring: for whoever owns the connections to them. */
  readonly listener: PeerListener;
  private readonly options: ReplicaOptions;
  private readonly turn: Turn;
  private readonly parts: Parts;
  private leaderElectedMs: number | undefined;
  private leaderChanges = 0;
  private lastScanMs = 0;
  /** Pauses of applying that have begun and not ended. */
  private pauses = 0;
  private cancelTick: (() => void) | undefined;
  private closed = false;

  constructor(options: ReplicaOptions) {
    const { files, state } = options;
    this.options = options;
    for (const name of files.names()) if (outgoingName.test(name)) files.remove(name);
    this.turn = this.createTurn();
    this.parts = createParts(options, {
      step: (event) => this.turn.step(event),
      linearizableRead: () => this.linearizableRead(),
      proposeAsLeader: (body) => this.proposeAsLeader(body),
      proposeChange: (change, body) => this.proposeChange(change, body),
      pauseApplying: () => this.pauseApplying(),
    });
    this.state = state.reader;
    this.leases = this.parts.leases;
    this.maintenance = this.parts.maintenance;
    this.members = this.parts.members;
    this.listener = this.createListener();
  }

  /**
   * Starts ticking; a member that is the only voter stands for election at once instead of waiting out a timeout.
   */
  start(): void {
    const { core, identity } = this.options;
    this.parts.links.update();
    this.scheduleTick();
    const { voters } = core.membership;
    if (voters.length === 1 && voters[0] === identity.memberId) this.turn.step({ kind: "campaign" });
  }

  /** Stands for election, if nobody is known to lead; a pre-vote comes first. For an owner that knows that it is time. */
  campaign(): void {
    if (!this.closed && this.options.core.leader === undefined) this.turn.step({ kind: "campaign" });
  }

  /** Gives leadership to another voter, if this member leads and there is one. For a server that ends but still answers. */
  async handOver(): Promise<void> {
    if (!this.closed) await this.parts.transfer.giveAway();
  }

  /** With `transfer` leadership goes to another voter first, if that takes no longer than an election timeout. */
  async close(how: { readonly transfer?: boolean } = {}): Promise<void> {
    if (how.transfer === true) await this.handOver();
    this.stop();
    this.parts.sender.close();
    this.maintenance.close();
    await this.parts.receiver.close();
  }

  status(): ReplicaStatus {
    const { core, identity } = this.options;
    return {
      clusterId: identity.clusterId,
      memberId: identity.memberId,
      term: core.term,
      role: core.role,
      leader: core.leader,
      learner: core.membership.learners.includes(identity.memberId),
      committedIndex: core.commitIndex,
      appliedIndex: core.appliedIndex,
    };
  }

  /**
   * Whether this member is to be turned away by the transport: it was removed, and a few seconds have passed in which it
   * could hear of it.
   */
  hasParted(id: bigint): boolean {
    return this.parts.links.hasParted(id);
  }

  hasLeader(): boolean {
    return this.options.core.leader !== undefined;
  }

  /** Numbers for metrics. */
  counts(): ReplicaCounts {
    const { proposals, reads } = this.parts;
    return {
      pendingProposals: proposals.pendingCount,
      failedProposals: proposals.failedCount,
      slowReads: reads.slowCount,
      failedReads: reads.failedCount,
      leaderChanges: this.leaderChanges,
    };
  }

  /** Bytes of the state file's write-ahead log. */
  stateWalBytes(): number {
    return this.options.state.walBytes();
  }

  async propose<K extends CommandResponse["kind"]>(
    body: CommandBody,
    options?: Partial<ProposeOptions>,
  ): Promise<Outcome<K>> {
    return (await this.submit(body, "anywhere", options)) as unknown as Outcome<K>;
  }

  async proposeAsLeader<K extends CommandResponse["kind"]>(
    body: CommandBody,
    options?: WaitOptions,
  ): Promise<Outcome<K>> {
    if (this.options.core.role !== "leader") throw new WireError(status.NotLeader);
    const own = { ...options, caller: theServer };
    return (await this.submit(body, "here", own)) as unknown as Outcome<K>;
  }

  linearizableRead(options?: WaitOptions): Promise<void> {
    if (this.closed) return Promise.reject(new WireError(status.Stopped));
    this.turn.schedule();
    return this.parts.reads.wait(this.options.clock.monotonicMs(), options?.signal);
  }

  /** Synchronous up to the core, so that a command for the leader is never given to a member that no longer is. */
  private submit(
    body: CommandBody,
    where: "anywhere" | "here",
    { signal, caller }: Partial<ProposeOptions> = {},
  ): Promise<Outcome> {
    if (this.closed) throw new WireError(status.Stopped);
    const { proposals } = this.parts;
    const sequence = proposals.nextSequence();
    const data = this.encode(sequence, body, caller);
    if (data.byteLength > this.options.limits.requestBytesMax) throw new WireError(status.RequestTooLarge);
    const submission = { data, where, signal, startedMs: this.options.clock.monotonicMs() };
    return proposals.submit(sequence, submission, this.hasLeader());
  }

  private encode(sequence: number, body: CommandBody, caller?: Caller): Uint8Array {
    const { identity, bootCount } = this.options;
    return encodeCommand({ origin: identity.memberId, boot: bootCount, sequence }, body, caller);
  }

  private proposeChange(change: MembershipChange, body: CommandBody): number {
    const requestId = this.parts.proposals.nextSequence();
    this.turn.step({ kind: "proposeChange", requestId, change, data: this.encode(requestId, body) });
    return requestId;
  }

  private async pauseApplying(): Promise<() => void> {
    const resume = await this.turn.pauseApplying();
    this.pauses += 1;
    return () => {
      this.pauses -= 1;
      resume();
    };
  }

  private createTurn(): Turn {
    const { options } = this;
    return new Turn({
      ...options,
      send: (messages) => options.peers.send(messages),
      onTurn: () => this.parts.reads.startRound(options.clock.monotonicMs()),
      onApplied: (batch, changed) => this.applied(batch, changed),
      onRole: (change) => this.roleChanged(change),
      onRead: ({ requestId, index }) => {
        this.parts.reads.confirmed(requestId, index);
        this.parts.reads.applied(options.core.appliedIndex);
      },
      onRejected: (rejected) => this.rejected(rejected),
      onNeedSnapshot: (peers) => this.parts.sender.send(peers),
      onInstalled: (snapshot) => this.installed(snapshot),
      onFatal: (error) => this.fatal(error),
    });
  }

  private createListener(): PeerListener {
    const { parts, turn } = this;
    return {
      messages: (messages) => {
        for (const message of messages) turn.step({ kind: "message", message });
      },
      unreachable: (peer) => turn.step({ kind: "peerUnreachable", peer }),
      unsent: (proposals) => {
        for (const { requestId } of proposals) parts.proposals.notAppended(requestId);
      },
      refused: (id) => parts.peerDown.refused(id),
      removed: () => parts.removal.heard(),
      receiveSnapshot: (head) => parts.receiver.receive(head),
      answer: (from, question) => parts.questions.answer(from, question),
    };
  }

  private applied(batch: readonly Applied[], changed: boolean): void {
    const { core, onApplied } = this.options;
    const { leases, reads, appliedWait, links, logCompactor } = this.parts;
    onApplied(batch);
    if (changed) links.update();
    appliedWait.advance(core.appliedIndex);
    for (const entry of batch) {
      leases.follow(entry.leases);
      if (entry.request === undefined) this.termBegan(entry.term);
      this.settle(entry);
      if (entry.result.kind === "ok" && entry.result.response.kind === "compact") this.maintenance.compactionStarted();
    }
    reads.applied(core.appliedIndex);
    logCompactor.applied();
  }

  /** The first entry of a leader, which holds no command, was applied. */
  private termBegan(term: number): void {
    const { core } = this.options;
    const { leases, proposals } = this.parts;
    if (term === core.term && core.role === "leader") leases.promote();
    proposals.termBegan(term);
    if (core.leader !== undefined && !core.transferring) proposals.giveHeld();
  }

  /** Answers the call of this boot that waits for the entry. */
  private settle(entry: Applied): void {
    const { identity, bootCount } = this.options;
    const { request } = entry;
    if (request?.origin !== identity.memberId || request.boot !== bootCount) return;
    const { proposals, members } = this.parts;
    if (!proposals.settle(request.sequence, entry)) members.settle(request.sequence, entry);
  }

  /** Calls whose entries the snapshot holds wait for their deadline: what they came to is not known here. */
  private installed(snapshot: SnapshotMeta): void {
    const { receiver, links, appliedWait, reads, proposals } = this.parts;
    proposals.stateReplaced();
    this.options.onRestored();
    links.update();
    appliedWait.advance(snapshot.index);
    reads.applied(snapshot.index);
    this.maintenance.compactionStarted();
    receiver.installed(snapshot);
  }

  private roleChanged(change: RoleChange): void {
    const { clock, logger, identity } = this.options;
    const { leases, transfer, proposals, reads } = this.parts;
    const nowMs = clock.monotonicMs();
    if (change.role !== "leader") leases.demote();
    transfer.roleChanged();
    logger.info("raft role changed", { ...change, "local-member-id": identity.memberId });
    if (change.leader === undefined) return;
    this.leaderElectedMs = nowMs;
    this.leaderChanges += 1;
    proposals.giveHeld();
    reads.leaderKnown(nowMs);
  }

  private rejected({ requestId, reason }: Effects["rejected"][number]): void {
    const { proposals, members, reads } = this.parts;
    if (members.rejected(requestId, reason)) return;
    switch (reason) {
      case "tooManyUncommitted":
      case "tooManyUnapplied":
        proposals.refused(requestId, status.TooManyRequests);
        return;
      case "leaderChanged":
        if (!proposals.notAppended(requestId)) reads.leaderChanged(requestId);
        return;
      case "noLeader":
      case "transferring":
      case "changePending":
      case "changeInvalid":
        // A read without a leader waits for its retry.
        proposals.notAppended(requestId);
    }
  }

  private scheduleTick(): void {
    if (this.closed) return;
    const { clock, limits, schedule } = this.options;
    this.cancelTick = clock.after(limits.heartbeatMs, () => {
      this.scheduleTick();
      // After a stall the heartbeats that have come meanwhile are handled before the tick that would miss them.
      schedule(() => this.tick());
    });
  }

  /** At most one Raft tick per call, however late it comes: missed ticks are dropped, never delivered in a burst. */
  private tick(): void {
    if (this.closed) return;
    const { clock, core } = this.options;
    const { leases, reads, proposals, autoCompactor, divergence, sender, removal, links, slowLeader } = this.parts;
    const nowMs = clock.monotonicMs();
    leases.tick();
    this.turn.step({ kind: "tick" });
    slowLeader.tick({ writeTicks: this.turn.tickWrites(), paused: this.pauses > 0 });
    reads.tick(nowMs);
    this.expire(nowMs);
    if (core.leader !== undefined && !core.transferring) proposals.giveHeld();
    if (nowMs - this.lastScanMs >= leaseScanIntervalMs) {
      this.lastScanMs = nowMs;
      leases.scan();
    }
    autoCompactor.tick(nowMs);
    if (leases.primary) divergence.tick(nowMs);
    sender.tick(nowMs);
    removal.tick();
    links.tick(nowMs);
    this.options.state.checkpoint();
  }

  private expire(nowMs: number): void {
    this.parts.proposals.expire({
      nowMs,
      electionTimeoutMs: this.options.limits.electionMs,
      leaderElectedMs: this.leaderElectedMs,
      connectionLost: (startedMs) => this.connectionLost(startedMs),
    });
  }

  /** A leader is known, and the link to it, or to the quorum that it needs, has not held since that moment. */
  private connectionLost(sinceMs: number): boolean {
    const { core, peers, identity } = this.options;
    if (core.leader === undefined) return false;
    const held = (id: bigint): boolean =>
      id === identity.memberId || (peers.connectedSinceMs(id) ?? Infinity) < sinceMs;
    if (core.leader !== identity.memberId) return !held(core.leader);
    const { voters } = core.membership;
    return voters.filter(held).length < majority(voters.length);
  }

  private fatal(error: unknown): void {
    this.stop();
    this.options.onFatal(error);
  }

  /** Nothing is stepped, applied or answered any more but with "server stopped". */
  private stop(): void {
    const { proposals, reads, leases, calls, members, appliedWait, peerDown, removal, divergence } = this.parts;
    this.closed = true;
    this.turn.stop();
    this.cancelTick?.();
    peerDown.stop();
    removal.stop();
    divergence.close();
    calls.close();
    members.close();
    failAll([proposals, reads, appliedWait], status.Stopped);
    leases.demote();
  }
}

function failAll(waiting: readonly { failAll(wireStatus: WireStatus): void }[], wireStatus: WireStatus): void {
  for (const calls of waiting) calls.failAll(wireStatus);
}
