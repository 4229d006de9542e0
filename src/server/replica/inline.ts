/**
 * Durable work in the thread that asks for it: for the simulator, which delays it as it likes, and for tests. The work of
 * a runner is performed in order, and so are its reports; without a scheduler both happen inside the call.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { WireError } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import type { Clock } from "../runtime/clock.js";
import type { HashResult, State } from "../state/types.js";
import { ExportFailed } from "../storage/failure.js";
import { inspectStateFile, readStateFacts } from "../storage/inspect.js";
import type { LogBatch, LogStore } from "../storage/types.js";
import { atOnce, type Defer, Lane } from "./lane.js";
import type { HashOutcome, LogRunner, StateFacts, StateRunner, WorkObserver } from "./workers.js";

export interface InlineOptions {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly observer: WorkObserver | undefined;
  readonly onFatal: (error: unknown) => void;
  /** Delays each piece of work and, separately, each report; at once if undefined. */
  readonly defer?: Defer | undefined;
}

export interface InlineStateOptions extends InlineOptions {
  /** The data directory. */
  readonly dataDir: string;
}

export function inlineLog(store: LogStore, options: InlineOptions): LogRunner {
  const lanes = new Lanes(options);
  const { clock, observer } = options;
  return {
    append: (batch, done) =>
      lanes.perform(() => {
        const startedMs = clock.monotonicMs();
        store.append(batch);
        observer?.logAppended(clock.monotonicMs() - startedMs, bytesOf(batch));
      }, done),
    switchStateFile: (file, done) => lanes.perform(() => store.switchStateFile(file), done),
    close: (done) => lanes.close(() => store.close(), done),
  };
}

export function inlineState(state: State, options: InlineStateOptions): StateRunner {
  const lanes = new Lanes(options);
  const { clock, observer, dataDir } = options;
  return {
    reader: state.reader,
    get file(): string {
      return state.file;
    },
    apply: (entries, done) =>
      lanes.perform(() => {
        const startedMs = clock.monotonicMs();
        const applied = state.apply(entries);
        observer?.stateApplied(clock.monotonicMs() - startedMs);
        return applied;
      }, done),
    makeDurable: (done) => lanes.perform(() => state.makeDurable(), done),
    compactStep: (done) => lanes.perform(() => state.compactStep(), done),
    checkpoint: () =>
      lanes.perform(
        () => state.checkpoint(),
        () => undefined,
      ),
    walBytes: () => statSync(`${join(dataDir, state.file)}-wal`, { throwIfNoEntry: false })?.size ?? 0,
    exportTo: (path, done) => lanes.perform(() => exportTo(state, path), done),
    hashKv: (revision, done) => lanes.perform(() => hashOutcome(() => state.reader.hashKv(revision)), done),
    hashAll: (done) => lanes.perform(() => state.reader.hashAll(), done),
    inspect: (path, done) => lanes.perform(() => inspectStateFile(path), done),
    // The pointer has been moved before.
    open: (file, done) => lanes.perform(() => state.switchFile(file, () => undefined), done),
    close: (done) => lanes.close(() => state.close(), done),
  };
}

/** What is performed, and what is reported of it, each in order. A failure stops both. */
class Lanes {
  private readonly work: Lane;
  private readonly reports: Lane;
  private readonly onFatal: (error: unknown) => void;
  private failed = false;

  constructor({ defer = atOnce, onFatal }: InlineOptions) {
    this.work = new Lane(defer);
    this.reports = new Lane(defer);
    this.onFatal = onFatal;
  }

  perform<T>(work: () => T, done: (result: T) => void): void {
    this.work.push(() => {
      if (this.failed) return;
      const outcome = this.attempt(work);
      if (outcome !== undefined) this.report(() => done(outcome.result));
    });
  }

  /** Ends in any case: after a failure there is nothing left to wait for. */
  close(work: () => void, done: () => void): void {
    this.work.push(() => {
      if (!this.failed) this.attempt(work);
      this.reports.push(done);
    });
  }

  private report(done: () => void): void {
    this.reports.push(() => {
      if (!this.failed) this.attempt(done);
    });
  }

  private attempt<T>(work: () => T): { readonly result: T } | undefined {
    try {
      return { result: work() };
    } catch (error) {
      this.failed = true;
      this.onFatal(error);
      return undefined;
    }
  }
}

function exportTo(state: Pick<State, "exportTo">, path: string): StateFacts | ExportFailed {
  try {
    state.exportTo(path);
  } catch (error) {
    if (error instanceof ExportFailed) return error;
    throw error;
  }
  return factsOfCopy(path);
}

/** A class does not survive the way between threads, so a refusal is a value. */
export function hashOutcome(hash: () => HashResult): HashOutcome {
  try {
    return { kind: "hashed", result: hash() };
  } catch (error) {
    if (error instanceof WireError) return { kind: "refused", status: { code: error.code, message: error.message } };
    throw error;
  }
}

/** What was just written from a sound file says what it is. */
export function factsOfCopy(path: string): StateFacts {
  const facts = readStateFacts(path);
  invariant(facts !== undefined, "a copy of the state holds no state", { path });
  return facts;
}

/** Bytes of the entries' data; what metrics count as written. */
export function bytesOf(batch: LogBatch): number {
  return batch.entries.reduce((sum, { data }) => sum + data.byteLength, 0);
}
