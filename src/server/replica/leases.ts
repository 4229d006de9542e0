/**
 * The lease clock as the api rooms use it: renewals, remaining times, new ids. The leader answers from its expiry heap, once
 * it is sure that it still leads; every other member asks the leader.
 */
import { status, WireError } from "../../../proto/status.js";
import type { RaftCore } from "../raft/core.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { CommandBody, LeaseChange, StateReader } from "../state/types.js";
import { ActiveClock } from "./active-clock.js";
import type { LeaderCalls } from "./leader-calls.js";
import { LeaseExpiry } from "./lease-expiry.js";
import type { LeaseClock, LeaseTime, WaitOptions } from "./types.js";

export interface ReplicaLeasesOptions {
  readonly memberId: bigint;
  readonly core: Pick<RaftCore, "term" | "membership">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  readonly state: StateReader;
  /** Whether long leases are checkpointed. */
  readonly checkpoint: boolean;
  readonly calls: LeaderCalls;
  /** Proposes only while this member leads, and in its present term. */
  readonly proposeAsLeader: (body: CommandBody) => Promise<unknown>;
  readonly linearizableRead: () => Promise<void>;
}

const idCounterBits = 8n;
const idTimeBits = 40n;
const idMemberShift = idCounterBits + idTimeBits;
/** Heartbeats without a turn after which leadership is confirmed before anything is revoked (spec/server.md 5.7). */
const stallHeartbeats = 3;
/** Spec: server.md 5.7. */
const checkpointIntervalMs = 5 * 60_000;
const checkpointAboveSeconds = 300;
const checkpointLeasesMax = 1000;

export class ReplicaLeases implements LeaseClock {
  readonly ttlSecondsMin: number;
  private readonly options: ReplicaLeasesOptions;
  private readonly active: ActiveClock;
  private readonly expiry: LeaseExpiry;
  private idCounter = 0n;
  private lastTickMs: number;
  private lastCheckpointMs = 0;
  private doubt: "none" | "stalled" | "asking" = "none";

  constructor(options: ReplicaLeasesOptions) {
    this.options = options;
    const electionTicks = Math.floor(options.electionMs / options.heartbeatMs);
    this.ttlSecondsMin = Math.ceil((Math.floor((3 * electionTicks) / 2) * options.heartbeatMs) / 1000);
    this.active = new ActiveClock(options.clock, { tickMs: options.heartbeatMs });
    this.lastTickMs = options.clock.monotonicMs();
    this.expiry = new LeaseExpiry({
      revoke: (id) => this.revokeExpired(id),
      nowMs: () => this.active.nowMs(),
      extendMs: options.electionMs,
    });
  }

  /** This member leads and has applied the first entry of its term. */
  get primary(): boolean {
    return this.expiry.primary;
  }

  renew(id: bigint, options: WaitOptions): Promise<number> {
    return this.options.calls.ask(
      {
        here: () => this.renewHere(id),
        question: { kind: { $case: "leaseRenew", value: { id } } },
        read: (answer) => (answer.$case === "leaseRenew" ? Number(answer.value.ttlSeconds) : undefined),
      },
      options,
    );
  }

  async timeToLive(id: bigint, options: WaitOptions): Promise<LeaseTime | undefined> {
    const time = await this.options.calls.ask(
      {
        here: () => this.timeToLiveHere(id),
        question: { kind: { $case: "leaseTime", value: { id } } },
        read: (answer) => {
          if (answer.$case !== "leaseTime") return undefined;
          const { remainingSeconds, grantedSeconds } = answer.value;
          return { remainingSeconds: Number(remainingSeconds), grantedSeconds: Number(grantedSeconds) };
        },
      },
      options,
    );
    return time.remainingSeconds < 0 ? undefined : time;
  }

  /** Renews as the leader: the full TTL in seconds, 0 if the lease is gone. Rejects with NotPrimaryLessor on any other member. */
  async renewHere(id: bigint): Promise<number> {
    const release = this.expiry.arrive(id);
    try {
      if (this.isAlone && this.expiry.primary) {
        const renewed = await this.renewTimed(id);
        if (renewed !== undefined) return renewed;
      }
      // The grant may be committed but not applied yet: look again once everything acknowledged is here (spec 5.4).
      await this.confirmPrimary();
      return (await this.renewTimed(id)) ?? 0;
    } finally {
      release();
    }
  }

  /** What is left as the leader knows it; -1 for a lease that is gone. Rejects with NotPrimaryLessor on any other member. */
  async timeToLiveHere(id: bigint): Promise<LeaseTime> {
    await this.confirmPrimary();
    const remainingSeconds = this.expiry.remainingSeconds(id);
    const lease = this.options.state.lease(id);
    if (remainingSeconds === undefined || lease === undefined) return { remainingSeconds: -1, grantedSeconds: 0 };
    return { remainingSeconds, grantedSeconds: lease.ttlSeconds };
  }

