/** The thread that owns raft.db: it waits for the disk so that nobody else has to. */
import type { HardState, LogCompaction, SnapshotMeta } from "../../raft/types.js";
import { type LogStoreOptions, openLogStore } from "../../storage/log-store.js";
import type { InitialState, LogStore } from "../../storage/types.js";
import { packEntries, unpackEntries } from "./packing.js";
import { opened, serve } from "./serve.js";

/** A batch as it travels; `entries` are packed. */
export interface PackedBatch {
  readonly hardState: HardState | undefined;
  readonly truncateFrom: number | undefined;
  readonly entries: ArrayBuffer;
  readonly compact: LogCompaction | undefined;
  readonly install: SnapshotMeta | undefined;
}

/** What the log held when it was opened; `entries` are packed. */
export interface PackedInitial extends Omit<InitialState, "entries"> {
  readonly entries: ArrayBuffer;
}

export interface LogWork {
  readonly open: { readonly request: LogStoreOptions; readonly answer: PackedInitial };
  readonly append: { readonly request: PackedBatch; readonly answer: { readonly durationMs: number } };
  readonly switchStateFile: { readonly request: string; readonly answer: undefined };
}

let store: LogStore | undefined;

serve<LogWork>(
  {
    open: (options) => {
      store = openLogStore(options);
      const entries = packEntries(store.initial.entries);
      store.releaseEntries();
      return { answer: { ...store.initial, entries }, transfer: [entries] };
    },
    append: ({ entries, ...batch }) => {
      const startedMs = performance.now();
      opened(store).append({ ...batch, entries: unpackEntries(entries) });
      return { answer: { durationMs: performance.now() - startedMs } };
    },
    switchStateFile: (file) => {
      opened(store).switchStateFile(file);
      return { answer: undefined };
    },
  },
  () => store?.close(),
);
