/**
 * Where the durable work runs: behind callbacks, so that the turn does not notice whether it runs in this thread (inline.ts)
 * or in others (threads/). Work is performed in the order it is given. Whatever fails is told to the owner's `onFatal`, once;
 * after that no `done` is called any more, except that of `close`.
 */
import type { WireStatus } from "../../../proto/status.js";
import type { Entry } from "../raft/types.js";
import type { Applied, HashResult, StateReader } from "../state/types.js";
import type { ExportFailed } from "../storage/failure.js";
import type { StateFileFacts } from "../storage/inspect.js";
import type { LogBatch } from "../storage/types.js";

export interface LogRunner {
  /** Calls `done` once the batch is durable. Batches are performed in the order they are given. */
  append(batch: LogBatch, done: () => void): void;
  /** Points at another state file; calls `done` once that is durable. */
  switchStateFile(file: string, done: () => void): void;
  /** Calls `done` when everything given before is performed and the file is closed. */
  close(done: () => void): void;
}

/** Work on the state. Apart from copies, hashes and `inspect`, which hold nothing up, it is performed in the order given. */
export interface StateRunner {
  /** Readable at once and without waiting, at least as fresh as the last `done` of `apply`. Stays valid over `open`. */
  readonly reader: StateReader;
  /** Name of the file that is open. */
  readonly file: string;
  /** Calls `done` with one result an entry once the whole range is applied. */
  apply(entries: readonly Entry[], done: (applied: readonly Applied[]) => void): void;
  /** Makes everything applied so far survive a power cut; calls `done` with that applied index. */
  makeDurable(done: (appliedIndex: number) => void): void;
  /** One step of physical compaction; `more` is false when nothing is left to do. */
  compactStep(done: (more: boolean) => void): void;
  /** Called when there may be time: moves pages from the write-ahead log into the file. */
  checkpoint(): void;
  /** Bytes of the write-ahead log's file. It grows while a long read keeps it from being emptied. */
  walBytes(): number;
  /** Writes a compact, consistent, durable copy; its facts, or why it could not be written (nothing is left behind then). */
  exportTo(path: string, done: (result: StateFacts | ExportFailed) => void): void;
  /** etcd's HashKV over what a reader at this revision sees (0: the newest); a large state takes seconds. */
  hashKv(revision: number, done: (outcome: HashOutcome) => void): void;
  /** Hash over the whole state; comparable between members of this implementation only. */
  hashAll(done: (hash: number) => void): void;
  /** Reads a state file that came from elsewhere; undefined if it is damaged or not a state file. */
  inspect(path: string, done: (facts: StateFacts | undefined) => void): void;
  /** Goes over to another state file of the data directory and deletes the old one. Nothing may be applied meanwhile. */
  open(file: string, done: () => void): void;
  /** Calls `done` when everything given before is performed and the files are closed. */
  close(done: () => void): void;
}

export type StateFacts = StateFileFacts;

/** Refused: the revision is compacted or in the future. */
export type HashOutcome =
  | { readonly kind: "hashed"; readonly result: HashResult }
  | { readonly kind: "refused"; readonly status: WireStatus };

/** Told how long durable work took, in milliseconds; for metrics. */
export interface WorkObserver {
  logAppended(durationMs: number, bytes: number): void;
  stateApplied(durationMs: number): void;
  defragmented(durationMs: number): void;
  exported(durationMs: number): void;
}
