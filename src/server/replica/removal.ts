/**
 * Notices that this member is no longer part of the cluster, and says so once (spec/server.md 6.1). Not as soon as its removal
 * is applied: until the others know of it for sure, they may need what this member can tell them.
 */
import type { RaftCore } from "../raft/core.js";
import type { MemberId } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";

/** Time for calls under way to be answered, and for links to carry what was sent last. */
const graceMs = 1000;
/** A peer knows, which is not yet a majority: time for the leader to say that it is one. */
const hearsayMs = 2000;

export interface RemovalOptions {
  readonly memberId: MemberId;
  readonly core: Pick<RaftCore, "removed">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRemoved: () => void;
}

export class Removal {
  private readonly options: RemovalOptions;
  private stage: "member" | "hearsay" | "certain" | "told" = "member";
  private cancel: (() => void) | undefined;

  constructor(options: RemovalOptions) {
    this.options = options;
  }

  /** Once a tick. */
  tick(): void {
    if (this.stage === "certain" || this.stage === "told" || !this.options.core.removed) return;
    this.stage = "certain";
    this.tellAfter(graceMs);
  }

  /** A peer says so: this member may never hear it from the log. */
  heard(): void {
    if (this.stage !== "member") return;
    this.stage = "hearsay";
    this.tellAfter(hearsayMs);
  }

  stop(): void {
    this.cancel?.();
    this.stage = "told";
  }

  private tellAfter(delayMs: number): void {
    this.cancel?.();
    this.cancel = this.options.clock.after(delayMs, () => {
      this.stage = "told";
      this.options.logger.warn("this member was removed from the cluster", {
        "local-member-id": this.options.memberId,
      });
      this.options.onRemoved();
    });
  }
}
