/** The state of one member, opened from its file: what applies, what reads, and what keeps the file in shape. */
import { join } from "node:path";
import { invariant } from "../invariant.js";
import type { Entry } from "../raft/types.js";
import { type StorageFailure, StorageRefused } from "../storage/failure.js";
import { createDirectory, nextStateFile, removeDatabase } from "../storage/files.js";
import { StateStore } from "../storage/state-store.js";
import type { InitialState, LogStore } from "../storage/types.js";
import { Alarms } from "./alarm.js";
import { Auth } from "./auth/auth.js";
import { Counters } from "./counters.js";
import { CommandMachine } from "./machine.js";
import { compactStep } from "./mvcc/compact.js";
import { previousReader } from "./mvcc/write.js";
import { LocalReader } from "./reader.js";
import { StateHash } from "./state-hash.js";
import type { Applied, Member, State } from "./types.js";

export interface StateOptions {
  readonly dir: string;
  /** File name inside `dir`, as {@link LogStore.initial} names it. */
  readonly file: string;
  readonly clusterId: bigint;
  /**
   * What a new member starts from. Give it only while the log still starts at its first entry (see {@link stateBootstrapOf}):
   * then a file that is missing or empty can be made again from the log. Ignored if the file holds a state.
   */
  readonly bootstrap?: StateBootstrap | undefined;
  /** Applied entries from one mark of the rolling hash to the next; 1024 if not given, and the same on all members. */
  readonly markIntervalEntries?: number | undefined;
  /** Never waits for the disk. For tests. */
  readonly unsafeNoFsync?: boolean | undefined;
  /** Told about every StorageFailure before it is thrown; a damaged pair found by a read has to end the process too. */
  readonly onFailure?: ((failure: StorageFailure) => void) | undefined;
}

/** A founder's state stands for entry 1 of term 1 and holds the founders. A joiner's is empty and has applied nothing. */
export type StateBootstrap =
  | { readonly kind: "found"; readonly members: readonly Member[] }
  | { readonly kind: "join" };

/** What the state file can be made again from, as long as the log goes back to the start of this member's history. */
export function stateBootstrapOf({
  firstIndex,
  previousTerm,
  founders = [],
}: InitialState): StateBootstrap | undefined {
  if (firstIndex === 1) return { kind: "join" };
  const sinceFounding = firstIndex === 2 && previousTerm === 1 && founders.length > 0;
  return sinceFounding ? { kind: "found", members: founders } : undefined;
}

/** Rows that one step of physical compaction looks at: about a millisecond of work. */
const compactRowsMax = 1000;

/** Throws StorageRefused (`notInitialized`, `wrongCluster`, `unsupportedVersion`) and StorageFailure. */
export function openState(options: StateOptions): State {
  const { dir, file, bootstrap, unsafeNoFsync, onFailure } = options;
  if (bootstrap !== undefined) createDirectory(dir);
  const mode = bootstrap === undefined ? "existing" : "create";
  const store = new StateStore({ dir, file, mode, unsafeNoFsync, onFailure });
  try {
    initialize(store, options);
    return new SqliteState(store, options.markIntervalEntries);
  } catch (error) {
    store.close();
    throw error;
  }
}

/** A new file gets the cluster id and the first members; an old one must belong to the cluster. */
function initialize(store: StateStore, { clusterId, bootstrap }: StateOptions): void {
  const found = store.read(() => store.tables.meta.clusterId());
  const path = join(store.dir, store.file);
  if (found === undefined) {
    if (bootstrap === undefined) throw new StorageRefused("notInitialized", `${path} is empty; replace this member`);
    store.writeDurably(() => writeStart(store, clusterId, bootstrap));
    return;
  }
  if (found === clusterId) return;
  const ids = `it belongs to cluster ${found.toString(16)}, this member to ${clusterId.toString(16)}`;
  throw new StorageRefused("wrongCluster", `${path}: ${ids}`);
}

function writeStart({ tables: { meta, members } }: StateStore, clusterId: bigint, bootstrap: StateBootstrap): void {
  meta.putClusterId(clusterId);
  if (bootstrap.kind === "join") return;
  meta.putNumber("applied_index", 1);
  meta.putNumber("applied_term", 1);
  for (const member of bootstrap.members) members.put(member);
}

/** Owns the store. */
class SqliteState implements State {
  readonly reader: LocalReader;
  readonly #store: StateStore;
  readonly #counters = new Counters();
  readonly #alarms: Alarms;
  readonly #auth: Auth;
  readonly #hash: StateHash;
  readonly #machine: CommandMachine;

  constructor(store: StateStore, markIntervalEntries: number | undefined) {
    this.#store = store;
    this.#alarms = new Alarms(store);
    this.#auth = new Auth(store);
    const previous = previousReader(store, () => this.#counters.compactRevision);
    this.#hash = new StateHash(markIntervalEntries);
    const [auth, counters, alarms, hash] = [this.#auth, this.#counters, this.#alarms, this.#hash];
    this.#machine = new CommandMachine({ store, counters, alarms, auth, previous, hash });
    // Who reads here has applied it: nothing can be newer.
    const source = { known: () => auth, current: () => auth };
    this.reader = new LocalReader({ store, counters, alarms, auth: source, previous });
    this.#load();
  }

  get file(): string {
    return this.#store.file;
  }

  apply(entries: readonly Entry[]): readonly Applied[] {
    return this.#machine.apply(entries);
  }

  makeDurable(): number {
    const { appliedIndex } = this.#counters;
    // A sync covers every earlier commit, but only a commit that changes something syncs.
    this.#store.writeDurably(() => this.#store.tables.meta.putNumber("durable_index", appliedIndex));
    return appliedIndex;
  }

  compactStep(rowsMax = compactRowsMax): boolean {
    return compactStep(this.#store, this.#counters.compactRevision, rowsMax);
  }

  checkpoint(): void {
    this.#store.checkpoint();
  }

  exportTo(path: string): void {
    this.#store.exportTo(path);
  }

  switchFile(file: string, commit: () => void): void {
    const { revision, appliedIndex } = this.#counters;
    this.#store.switchTo(file, commit);
    this.#load();
    const { revision: newRevision, appliedIndex: newAppliedIndex } = this.#counters;
    invariant(newAppliedIndex >= appliedIndex && newRevision >= revision, "a state file went back in time", {
      appliedIndex,
      newAppliedIndex,
      revision,
      newRevision,
    });
  }

  close(): void {
    this.#store.close();
  }

  #load(): void {
    this.#store.read(() => {
      this.#counters.load(this.#store);
      this.#alarms.load();
      this.#auth.load();
      this.#hash.load(this.#store);
    });
  }
}

/**
 * Writes the state into a new file without free pages and goes over to it; the log's pointer decides which of the two counts
 * after a crash. Nothing may be applied meanwhile. The reader stays valid. Throws ExportFailed if there is no room for the
 * copy; then nothing has changed.
 */
export function defragState(state: State, log: LogStore, dir: string): void {
  const next = nextStateFile(state.file);
  // What an earlier attempt may have left: no pointer names it.
  removeDatabase(join(dir, next));
  state.exportTo(join(dir, next));
  state.switchFile(next, () => log.switchStateFile(next));
}
