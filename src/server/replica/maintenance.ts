/**
 * Work on the state file beside applying: physical compaction in small steps, snapshots, defragmentation. It only asks the
 * runners and waits for their reports; nothing here holds up the event loop, and copies do not hold up applying.
 */
import { join } from "node:path";
import { Code, status, WireError } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { HashResult } from "../state/types.js";
import { ExportFailed } from "../storage/failure.js";
import { nextStateFile } from "../storage/files.js";
import type { ReplicaMaintenance, SnapshotFiles } from "./types.js";
import type { HashOutcome, LogRunner, StateFacts, StateRunner, WorkObserver } from "./workers.js";

export interface MaintenanceOptions {
  readonly state: StateRunner;
  readonly log: LogRunner;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly files: Pick<SnapshotFiles, "names" | "remove">;
  readonly limits: { readonly compactionSleepMs: number };
  /**
   * Resolves when nothing is being applied and nothing will be, nor another state file put in place, until the returned
   * function is called. Rejects with a WireError when that cannot be had now.
   */
  readonly pauseApply: () => Promise<() => void>;
  readonly observer: WorkObserver | undefined;
}

/** A copy of the state, in a file that whoever asked for it deletes. */
export interface ExportedState {
  readonly path: string;
  readonly sizeBytes: number;
  readonly facts: StateFacts;
}

const snapshotName = /^snapshot-\d+\.db\.tmp(-journal|-wal|-shm)?$/;

export class Maintenance implements ReplicaMaintenance {
  private readonly options: MaintenanceOptions;
  /** Called when the member ends, for calls whose report may never come. */
  private readonly stops = new Set<() => void>();
  private readonly awaitingCompaction = new Set<() => void>();
  private compacting = false;
  /** A compact revision was applied since the last step began. */
  private again = false;
  private defragmenting: Promise<void> = Promise.resolve();
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
    if (this.compacting || this.closed) return;
    this.compacting = true;
    this.compactStep();
  }

  async compactionFinished(): Promise<void> {
    if (this.closed) throw new WireError(status.Stopped);
    if (!this.compacting) return;
    await this.reported<void>((done) => this.awaitingCompaction.add(() => done()));
  }

  defragment(): Promise<void> {
    const turn = this.defragmenting.then(() => this.defragmentNow());
    this.defragmenting = turn.catch(() => undefined);
    return turn;
  }

  async exportSnapshot(): Promise<ExportedState> {
    this.snapshotNumber += 1;
    const path = join(this.options.dataDir, `snapshot-${this.snapshotNumber}.db.tmp`);
    const startedMs = this.options.clock.monotonicMs();
    const facts = await this.exportTo(path);
    this.options.observer?.exported(this.options.clock.monotonicMs() - startedMs);
    return { path, sizeBytes: facts.sizeBytes, facts };
  }

  async hashKv(revision: number): Promise<HashResult> {
    const outcome = await this.reported<HashOutcome>((done) => this.options.state.hashKv(revision, done));
    if (outcome.kind === "refused") throw new WireError(outcome.status);
    return outcome.result;
  }

  hashAll(): Promise<number> {
    return this.reported((done) => this.options.state.hashAll(done));
  }

  /** Rejects every call that waits. What the runners were asked for ends with them; copies go at the next start. */
  close(): void {
    this.closed = true;
    for (const stop of this.stops) stop();
    this.stops.clear();
  }

  private async defragmentNow(): Promise<void> {
    if (this.closed) throw new WireError(status.Stopped);
    const { clock, observer, pauseApply } = this.options;
    const startedMs = clock.monotonicMs();
    const resume = await pauseApply();
    try {
      await this.rewrite();
    } finally {
      resume();
    }
    // The new file has the compaction's cursor of the moment when it was copied.
    this.compactionStarted();
    observer?.defragmented(clock.monotonicMs() - startedMs);
  }

  /** The log's pointer decides which of the two files counts after a crash. */
  private async rewrite(): Promise<void> {
    const { state, log, files, dataDir } = this.options;
    const next = nextStateFile(state.file);
    // What an earlier attempt may have left: no pointer names it.
    files.remove(next);
    await this.exportTo(join(dataDir, next));
    await this.reported<void>((done) => log.switchStateFile(next, () => done()));
    await this.reported<void>((done) => state.open(next, () => done()));
  }

  private async exportTo(path: string): Promise<StateFacts> {
    const result = await this.reported<StateFacts | ExportFailed>((done) => this.options.state.exportTo(path, done));
    if (result instanceof ExportFailed) throw new WireError({ code: Code.UNAVAILABLE, message: result.message });
    return result;
  }

  /** Waits for a runner's report, and not beyond the end of the member: after a failure no report comes. */
  private reported<T>(ask: (done: (value: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(new WireError(status.Stopped));
      if (this.closed) {
        stop();
        return;
      }
      this.stops.add(stop);
      ask((value) => {
        this.stops.delete(stop);
        resolve(value);
      });
    });
  }

  /** Copies that nobody reads any more: their readers ended with the process. */
  private removeSnapshots(): void {
    const { files } = this.options;
    for (const name of files.names()) if (snapshotName.test(name)) files.remove(name);
  }

  private compactStep(): void {
    this.again = false;
    this.options.state.compactStep((more) => {
      if (this.closed) return;
      if (more || this.again) {
        this.options.clock.after(this.options.limits.compactionSleepMs, () => {
          if (!this.closed) this.compactStep();
        });
        return;
      }
      this.compacting = false;
      for (const done of this.awaitingCompaction) done();
      this.awaitingCompaction.clear();
    });
  }
}
