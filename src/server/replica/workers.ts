/**
 * Where the durable work runs: behind two callbacks, so that a worker thread can take the place of the inline calls
 * without the turn noticing. Work is performed in the order it is given.
 */
import type { Entry } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Applied, State } from "../state/types.js";
import type { LogBatch, LogStore } from "../storage/types.js";

export interface LogRunner {
  /** Calls `done` once the batch is durable. */
  append(batch: LogBatch, done: () => void): void;
}

export interface StateRunner {
  /** Calls `done` with one result an entry once the whole range is applied. */
  apply(entries: readonly Entry[], done: (applied: readonly Applied[]) => void): void;
}

/** Told how long durable work took, in milliseconds; for metrics. */
export interface WorkObserver {
  logAppended(durationMs: number, bytes: number): void;
  stateApplied(durationMs: number): void;
  defragmented(durationMs: number): void;
  exported(durationMs: number): void;
}

interface Observed {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly observer: WorkObserver | undefined;
}

export function inlineLog(store: LogStore, { clock, observer }: Observed): LogRunner {
  return {
    append: (batch, done) => {
      const startedMs = clock.monotonicMs();
      store.append(batch);
      observer?.logAppended(clock.monotonicMs() - startedMs, bytesOf(batch));
      done();
    },
  };
}

export function inlineState(state: State, { clock, observer }: Observed): StateRunner {
  return {
    apply: (entries, done) => {
      const startedMs = clock.monotonicMs();
      const applied = state.apply(entries);
      observer?.stateApplied(clock.monotonicMs() - startedMs);
      done(applied);
    },
  };
}

function bytesOf(batch: LogBatch): number {
  return batch.entries.reduce((sum, { data }) => sum + data.byteLength, 0);
}
