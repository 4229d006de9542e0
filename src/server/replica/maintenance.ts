/**
 * Work on the state file beside applying: physical compaction in small steps, snapshots, defragmentation.
 */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { status, WireError } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { defragState } from "../state/state.js";
import type { State } from "../state/types.js";
import type { LogStore } from "../storage/types.js";
import type { ReplicaMaintenance } from "./types.js";

export interface MaintenanceOptions {
  readonly state: State;
  readonly log: LogStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dataDir: string;
  readonly limits: { readonly compactionSleepMs: number };
  readonly onFatal: (error: unknown) => void;
}

export class Maintenance implements ReplicaMaintenance {
  private readonly options: MaintenanceOptions;
  private compacting: Promise<void> = Promise.resolve();
  private active = false;
  private again = false;
  private closed = false;
  private snapshotNumber = 0;
  private readonly snapshots = new Set<string>();

  constructor(options: MaintenanceOptions) {
    this.options = options;
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

  defragment(): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        defragState(this.options.state, this.options.log, this.options.dataDir);
        resolve();
      } catch (error) {
        this.options.onFatal(error);
        reject(new WireError(status.Stopped, { cause: error }));
      }
    });
  }

  async exportSnapshot(): Promise<{ readonly path: string; readonly sizeBytes: number }> {
    this.snapshotNumber += 1;
    const path = join(this.options.dataDir, `snapshot-${process.pid}-${this.snapshotNumber}.db.tmp`);
    this.snapshots.add(path);
    this.options.state.exportTo(path);
    const { size } = await stat(path);
    return { path, sizeBytes: size };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.compacting;
    await Promise.all([...this.snapshots].map((path) => rm(path, { force: true })));
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
