/**
 * Work on the state file beside applying: physical compaction in small steps, snapshots, defragmentation.
 */
import { readdirSync, rmSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Code, status, WireError } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { defragState } from "../state/state.js";
import type { State } from "../state/types.js";
import { ExportFailed } from "../storage/failure.js";
import type { LogStore } from "../storage/types.js";
import type { ReplicaMaintenance } from "./types.js";
import type { WorkObserver } from "./workers.js";

export interface MaintenanceOptions {
  readonly state: State;
  readonly log: LogStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dataDir: string;
  readonly limits: { readonly compactionSleepMs: number };
  readonly onFatal: (error: unknown) => void;
  readonly observer: WorkObserver | undefined;
}

const snapshotName = /^snapshot-\d+\.db\.tmp$/;

export class Maintenance implements ReplicaMaintenance {
  private readonly options: MaintenanceOptions;
  private compacting: Promise<void> = Promise.resolve();
  private active = false;
  private again = false;
  private closed = false;
  private snapshotNumber = 0;

  constructor(options: MaintenanceOptions) {
    this.options = options;
    this.removeSnapshots();
    // A compaction that a crash interrupted goes on where its cursor stands.
    this.compactionStarted();
  }

  /** A compact revision was applied: delete what lies below it, one bounded step at a time. */
  compactionStarted(): void {
    this.again = true;
    if (this.active || this.closed) return;
    this.active = true;
    this.compacting = this.compact();
  }

  async compactionFinished(): Promise<void> {
    await this.compacting;
    if (this.closed) throw new WireError(status.Stopped);
  }

  async defragment(): Promise<void> {
    const startedMs = this.options.clock.monotonicMs();
    this.attempt(() => defragState(this.options.state, this.options.log, this.options.dataDir));
    this.options.observer?.defragmented(this.options.clock.monotonicMs() - startedMs);
  }

  async exportSnapshot(): Promise<{ readonly path: string; readonly sizeBytes: number }> {
    this.snapshotNumber += 1;
    const path = join(this.options.dataDir, `snapshot-${this.snapshotNumber}.db.tmp`);
    const startedMs = this.options.clock.monotonicMs();
    this.attempt(() => this.options.state.exportTo(path));
    this.options.observer?.exported(this.options.clock.monotonicMs() - startedMs);
    const { size } = await stat(path);
    return { path, sizeBytes: size };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.compacting;
    this.removeSnapshots();
  }

  /** A copy that could not be written leaves everything as it was; any other failure ends the member. */
  private attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof ExportFailed) throw new WireError({ code: Code.UNAVAILABLE, message: error.message });
      this.options.onFatal(error);
      throw new WireError(status.Stopped, { cause: error });
    }
  }

  /** Copies that nobody reads any more: their readers ended with the process, or end now. */
  private removeSnapshots(): void {
    const { dataDir } = this.options;
    for (const name of readdirSync(dataDir)) if (snapshotName.test(name)) rmSync(join(dataDir, name), { force: true });
  }

  private async compact(): Promise<void> {
    try {
      while (!this.closed && this.step()) await this.sleep(this.options.limits.compactionSleepMs);
    } catch (error) {
      this.options.onFatal(error);
    }
    this.active = false;
  }

  private step(): boolean {
    this.again = false;
    return this.options.state.compactStep() || this.again;
  }

  private sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.options.clock.after(delayMs, resolve));
  }
}
