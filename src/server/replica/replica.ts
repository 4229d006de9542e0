/**
 * Drives the Raft core of this member: proposals in, results out, reads confirmed, leases timed, logs compacted.
 * It knows neither watchers nor peers: whoever builds it plugs in `send` and `onApplied`.
 */
import { status, WireError } from "../../../proto/status.js";
import type { RaftCore } from "../raft/core.js";
import type { Effects, Message, RoleChange } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { encodeCommand } from "../state/command.js";
import type { Applied, CommandBody, CommandResponse, State } from "../state/types.js";
import type { Identity, LogStore } from "../storage/types.js";
import { type AutoCompactionRule, createAutoCompaction } from "./auto-compaction.js";
import { ReplicaLeases } from "./leases.js";
import { LinearReads } from "./linear-reads.js";
import { Maintenance } from "./maintenance.js";
import { Proposals } from "./proposals.js";
import { Turn } from "./turn.js";
import type { AppliedListener, Outcome, Replica, ReplicaStatus } from "./types.js";
import { inlineLog, inlineState, type WorkObserver } from "./workers.js";

export interface ReplicaLimits {
  readonly heartbeatMs: number;
  readonly electionMs: number;
  /** Server-side bound on a request: 5 s + 2 x election timeout (spec/server.md 1.2). */
  readonly requestTimeoutMs: number;
  readonly requestBytesMax: number;
  /** Log entries kept behind what is applied, for members that lag. */
  readonly catchUpEntries: number;
  /** Entries beyond the catch-up tail that pile up before they are dropped in one go. */
  readonly logSlackEntries: number;
  /** Bytes of log kept in memory; above it, half of what is applied goes, catch-up or not. */
  readonly logBytesMax: number;
  readonly compactionSleepMs: number;
}

export interface ReplicaCounts {
  readonly pendingProposals: number;
  readonly failedProposals: number;
  readonly slowReads: number;
  readonly failedReads: number;
  readonly leaderChanges: number;
}

export interface ReplicaOptions {
  readonly core: RaftCore;
  readonly log: LogStore;
  readonly state: State;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ReplicaLimits;
  readonly autoCompaction: AutoCompactionRule;
  readonly dataDir: string;
  readonly send: (messages: readonly Message[]) => void;
  readonly onApplied: AppliedListener;
  readonly onFatal: (error: unknown) => void;
  readonly observer: WorkObserver | undefined;
}

export class LocalReplica implements Replica {
  readonly state: State["reader"];
  readonly leases: ReplicaLeases;
  readonly maintenance: Maintenance;
  private readonly options: ReplicaOptions;
  private readonly identity: Identity;
  private readonly learner: boolean;
  private readonly turn: Turn;
  private readonly proposals: Proposals;
  private readonly reads: LinearReads;
  private readonly autoCompaction;
  /** Encoded commands that wait for a leader to be known. */
  private readonly unsent = new Map<number, Uint8Array>();
  private leaderSinceMs: number | undefined;
  private leaderChanges = 0;
  private lastScanMs = 0;
  private cancelTick: (() => void) | undefined;
  private closed = false;

  constructor(options: ReplicaOptions) {
    const { clock, limits } = options;
    this.options = options;
    const { identity, membership } = options.log.initial;
    this.identity = identity;
    this.learner = membership.learners.includes(identity.memberId);
    this.state = options.state.reader;
    this.proposals = new Proposals({ timeoutMs: limits.requestTimeoutMs });
    this.reads = new LinearReads({
      timeoutMs: limits.requestTimeoutMs,
      nextRequestId: () => this.proposals.nextSequence(),
      ask: (requestId) => this.turn.step({ kind: "read", requestId }),
    });
    this.autoCompaction = createAutoCompaction(options.autoCompaction, clock.monotonicMs());
    this.maintenance = new Maintenance(options);
    this.leases = this.createLeases();
    this.turn = this.createTurn();
  }

