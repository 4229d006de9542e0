/**
 * A member's data directory, opened: its log and its state, in threads of their own for a server, inline for tests that run
 * from source. Whoever opens it closes it.
 */
import { inlineLog, inlineState } from "./replica/inline.js";
import { type Durable, openThreads } from "./replica/threads/open.js";
import { SpawnedThreads } from "./replica/threads/spawn.js";
import type { WorkObserver } from "./replica/workers.js";
import type { Clock } from "./runtime/clock.js";
import { forceNewCluster } from "./state/force-new-cluster.js";
import { openState, type StateOptions, stateBootstrapOf } from "./state/state.js";
import type { State } from "./state/types.js";
import { removeStrayStateFiles } from "./storage/files.js";
import { openLogStore } from "./storage/log-store.js";
import type { Bootstrap, InitialState, LogStore } from "./storage/types.js";

/** Where durable work runs. */
export type DurableMode = "threads" | "inline";

export interface DurableOptions {
  /** The member's own directory inside the data directory. */
  readonly dir: string;
  /** What a member without data writes before anything else. */
  readonly bootstrap: Bootstrap | undefined;
  readonly unsafeNoFsync: boolean;
  readonly clock: Clock;
  readonly observer: WorkObserver | undefined;
  readonly onFatal: (error: unknown) => void;
}

/** Something that can open a data directory, once. */
export interface DurableOpener {
  /** Rejects with StorageRefused or StorageFailure; nothing is held then. */
  open(options: DurableOptions): Promise<Durable>;
  /** Instead of {@link open}: ends what was started for it. */
  abandon(): Promise<void>;
}

/** Starts what `mode` needs; threads load their code while the caller finds out what to open. */
export function prepareDurable(mode: DurableMode): DurableOpener {
  switch (mode) {
    case "inline":
      return { open: async (options) => openInline(options), abandon: async () => undefined };
    case "threads": {
      const threads = new SpawnedThreads();
      return {
        open: (options) =>
          openThreads(threads, { ...options, log: options, state: (initial) => stateOptions(options, initial) }),
        abandon: () => new Promise((resolve) => threads.close(resolve)),
      };
    }
  }
}

/** Closes both, the log first: nothing is applied that is not in the log. */
export async function closeDurable({ log, state }: Durable): Promise<void> {
  await new Promise<void>((resolve) => log.close(resolve));
  await new Promise<void>((resolve) => state.close(resolve));
}

/** Leaves this member as the only one of its cluster; returns who is left out. Throws StorageRefused or StorageFailure. */
export function forgetOthers(options: DurableOptions): readonly bigint[] {
  const { log, state } = openStores(options);
  try {
    return forceNewCluster(log, state.reader);
  } finally {
    state.close();
    log.close();
  }
}

function openInline(options: DurableOptions): Durable {
  const { log, state } = openStores(options);
  const shared = { ...options, dataDir: options.dir };
  return { initial: log.initial, log: inlineLog(log, shared), state: inlineState(state, shared) };
}

interface Stores {
  readonly log: LogStore;
  readonly state: State;
}

function openStores(options: DurableOptions): Stores {
  const log = openLogStore(options);
  try {
    return { log, state: openState({ ...stateOptions(options, log.initial), onFailure: options.onFatal }) };
  } catch (error) {
    log.close();
    throw error;
  }
}

/** While the log still goes back to the member's beginning, a state file that is missing or empty is made again from it. */
function stateOptions({ dir, unsafeNoFsync }: DurableOptions, initial: InitialState): Omit<StateOptions, "onFailure"> {
  removeStrayStateFiles(dir, initial.stateFile);
  return {
    dir,
    file: initial.stateFile,
    clusterId: initial.identity.clusterId,
    bootstrap: stateBootstrapOf(initial),
    unsafeNoFsync,
  };
}
