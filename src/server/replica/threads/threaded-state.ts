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
import { asFailure, ExportFailed, StorageFailure } from "../../storage/failure.js";
import { removeDatabase } from "../../storage/files.js";
import type { HashOutcome, StateFacts, StateRunner, WorkObserver } from "../workers.js";
import type { ExportOutcome, HelperWork } from "./helper-thread.js";
import type { ThreadLink } from "./link.js";
import { packEntries } from "./packing.js";
import type { StateWork } from "./state-thread.js";
import { WriteBack } from "./write-back.js";

export interface ThreadedStateOptions {
  readonly state: ThreadLink<StateWork>;
  readonly helper: ThreadLink<HelperWork>;
  readonly reader: StateReaderHandle;
  /** The data directory. */
  readonly dir: string;
  /** The state file that both threads and the reader have open. */
  readonly file: string;
  readonly observer: WorkObserver | undefined;
  /** Told about what fails in this thread. The process must end then. */
  readonly onFailure: (failure: unknown) => void;
}

/** What is applied before the helper looks whether a checkpoint is worth it. A small put changes several pages of 4 KiB. */
const checkpointAfterEntries = 200;
const checkpointAfterBytes = 1024 * 1024;

export class ThreadedState implements StateRunner {
  readonly reader: StateReader;
  file: string;
  private readonly options: ThreadedStateOptions;
  private helperFile: string | undefined;
  private checkpointing = false;
  private closing = false;
  /** The state thread is going over to another file and deletes this one. */
  private switching = false;
  private readonly postponed: (() => void)[] = [];
  /** Copies that the helper has not answered yet, and those of which nobody has been told. */
  private readonly writeBacks = new Set<WriteBack>();
  private readonly reports = new Set<Promise<void>>();
  /** Since the helper last looked. */
  private appliedEntries = 0;
  private appliedBytes = 0;

  constructor(options: ThreadedStateOptions) {
    this.options = options;
    this.reader = options.reader.reader;
    this.file = options.file;
  }

  apply(entries: readonly Entry[], done: (applied: readonly Applied[]) => void): void {
    const packed = packEntries(entries);
    this.appliedEntries += entries.length;
    this.appliedBytes += packed.byteLength;
    this.options.state.ask(
      "apply",
      packed,
      ({ applied, durationMs }) => {
        this.options.observer?.stateApplied(durationMs);
        const { reader } = this.options;
        const batch = unpackApplied(applied, reader);
        reader.outdated(batch.some(({ auth }) => auth !== undefined) ? "auth" : "no auth");
        done(batch);
        this.checkpoint();
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
    const worthwhile = this.appliedEntries >= checkpointAfterEntries || this.appliedBytes >= checkpointAfterBytes;
    if (this.checkpointing || this.closing || this.switching || !worthwhile) return;
    this.checkpointing = true;
    this.appliedEntries = 0;
    this.appliedBytes = 0;
    this.openHelper();
    this.options.helper.ask("checkpoint", undefined, () => {
      this.checkpointing = false;
    });
  }

  walBytes(): number {
    return statSync(`${join(this.options.dir, this.file)}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  exportTo(path: string, done: (result: StateFacts | ExportFailed) => void): void {
    this.whenInPlace(() => {
      const writeBack = new WriteBack(path);
      this.writeBacks.add(writeBack);
      this.options.helper.ask("exportTo", path, (outcome) => {
        this.writeBacks.delete(writeBack);
        const report = this.report({ path, writeBack, outcome }, done).finally(() => this.reports.delete(report));
        this.reports.add(report);
      });
    });
  }

  hashKv(revision: number, done: (outcome: HashOutcome) => void): void {
    this.whenInPlace(() => this.options.helper.ask("hashKv", revision, done));
  }

  hashAll(done: (hash: number) => void): void {
    this.whenInPlace(() => this.options.helper.ask("hashAll", undefined, done));
  }

  inspect(path: string, done: (facts: StateFacts | undefined) => void): void {
    this.options.helper.ask("inspect", path, done);
  }

  /** Reads and copies go on all the time; what they see is the old file until the new one is open. */
  open(file: string, done: () => void): void {
    const { state, reader } = this.options;
    this.switching = true;
    state.ask("switchFile", file, () => {
      this.switching = false;
      this.file = file;
      // It has the old file open, which is gone.
      if (this.helperFile !== undefined && !this.closing) this.openHelper();
      reader.switchFile(file);
      done();
      for (const work of this.postponed.splice(0)) if (!this.closing) this.whenInPlace(work);
    });
  }

  /** The connection that writes is closed last: only then is the write-ahead log moved into the file as a whole. */
  close(done: () => void): void {
    const { helper } = this.options;
    this.closing = true;
    // An answer would stop them too, but after a failure it never comes.
    for (const writeBack of this.writeBacks) void writeBack.stop().catch(this.options.onFailure);
    helper.close(() => void this.closeState(done));
  }

  private async closeState(done: () => void): Promise<void> {
    await Promise.all(this.reports);
    this.options.state.close(done, () => this.options.reader.close());
  }

  /** Says what became of a copy, once it is on the disk and closed. */
  private async report(copy: WrittenCopy, done: (result: StateFacts | ExportFailed) => void): Promise<void> {
    try {
      done(await resultOf(copy));
    } catch (error) {
      this.options.onFailure(error);
    }
  }

  /** Work for the helper, which cannot open a file that may be gone already: it waits until the next one is in place. */
  private whenInPlace(work: () => void): void {
    if (this.switching) {
      this.postponed.push(work);
      return;
    }
    this.openHelper();
    work();
  }

  /** The helper opens the file when it first has work to do, and follows when another one takes its place. */
  private openHelper(): void {
    if (this.helperFile === this.file) return;
    this.helperFile = this.file;
    this.options.helper.ask("open", { dir: this.options.dir, file: this.file }, () => undefined);
  }
}

/** A copy that the helper has answered. */
interface WrittenCopy {
  readonly path: string;
  readonly writeBack: WriteBack;
  readonly outcome: ExportOutcome;
}

/** Throws StorageFailure if nobody can tell what is on the disk. */
async function resultOf({ path, writeBack, outcome }: WrittenCopy): Promise<StateFacts | ExportFailed> {
  try {
    await writeBack.stop();
  } catch (error) {
    const failure = asFailure(error, path);
    if (!(failure instanceof StorageFailure) || failure.reason !== "full") throw failure;
    removeDatabase(path);
    return new ExportFailed(`no space for ${path}`, { cause: error });
  }
  return outcome.kind === "exported" ? outcome.facts : new ExportFailed(outcome.message);
}
