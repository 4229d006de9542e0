/**
 * Reads of the state by a thread that does not write it: through a connection of its own, as fresh as the last commit, each
 * call consistent in itself.
 */
import { invariant } from "../invariant.js";
import type { StorageFailure } from "../storage/failure.js";
import { ReadStore } from "../storage/read-store.js";
import type { StateSource } from "../storage/state-store.js";
import { alarmsOf } from "./alarm.js";
import { FollowedAuth } from "./auth/followed.js";
import { Counters, type CounterValues } from "./counters.js";
import { type PreviousReader, previousReader } from "./mvcc/write.js";
import { LocalReader } from "./reader.js";
import type { Alarm, StateReader } from "./types.js";

export interface StateReaderOptions {
  readonly dir: string;
  /** File name inside `dir`; {@link openState} has made it, and its schema is in place. */
  readonly file: string;
  /** Told about every StorageFailure before it is thrown: a damaged pair found by a read has to end the process. */
  readonly onFailure?: ((failure: StorageFailure) => void) | undefined;
}

/** Owns its connection. */
export interface StateReaderHandle {
  /**
   * Its counters (`revision`, `appliedIndex` and so on) are those of the newest commit that any call has seen: never older than
   * the rows of an earlier call, and never going back.
   */
  readonly reader: StateReader;
  /** What a change replaced; see {@link unpackApplied}. */
  readonly previous: PreviousReader;
  /** There may be a new commit: whoever asks for the counters next, or for the auth store if it has changed, looks for it first. */
  outdated(auth: "auth" | "no auth"): void;
  /** Goes over to another file of the directory, which must not be older. */
  switchFile(file: string): void;
  close(): void;
}

/** Throws StorageRefused (`unsupportedVersion`) and StorageFailure. */
export function openStateReader({ dir, file, onFailure }: StateReaderOptions): StateReaderHandle {
  const counters = new Counters();
  let knownAlarms: readonly Alarm[] | undefined;
  const onChange = (source: StateSource): void => {
    follow(counters, source);
    knownAlarms = undefined;
    auth.outdated();
  };
  const store = new ReadStore({ dir, file, onChange, onFailure });
  const auth = new FollowedAuth(store);
  // Inside the read, which may find that the file has changed since.
  const list = (): readonly Alarm[] => store.read(() => (knownAlarms ??= alarmsOf(store.tables.alarms.all())));
  const previous = previousReader(store, () => counters.compactRevision);
  const fresh = new FreshCounters(counters, () => store.read(() => undefined));
  const switchFile = (next: string): void => {
    store.switchTo(next);
    fresh.refresh();
    auth.told();
  };
  fresh.refresh();
  const reader = new LocalReader({ store, counters: fresh, alarms: { list }, auth, previous });
  const outdated: StateReaderHandle["outdated"] = (what) => {
    fresh.outdated();
    if (what === "auth") auth.told();
  };
  return { reader, previous, outdated, switchFile, close: () => store.close() };
}

/**
 * The counters, read from the file when somebody asks: a member applies far more often than anybody wants to know how far it
 * is, and each look takes locks of the file.
 */
class FreshCounters implements CounterValues {
  readonly #counters: CounterValues;
  readonly #look: () => void;
  #outdated = false;

  constructor(counters: CounterValues, look: () => void) {
    this.#counters = counters;
    this.#look = look;
  }

  get revision(): number {
    return this.#current.revision;
  }
  get compactRevision(): number {
    return this.#current.compactRevision;
  }
  get appliedIndex(): number {
    return this.#current.appliedIndex;
  }
  get appliedTerm(): number {
    return this.#current.appliedTerm;
  }

  outdated(): void {
    this.#outdated = true;
  }

  refresh(): void {
    this.#outdated = false;
    this.#look();
  }

  get #current(): CounterValues {
    if (this.#outdated) this.refresh();
    return this.#counters;
  }
}

function follow(counters: Counters, source: StateSource): void {
  const { revision, appliedIndex } = counters;
  counters.load(source);
  const { revision: newRevision, appliedIndex: newAppliedIndex } = counters;
  invariant(newAppliedIndex >= appliedIndex && newRevision >= revision, "a state file went back in time", {
    appliedIndex,
    newAppliedIndex,
    revision,
    newRevision,
  });
}
