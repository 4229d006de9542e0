/** Defragmentation of a member that does not run (spec/cli.md 9.4). */
import { setTimeout as pause } from "node:timers/promises";
import { defragState, openState, stateBootstrapOf } from "../state/state.js";
import { StorageRefused } from "../storage/failure.js";
import { removeStrayStateFiles } from "../storage/files.js";
import { openLogStore } from "../storage/log-store.js";
import type { LogStore } from "../storage/types.js";
import { memberDirectory } from "./recognise.js";

const retryMs = 100;

/**
 * Writes the state into a new file without free pages and lets the log point at it, as a member that runs does. Waits
 * `waitMs` for a member that has the directory open. Rejects with OfflineRefused, StorageRefused (`inUse`), StorageFailure
 * or ExportFailed; nothing has changed then, or the directory needs the care that its message asks for.
 */
export async function defragDirectory(dataDir: string, { waitMs }: { readonly waitMs: number }): Promise<void> {
  const dir = memberDirectory(dataDir);
  const log = await whenFree(() => openLogStore({ dir }), waitMs);
  try {
    const { stateFile, identity } = log.initial;
    removeStrayStateFiles(dir, stateFile);
    const bootstrap = stateBootstrapOf(log.initial);
    const state = openState({ dir, file: stateFile, clusterId: identity.clusterId, bootstrap });
    try {
      defragState(state, log, dir);
    } finally {
      state.close();
    }
  } finally {
    log.close();
  }
}

async function whenFree(open: () => LogStore, waitMs: number): Promise<LogStore> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    try {
      return open();
    } catch (error) {
      const isBusy = error instanceof StorageRefused && error.reason === "inUse";
      if (!isBusy || performance.now() >= endMs) throw error;
    }
    await pause(Math.min(retryMs, Math.max(1, endMs - performance.now())));
  }
}
