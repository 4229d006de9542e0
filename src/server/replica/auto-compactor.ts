/** Carries out automatic compaction while this member leads; see auto-compaction.ts for when it is time. */
import { status, WireError } from "../../../proto/status.js";
import type { RaftCore } from "../raft/core.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { CommandBody, StateReader } from "../state/types.js";
import { type AutoCompaction, type AutoCompactionRule, createAutoCompaction } from "./auto-compaction.js";

export interface AutoCompactorOptions {
  readonly core: Pick<RaftCore, "role">;
  readonly state: Pick<StateReader, "revision">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rule: AutoCompactionRule;
  readonly proposeAsLeader: (body: CommandBody) => Promise<unknown>;
}

export class AutoCompactor {
  private readonly options: AutoCompactorOptions;
  private readonly schedule: AutoCompaction;

  constructor(options: AutoCompactorOptions) {
    this.options = options;
    this.schedule = createAutoCompaction(options.rule, options.clock.monotonicMs());
  }

  /** Once a tick, on every member: whoever leads next has its samples. */
  tick(nowMs: number): void {
    const { core, state, logger, proposeAsLeader } = this.options;
    const target = this.schedule.due(nowMs, state.revision());
    if (target === undefined || core.role !== "leader") return;
    proposeAsLeader({ $case: "compact", value: { revision: BigInt(target), physical: false } }).then(
      () => logger.info("compacted automatically", { revision: target }),
      (error: unknown) => {
        // Somebody else compacted further already: that is what was wanted.
        if (error instanceof WireError && error.message === status.Compacted.message) return;
        logger.warn("failed to compact automatically", { revision: target, error });
      },
    );
  }
}