  /** Starts ticking; a member that is the only voter stands for election at once instead of waiting out a timeout. */
  start(): void {
    this.scheduleTick();
    const { voters } = this.options.log.initial.membership;
    if (voters.length === 1 && voters[0] === this.identity.memberId) this.turn.step({ kind: "campaign" });
  }

  async close(): Promise<void> {
    this.closed = true;
    this.cancelTick?.();
    this.turn.stop();
    this.proposals.failAll(status.Stopped);
    this.reads.failAll(status.Stopped);
    this.leases.stop();
    await this.maintenance.close();
  }

  status(): ReplicaStatus {
    const { core } = this.options;
    return {
      clusterId: this.identity.clusterId,
      memberId: this.identity.memberId,
      term: core.term,
      role: core.role,
      leader: core.leader,
      learner: this.learner,
      committedIndex: core.commitIndex,
      appliedIndex: core.appliedIndex,
    };
  }

  hasLeader(): boolean {
    return this.options.core.leader !== undefined;
  }

  /** Numbers for metrics. */
  counts(): ReplicaCounts {
    return {
      pendingProposals: this.proposals.pendingCount,
      failedProposals: this.proposals.failedCount,
      slowReads: this.reads.slowCount,
      failedReads: this.reads.failedCount,
      leaderChanges: this.leaderChanges,
    };
  }

  async propose<K extends CommandResponse["kind"]>(body: CommandBody): Promise<Outcome<K>> {
    if (this.closed) throw new WireError(status.Stopped);
    const sequence = this.proposals.nextSequence();
    const { initial } = this.options.log;
    const data = encodeCommand({ origin: this.identity.memberId, boot: initial.bootCount, sequence }, body);
    if (data.byteLength > this.options.limits.requestBytesMax) throw new WireError(status.RequestTooLarge);
    const outcome = this.proposals.wait(sequence, this.options.clock.monotonicMs());
    if (this.options.core.leader === undefined) this.unsent.set(sequence, data);
    else this.turn.step({ kind: "propose", requestId: sequence, data });
    return (await outcome) as unknown as Outcome<K>;
  }

  linearizableRead(): Promise<void> {
    if (this.closed) return Promise.reject(new WireError(status.Stopped));
    this.turn.schedule();
    return this.reads.wait(this.options.clock.monotonicMs());
  }

  private createTurn(): Turn {
    const { options } = this;
    return new Turn({
      core: options.core,
      log: inlineLog(options.log, options),
      state: inlineState(options.state, options),
      send: options.send,
      onTurn: () => this.reads.startRound(options.clock.monotonicMs()),
      onApplied: (batch) => this.applied(batch),
      onRole: (change) => this.roleChanged(change),
      onRead: (read) => {
        this.reads.confirmed(read.requestId, read.index);
        this.reads.applied(options.core.appliedIndex);
      },
      onRejected: (rejected) => this.rejected(rejected),
      onFatal: (error) => this.fatal(error),
    });
  }

  private createLeases(): ReplicaLeases {
    return new ReplicaLeases({
      memberId: this.identity.memberId,
      clock: this.options.clock,
      logger: this.options.logger,
      electionMs: this.options.limits.electionMs,
      heartbeatMs: this.options.limits.heartbeatMs,
      state: this.state,
      propose: (body) => this.propose(body),
      linearizableRead: () => this.linearizableRead(),
      term: () => this.options.core.term,
    });
  }

  private applied(batch: readonly Applied[]): void {
    this.options.onApplied(batch);
    const { core } = this.options;
    for (const entry of batch) {
      this.leases.follow(entry.leases);
      if (entry.request === undefined && entry.term === core.term && core.role === "leader") this.leases.promote();
      const own = entry.request?.origin === this.identity.memberId;
      if (own && entry.request.boot === this.options.log.initial.bootCount) {
        this.proposals.settle(entry.request.sequence, entry);
      }
      if (entry.result.kind === "ok" && entry.result.response.kind === "compact") this.maintenance.compactionStarted();
    }
    this.reads.applied(core.appliedIndex);
    this.dropOldLog();
  }

