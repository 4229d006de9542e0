/**
 * The thread for work on the state file that may take long and must hold up neither applying nor the event loop: moving
 * the write-ahead log into the file, copies, hashes, and the inspection of files from elsewhere. Has a connection of its own.
 */
import { Counters } from "../../state/counters.js";
import { hashAll, hashKv } from "../../state/mvcc/hash.js";
import type { ReadPoint } from "../../state/mvcc/read.js";
import { ExportFailed } from "../../storage/failure.js";
import { inspectStateFile } from "../../storage/inspect.js";
import { type StateSource, StateStore } from "../../storage/state-store.js";
import { factsOfCopy, hashOutcome } from "../inline.js";
import type { HashOutcome, StateFacts } from "../workers.js";
import { opened, serve } from "./serve.js";

/** A class does not survive the way between threads. */
export type ExportOutcome =
  | { readonly kind: "exported"; readonly facts: StateFacts }
  | { readonly kind: "failed"; readonly message: string };

export interface HelperWork {
  /** Goes over to a state file that the state thread has opened. */
  readonly open: { readonly request: { readonly dir: string; readonly file: string }; readonly answer: undefined };
  readonly checkpoint: { readonly request: undefined; readonly answer: undefined };
  readonly exportTo: { readonly request: string; readonly answer: ExportOutcome };
  readonly hashKv: { readonly request: number; readonly answer: HashOutcome };
  readonly hashAll: { readonly request: undefined; readonly answer: number };
  readonly inspect: { readonly request: string; readonly answer: StateFacts | undefined };
}

let store: StateStore | undefined;

function exportTo(path: string): ExportOutcome {
  try {
    opened(store).exportTo(path);
  } catch (error) {
    if (error instanceof ExportFailed) return { kind: "failed", message: error.message };
    throw error;
  }
  return { kind: "exported", facts: factsOfCopy(path) };
}

/** What is applied meanwhile is not seen. */
function atOneCommit<T>(work: (source: StateSource, point: ReadPoint) => T): T {
  const source = opened(store);
  return source.readSnapshot(() => {
    const counters = new Counters();
    counters.load(source);
    return work(source, counters);
  });
}

serve<HelperWork>(
  {
    open: ({ dir, file }) => {
      const next = new StateStore({ dir, file, mode: "beside" });
      store?.close();
      store = next;
      return { answer: undefined };
    },
    checkpoint: () => {
      opened(store).checkpoint();
      return { answer: undefined };
    },
    exportTo: (path) => ({ answer: exportTo(path) }),
    hashKv: (revision) => ({
      answer: hashOutcome(() => atOneCommit((source, point) => hashKv(source, point, revision))),
    }),
    hashAll: () => ({ answer: atOneCommit(hashAll) }),
    inspect: (path) => ({ answer: inspectStateFile(path) }),
  },
  () => store?.close(),
);
