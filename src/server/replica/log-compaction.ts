/**
 * Drops old log entries: a tail stays for members that lag, nothing goes that the state file does not hold durably, and
 * nothing that a snapshot on its way to a peer needs after it. Spec: raft-storage.md 1.14.
 */
import type { RaftCore } from "../raft/core.js";
import type { RaftEvent } from "../raft/types.js";
import type { ReplicaLimits } from "./options.js";
import type { StateRunner } from "./workers.js";

export interface LogCompactorOptions {
  readonly core: Pick<RaftCore, "appliedIndex" | "firstIndex" | "logBytes">;
  readonly state: Pick<StateRunner, "makeDurable">;
  readonly limits: Pick<ReplicaLimits, "catchUpEntries" | "logSlackEntries" | "logBytesMax">;
  /** The last entry that a snapshot under way holds; undefined if there is none. */
  readonly pinned: () => number | undefined;
  readonly step: (event: RaftEvent) => void;
}

/** Above so many times its limit the log is no longer kept for a snapshot: its receiver will need another one. */
const pinnedBytesFactor = 4;

export class LogCompactor {
  private readonly options: LogCompactorOptions;
  private underWay = false;

  constructor(options: LogCompactorOptions) {
    this.options = options;
  }

  /** Called after each applied batch. */
  applied(): void {
    if (this.underWay || this.target() === undefined) return;
    this.underWay = true;
    this.options.state.makeDurable((durableIndex) => {
      this.underWay = false;
      const index = Math.min(this.target() ?? 0, durableIndex);
      if (index >= this.options.core.firstIndex) this.options.step({ kind: "compact", index });
    });
  }

  /** The last index to drop, if it is time. */
  private target(): number | undefined {
    const { core, limits, pinned } = this.options;
    const appliedCount = core.appliedIndex - core.firstIndex + 1;
    const index = this.unpinnedTarget(appliedCount);
    if (index === undefined || core.logBytes > pinnedBytesFactor * limits.logBytesMax) return index;
    const target = Math.min(index, pinned() ?? index);
    return target >= core.firstIndex ? target : undefined;
  }

  private unpinnedTarget(appliedCount: number): number | undefined {
    const { core, limits } = this.options;
    if (core.logBytes > limits.logBytesMax && appliedCount > 1) return core.firstIndex + Math.floor(appliedCount / 2);
    if (appliedCount < limits.catchUpEntries + limits.logSlackEntries) return undefined;
    return core.appliedIndex - limits.catchUpEntries;
  }
}
