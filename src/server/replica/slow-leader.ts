/**
 * A leader whose disk or state thread hangs still sends heartbeats, so nobody would depose it; yet it applies nothing, its
 * clients wait and its leases run out. It hands over to a follower that is better off (spec/raft-storage.md 1.16).
 */
import type { RaftCore } from "../raft/core.js";
import type { MemberId } from "../raft/types.js";
import type { Logger } from "../runtime/logger.js";
import type { ReplicaLimits } from "./options.js";

export interface SlowLeaderOptions {
  readonly core: Pick<RaftCore, "role" | "transferring" | "heir" | "commitIndex" | "appliedIndex">;
  readonly limits: Pick<ReplicaLimits, "heartbeatMs" | "electionMs">;
  readonly logger: Logger;
  /** Hands leadership over. */
  readonly transfer: (to: MemberId) => void;
}

/** What this member has owed itself since when, in Raft ticks: they stand still while the process is paused. */
export interface OwedWork {
  /** Ticks for which the oldest write has not become durable; 0 if there is none. */
  readonly writeTicks: number;
  /** Applying is paused on purpose. */
  readonly paused: boolean;
}

/** Election timeouts without progress after which work counts as hanging. */
const hangingElections = 2;

export class SlowLeader {
  private readonly options: SlowLeaderOptions;
  private appliedIndex = 0;
  /** Ticks since something was applied, while something was left to apply. */
  private applyTicks = 0;
  /** Ticks until the next attempt, so that clients get their chance if nobody can take over. */
  private restTicks = 0;

  constructor(options: SlowLeaderOptions) {
    this.options = options;
  }

  /** Once a Raft tick. */
  tick({ writeTicks, paused }: OwedWork): void {
    this.countApplying(paused);
    this.restTicks = Math.max(0, this.restTicks - 1);
    if (this.isLong(writeTicks)) this.handOver("the disk does not answer", writeTicks);
    else if (this.isLong(this.applyTicks)) this.handOver("nothing is being applied", this.applyTicks);
  }

  private countApplying(paused: boolean): void {
    const { core } = this.options;
    const { appliedIndex } = core;
    const owes = core.role === "leader" && !paused && core.commitIndex > appliedIndex;
    this.applyTicks = owes && appliedIndex === this.appliedIndex ? this.applyTicks + 1 : 0;
    this.appliedIndex = appliedIndex;
  }

  private isLong(ticks: number): boolean {
    return ticks >= this.patienceTicks;
  }

  private get patienceTicks(): number {
    const { heartbeatMs, electionMs } = this.options.limits;
    return Math.ceil((hangingElections * electionMs) / heartbeatMs);
  }

  private handOver(what: string, owedTicks: number): void {
    const { core, logger, transfer } = this.options;
    const { heir } = core;
    if (this.restTicks > 0 || core.role !== "leader" || core.transferring || heir === undefined) return;
    this.restTicks = this.patienceTicks;
    logger.warn(`${what}; handing over the leadership`, { to: heir, owedTicks });
    transfer(heir);
  }
}
