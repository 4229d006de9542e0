/**
 * The thread for work on the state file that may take long and must hold up neither applying nor the event loop: moving
 * the write-ahead log into the file, copies, and the inspection of files from elsewhere. Has a connection of its own.
 */
import { ExportFailed } from "../../storage/failure.js";
import { inspectStateFile } from "../../storage/inspect.js";
import { StateStore } from "../../storage/state-store.js";
import { factsOfCopy } from "../inline.js";
import type { StateFacts } from "../workers.js";
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
    inspect: (path) => ({ answer: inspectStateFile(path) }),
  },
  () => store?.close(),
);