  ordered(): readonly bigint[] {
    return this.expiry.ordered();
  }

  /** Positive int63: low 16 bits of the member id, low 40 bits of the time in ms, an 8-bit counter (spec 5.1). */
  nextId(): bigint {
    this.idCounter = (this.idCounter + 1n) & ((1n << idCounterBits) - 1n);
    const member = (this.options.memberId & 0xffffn) << idMemberShift;
    const time = (BigInt(this.options.clock.wallMs()) & ((1n << idTimeBits) - 1n)) << idCounterBits;
    const id = (member | time | this.idCounter) & ((1n << 63n) - 1n);
    return id === 0n || this.options.state.lease(id) !== undefined ? this.nextId() : id;
  }

  follow(changes: readonly LeaseChange[]): void {
    this.expiry.follow(changes);
  }

  promote(): void {
    this.doubt = "none";
    this.lastCheckpointMs = this.active.nowMs();
    this.expiry.promote(this.options.state.leases());
  }

  /** Ends every blocked renewal; nothing expires any more. */
  demote(): void {
    this.expiry.demote();
  }

  /** Once a Raft tick. */
  tick(): void {
    this.active.tick();
    const nowMs = this.options.clock.monotonicMs();
    if (nowMs - this.lastTickMs > stallHeartbeats * this.options.heartbeatMs && this.doubt === "none")
      this.doubt = "stalled";
    this.lastTickMs = nowMs;
  }

  /** Twice a second. After a stall another member may lead already, so leadership is confirmed before anything is revoked. */
  scan(): void {
    if (!this.expiry.primary) return;
    switch (this.doubt) {
      case "none":
        this.expiry.scan();
        this.checkpoint();
        return;
      case "stalled":
        this.doubt = "asking";
        this.options.linearizableRead().then(
          () => {
            this.doubt = "none";
          },
          () => {
            this.doubt = "stalled";
          },
        );
        return;
      case "asking":
    }
  }

  private get isAlone(): boolean {
    const { voters } = this.options.core.membership;
    return voters.length === 1 && voters[0] === this.options.memberId;
  }

  /** A quorum says that this member leads, and all that was acknowledged is applied here. */
  private async confirmPrimary(): Promise<void> {
    const { core } = this.options;
    const { term } = core;
    if (!this.expiry.primary) throw new WireError(status.NotPrimaryLessor);
    await this.options.linearizableRead();
    if (!this.expiry.primary || core.term !== term) throw new WireError(status.NotPrimaryLessor);
  }

  /** A renewal that rests on a checkpoint would be shortened by the next leader, so the checkpoint goes first. */
  private async renewTimed(id: bigint): Promise<number | undefined> {
    for (let standing = this.expiry.standingCheckpoints(id); standing !== undefined; ) {
      await this.options.proposeAsLeader(this.checkpointOf([{ id, remainingSeconds: 0n }]));
      this.expiry.tookBack(id, standing);
      standing = this.expiry.standingCheckpoints(id);
    }
    if (!this.expiry.primary) throw new WireError(status.NotPrimaryLessor);
    return this.expiry.renew(id);
  }

  private checkpoint(): void {
    if (!this.options.checkpoint || this.active.nowMs() - this.lastCheckpointMs < checkpointIntervalMs) return;
    this.lastCheckpointMs = this.active.nowMs();
    const leases = this.expiry
      .checkpoint(checkpointAboveSeconds)
      .map(({ id, remainingSeconds }) => ({ id, remainingSeconds: BigInt(remainingSeconds) }));
    for (let from = 0; from < leases.length; from += checkpointLeasesMax) {
      const part = this.checkpointOf(leases.slice(from, from + checkpointLeasesMax));
      this.options.proposeAsLeader(part).catch((error: unknown) => {
        this.options.logger.warn("failed to checkpoint leases", { error });
      });
    }
  }

  private checkpointOf(leases: { id: bigint; remainingSeconds: bigint }[]): CommandBody {
    return { $case: "leaseCheckpoint", value: { leases, onlyInTerm: BigInt(this.options.core.term) } };
  }

  private async revokeExpired(id: bigint): Promise<void> {
    const onlyInTerm = BigInt(this.options.core.term);
    try {
      await this.options.proposeAsLeader({ $case: "leaseRevoke", value: { id, onlyInTerm } });
    } catch (error) {
      this.options.logger.warn("failed to revoke an expired lease", { "lease-id": id, error });
      throw error;
    }
  }
}