  private dropOldLog(): void {
    const { core, state } = this.options;
    const target = this.logDropTarget(core.appliedIndex - core.firstIndex + 1);
    if (target === undefined) return;
    const index = Math.min(target, state.makeDurable());
    if (index >= core.firstIndex) this.turn.step({ kind: "compact", index });
  }

  /** The last index to drop, if it is time: the log holds `appliedCount` entries that are applied. */
  private logDropTarget(appliedCount: number): number | undefined {
    const { core, limits } = this.options;
    if (core.logBytes > limits.logBytesMax && appliedCount > 1) return core.firstIndex + Math.floor(appliedCount / 2);
    if (appliedCount < limits.catchUpEntries + limits.logSlackEntries) return undefined;
    return core.appliedIndex - limits.catchUpEntries;
  }

  private roleChanged(change: RoleChange): void {
    const { clock, logger } = this.options;
    const nowMs = clock.monotonicMs();
    this.leaderSinceMs = change.leader === undefined ? undefined : nowMs;
    if (change.role !== "leader") this.leases.demote();
    logger.info("raft role changed", { ...change, "local-member-id": this.identity.memberId });
    if (change.leader === undefined) return;
    this.leaderChanges += 1;
    for (const [sequence, data] of this.unsent) {
      this.unsent.delete(sequence);
      if (this.proposals.isWaiting(sequence)) this.turn.step({ kind: "propose", requestId: sequence, data });
    }
    this.reads.leaderKnown(nowMs);
  }

  private rejected({ requestId, reason }: Effects["rejected"][number]): void {
    switch (reason) {
      case "tooManyUncommitted":
      case "tooManyUnapplied":
        this.proposals.fail(requestId, status.TooManyRequests);
        return;
      case "noLeader":
      case "leaderChanged":
        if (this.proposals.isWaiting(requestId)) this.proposals.fail(requestId, status.RaftProposalDropped);
        else this.reads.rejected(requestId, reason);
    }
  }

  private scheduleTick(): void {
    if (this.closed) return;
    this.cancelTick = this.options.clock.after(this.options.limits.heartbeatMs, () => {
      this.scheduleTick();
      this.tick();
    });
  }

  /** At most one Raft tick per call, however late it comes: missed ticks are dropped, never delivered in a burst. */
  private tick(): void {
    const { clock, limits, state } = this.options;
    const nowMs = clock.monotonicMs();
    this.leases.tick();
    this.turn.step({ kind: "tick" });
    this.reads.tick(nowMs);
    const facts = { nowMs, electionTimeoutMs: limits.electionMs, leaderSinceMs: this.leaderSinceMs };
    this.proposals.expire(facts, new Set(this.unsent.keys()));
    for (const sequence of this.unsent.keys()) if (!this.proposals.isWaiting(sequence)) this.unsent.delete(sequence);
    if (nowMs - this.lastScanMs >= 500) {
      this.lastScanMs = nowMs;
      this.leases.scan();
    }
    this.compactAutomatically(nowMs);
    this.guard(() => state.checkpoint());
  }

  private compactAutomatically(nowMs: number): void {
    const target = this.autoCompaction.due(nowMs, this.state.revision());
    if (target === undefined || this.options.core.role !== "leader") return;
    const body = { $case: "compact", value: { revision: BigInt(target), physical: false } } as const;
    this.propose(body).then(
      () => this.options.logger.info("compacted automatically", { revision: target }),
      (error: unknown) => {
        // Somebody else compacted further already: that is what was wanted.
        if (error instanceof WireError && error.message === status.Compacted.message) return;
        this.options.logger.warn("failed to compact automatically", { revision: target, error });
      },
    );
  }

  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fatal(error);
    }
  }

  private fatal(error: unknown): void {
    this.turn.stop();
    this.cancelTick?.();
    this.closed = true;
    this.proposals.failAll(status.Stopped);
    this.reads.failAll(status.Stopped);
    this.options.onFatal(error);
  }
}
