/**
 * The two durable things of a member: its log (the root of truth) and its replicated state.
 * Both are synchronous and may run inline or in a worker thread behind the same classes.
 */
import type { Entry, HardState, LogCompaction, MemberId, Membership, SnapshotMeta } from "../raft/types.js";
import type { StoredMember } from "./tables.js";

/** Who this member is. Fixed at bootstrap, read from disk ever after. */
export interface Identity {
  readonly clusterId: bigint;
  readonly memberId: MemberId;
}

/** What the log store holds when it is opened. */
export interface InitialState {
  readonly identity: Identity;
  readonly hardState: HardState;
  readonly firstIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  /** As of the entry before `firstIndex`. */
  readonly membership: Membership;
  /** The members that founded the cluster, as the bootstrap gave them; empty for a member that joined. */
  readonly founders?: readonly StoredMember[];
  /** File name (not a path) of the state file that the pointer row names. */
  readonly stateFile: string;
  /** Rises by one at every open; makes request ids unique over restarts. */
  readonly bootCount: number;
}

/**
 * What a new member writes before anything else. A founder starts after entry 1 of term 1, which stands for the founding of
 * the cluster: `membership` and the members in the state file are the snapshot at that index. A joiner starts from
 * nothing (no entry, no membership), so that the leader has to send it a snapshot first.
 */
export interface Bootstrap {
  readonly kind: "found" | "join";
  readonly identity: Identity;
  /** The founders; empty for a joiner. */
  readonly membership: Membership;
  /** The founders with their URLs, so that a state file that is lost early on can be made again whatever the flags say then. */
  readonly founders?: readonly StoredMember[];
  /** Unix seconds, for people who look into the file; 0 if not given. */
  readonly createdSeconds?: number;
}

/** One durable write: a single FULL transaction, one fsync. Mirrors the core's append effect. */
export interface LogBatch {
  readonly hardState: HardState | undefined;
  readonly truncateFrom: number | undefined;
  readonly entries: readonly Entry[];
  readonly compact: LogCompaction | undefined;
  /** Empties the log, lets it start after the snapshot, and moves the pointer to `install.file`. */
  readonly install: SnapshotMeta | undefined;
}

export interface LogStore {
  readonly initial: InitialState;
  /** Whoever needed the entries of `initial` has them now: they are let go, so that a dropped entry frees its memory. */
  releaseEntries(): void;
  /** Durable when it returns. Throws only what must end the process. */
  append(batch: LogBatch): void;
  /** Points at another state file, in one durable transaction (defrag, restore, snapshot install). */
  switchStateFile(stateFile: string): void;
  close(): void;
}

/** Bytes in the state file: allocated pages and pages in use. */
export interface StateSize {
  readonly allocatedBytes: number;
  readonly inUseBytes: number;
}
