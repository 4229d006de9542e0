/**
 * Where the durable work runs: behind two callbacks, so that a worker thread can take the place of the inline calls
 * without the turn noticing. Work is performed in the order it is given.
 */
import type { Entry } from "../raft/types.js";
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

export function inlineLog(store: LogStore): LogRunner {
  return {
    append: (batch, done) => {
      store.append(batch);
      done();
    },
  };
}

export function inlineState(state: State): StateRunner {
  return { apply: (entries, done) => done(state.apply(entries)) };
}
