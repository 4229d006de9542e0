/** Opens a member's data directory in threads: first the log, which says where the state is, then the state. */
import { openStateReader } from "../../state/open-reader.js";
import type { LogStoreOptions } from "../../storage/log-store.js";
import type { InitialState } from "../../storage/types.js";
import type { LogRunner, StateRunner, WorkObserver } from "../workers.js";
import { unpackOwnEntries } from "./packing.js";
import type { SpawnedThreads } from "./spawn.js";
import type { StateThreadOptions } from "./state-thread.js";
import { threadedLog } from "./threaded-log.js";
import { ThreadedState } from "./threaded-state.js";

export interface ThreadsOptions {
  readonly log: LogStoreOptions;
  /** What the state is opened with, once the log has said where it is. */
  readonly state: (initial: InitialState) => StateThreadOptions;
  /** Told once, about the first failure of any thread after the opening. The process must end then. */
  readonly onFatal: (error: unknown) => void;
  readonly observer: WorkObserver | undefined;
}

/** A member's data directory, opened. Whoever has it closes the log first and then the state. */
export interface Durable {
  /** Threads let go of its entries with the first append: that comes from a core which has taken them over. */
  readonly initial: InitialState;
  readonly log: LogRunner;
  readonly state: StateRunner;
}

/**
 * Lets threads open a data directory. Rejects with StorageRefused or StorageFailure, as the stores' own openers throw them;
 * the threads have ended then, and the directory is free.
 */
export function openThreads(threads: SpawnedThreads, options: ThreadsOptions): Promise<Durable> {
  return new Promise((resolve, reject) => {
    threads.fate.tell((error) => threads.close(() => reject(error)));
    const { dir, bootstrap, unsafeNoFsync } = options.log;
    threads.log.ask("open", { dir, bootstrap, unsafeNoFsync }, (packed) => {
      const { entries: packedEntries, ...others } = packed;
      const entries = unpackOwnEntries(packedEntries);
      const initial = { ...others, entries };
      openState(threads, options, initial, (state) => {
        threads.fate.tell(options.onFatal);
        const log = threadedLog(threads.log, options.observer, () => entries.splice(0));
        resolve({ initial, log, state });
      });
    });
  });
}

function openState(
  { state, helper, fate }: SpawnedThreads,
  options: ThreadsOptions,
  initial: InitialState,
  done: (state: StateRunner) => void,
): void {
  const { observer } = options;
  const stateOptions = options.state(initial);
  const { dir, file } = stateOptions;
  const onFailure = (failure: unknown): void => fate.fail(failure);
  const caller = { origin: initial.identity.memberId, boot: initial.bootCount };
  state.ask("open", { options: stateOptions, caller }, () => {
    const reader = openStateReader({ dir, file, onFailure });
    done(new ThreadedState({ state, helper, reader, dir, file, observer, onFailure }));
  });
}
