/** Notices that this member is no longer part of the cluster, and says so once (spec/server.md 6.1). */
import type { RaftCore } from "../raft/core.js";
import type { MemberId, Membership } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";

/** Time for the others to hear of it, and for a leader to hand over. */
const graceMs = 1000;
const leadingMsMax = 5000;

export interface RemovalOptions {
  readonly memberId: MemberId;
  readonly core: Pick<RaftCore, "role">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly heartbeatMs: number;
  readonly onRemoved: () => void;
}

export class Removal {
  private readonly options: RemovalOptions;
  private noticed = false;
  private told = false;
  private cancel: (() => void) | undefined;

  constructor(options: RemovalOptions) {
    this.options = options;
  }

  /** The committed configuration has changed. One that is empty is that of a member which has not joined yet. */
  check({ voters, learners }: Membership): void {
    const { memberId } = this.options;
    if (this.noticed || voters.length === 0) return;
    if (voters.includes(memberId) || learners.includes(memberId)) return;
    this.noticed = true;
    this.tellAfter(graceMs, this.options.clock.monotonicMs() + leadingMsMax);
  }

  /** Also what a peer's word leads to: this member may never hear it from the log. */
  tell(): void {
    if (this.told) return;
    this.told = true;
    this.cancel?.();
    this.options.logger.warn("this member was removed from the cluster", { "local-member-id": this.options.memberId });
    this.options.onRemoved();
  }

  stop(): void {
    this.cancel?.();
    this.told = true;
  }

  /** A leader stays until a majority of the others can go on without it. */
  private tellAfter(delayMs: number, endMs: number): void {
    const { clock, core, heartbeatMs } = this.options;
    this.cancel = clock.after(delayMs, () => {
      if (core.role === "leader" && clock.monotonicMs() < endMs) this.tellAfter(heartbeatMs, endMs);
      else this.tell();
    });
  }
}
