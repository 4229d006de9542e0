/**
 * The state behind two threads: one applies, the other does what takes long. This thread reads through a connection of its
 * own that never writes.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Entry } from "../../raft/types.js";
import type { StateReaderHandle } from "../../state/open-reader.js";
import { unpackApplied } from "../../state/packed.js";
import type { Applied, StateReader } from "../../state/types.js";
import { ExportFailed } from "../../storage/failure.js";
import type { StateFacts, StateRunner, WorkObserver } from "../workers.js";
import type { ExportOutcome, HelperWork } from "./helper-thread.js";
import type { ThreadLink } from "./link.js";
import { packEntries } from "./packing.js";
import type { StateWork } from "./state-thread.js";

export interface ThreadedStateOptions {
  readonly state: ThreadLink<StateWork>;
  readonly helper: ThreadLink<HelperWork>;
  readonly reader: StateReaderHandle;
  /** The data directory. */
  readonly dir: string;
  /** The state file that both threads and the reader have open. */
  readonly file: string;
  readonly observer: WorkObserver | undefined;
}

/**
 * Applied bytes after which the helper looks whether the write-ahead log is worth a checkpoint; a put of a few bytes
 * changes several pages of 4 KiB.
 */
const checkpointAfterEntries = 200;
const checkpointAfterBytes = 1024 * 1024;

export class ThreadedState implements StateRunner {
  readonly reader: StateReader;
  file: string;
  private readonly options: ThreadedStateOptions;
  private checkpointing = false;
  private entriesSinceCheckpoint = 0;
  private bytesSinceCheckpoint = 0;

  constructor(options: ThreadedStateOptions) {
    this.options = options;
    this.reader = options.reader.reader;
    this.file = options.file;
  }

  apply(entries: readonly Entry[], done: (applied: readonly Applied[]) => void): void {
    const packed = packEntries(entries);
    this.entriesSinceCheckpoint += entries.length;
    this.bytesSinceCheckpoint += packed.byteLength;
    this.options.state.ask(
      "apply",
      packed,
      ({ applied, durationMs }) => {
        this.options.observer?.stateApplied(durationMs);
        const { reader } = this.options;
        reader.refresh();
        done(unpackApplied(applied, reader));
        if (this.worthCheckpoint()) this.checkpoint();
      },
      [packed],
    );
  }

  makeDurable(done: (appliedIndex: number) => void): void {
    this.options.state.ask("makeDurable", undefined, done);
  }

  compactStep(done: (more: boolean) => void): void {
    this.options.state.ask("compactStep", undefined, done);
  }

  checkpoint(): void {
    if (this.checkpointing) return;
    this.checkpointing = true;
    this.entriesSinceCheckpoint = 0;
    this.bytesSinceCheckpoint = 0;
    this.options.helper.ask("checkpoint", undefined, () => {
      this.checkpointing = false;
    });
  }

  walBytes(): number {
    return statSync(`${join(this.options.dir, this.file)}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  exportTo(path: string, done: (result: StateFacts | ExportFailed) => void): void {
    const answered = (outcome: ExportOutcome): void =>
      done(outcome.kind === "exported" ? outcome.facts : new ExportFailed(outcome.message));
    this.options.helper.ask("exportTo", path, answered);
  }

  inspect(path: string, done: (facts: StateFacts | undefined) => void): void {
    this.options.helper.ask("inspect", path, done);
  }

  /** Reads and copies go on all the time; what they see is the old file until the new one is open. */
  open(file: string, done: () => void): void {
    const { helper, state, reader, dir } = this.options;
    state.ask("switchFile", file, () => {
      this.file = file;
      helper.ask("open", { dir, file }, () => {
        reader.switchFile(file);
        done();
      });
    });
  }

  /** The connection that writes is closed last: only then is the write-ahead log moved into the file as a whole. */
  close(done: () => void): void {
    const { helper, state, reader } = this.options;
    helper.close(() => state.close(done, () => reader.close()));
  }

  private worthCheckpoint(): boolean {
    return this.entriesSinceCheckpoint >= checkpointAfterEntries || this.bytesSinceCheckpoint >= checkpointAfterBytes;
  }
}
