/**
 * The replica as the api rooms see it: propose a command, wait until reads are linearizable, read the state.
 */

import type { Role } from "../raft/types.js";
import type { Caller } from "../state/auth/types.js";
import type { Applied, CommandBody, CommandResponse, HashResult, Member, StateReader } from "../state/types.js";

export interface WaitOptions {
  readonly signal: AbortSignal;
}

export interface ProposeOptions extends WaitOptions {
  /** On whose behalf; somebody without credentials if not given. */
  readonly caller?: Caller;
}

/** What a proposal came to: the response, and the revision for its header. Failures reject with a WireError. */
export interface Outcome<K extends CommandResponse["kind"] = CommandResponse["kind"]> {
  readonly revision: number;
  readonly response: Extract<CommandResponse, { kind: K }>;
}

export interface ReplicaStatus {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly term: number;
  readonly role: Role;
  readonly leader: bigint | undefined;
  readonly learner: boolean;
  readonly committedIndex: number;
  readonly appliedIndex: number;
}

export interface Replica {
  status(): ReplicaStatus;
  /** Local state, as fresh as what has been applied. */
  readonly state: StateReader;
  /**
   * Replicates a command and waits for its result.
   * Rejects with a WireError: request too large, too many requests, timeout (7 s by default), server stopped, canceled.
   */
  propose<K extends CommandResponse["kind"]>(body: CommandBody, options: ProposeOptions): Promise<Outcome<K>>;
  /**
   * Proposes what rests on being the leader: appended by this member in its present term or not at all, and never forwarded.
   * The command is the server's own.
   * Rejects with NotLeader if it does not lead, else as `propose`.
   */
  proposeAsLeader<K extends CommandResponse["kind"]>(body: CommandBody, options: WaitOptions): Promise<Outcome<K>>;
  /** Resolves when local state holds everything acknowledged before the call (read index, spec 1.6). */
  linearizableRead(options: WaitOptions): Promise<void>;
  readonly leases: LeaseClock;
  readonly maintenance: ReplicaMaintenance;
  readonly members: MembershipControl;
}

/**
 * Changes of the membership and of the leadership. Each is decided by the leader, whoever is asked, and resolves when this
 * member has applied it. Rejects with the WireErrors of spec/server.md 6.1 and 6.2.
 */
export interface MembershipControl {
  /** Resolves to the new member; its id is chosen here (spec/server.md 6.3). */
  add(
    member: { readonly peerUrls: readonly string[]; readonly learner: boolean },
    options: WaitOptions,
  ): Promise<Member>;
  remove(id: bigint, options: WaitOptions): Promise<void>;
  update(id: bigint, peerUrls: readonly string[], options: WaitOptions): Promise<void>;
  promote(id: bigint, options: WaitOptions): Promise<void>;
  /** Resolves when `to` leads. Only the leader can: NotLeader, BadLeaderTransferee, TimeoutLeaderTransfer. */
  transfer(to: bigint, options: WaitOptions): Promise<void>;
}

/** The files of the data directory in which snapshots of peers come and go. Names have no directory. */
export interface SnapshotFiles {
  names(): readonly string[];
  /** Deletes a file, and what a database leaves beside it: the name is free at once, the space some time later. */
  remove(name: string): void;
  /** Opens a new file; an old one of this name is replaced. */
  create(name: string): Promise<FileWriter>;
}

export interface FileWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Closes the file; resolves when its bytes and its name survive a power cut. */
  finish(): Promise<void>;
  /** Closes and deletes the file. */
  discard(): Promise<void>;
}

/** Expiry as the leader keeps it; never decided by anyone else. */
export interface LeaseClock {
  /**
   * Restarts the lease's time, at the leader, wherever that is. Resolves to the full TTL in seconds, or 0 when the lease does
   * not exist (any more). Rejects with NoLeader, NotPrimaryLessor or a timeout (spec/server.md 5.4).
   */
  renew(id: bigint, options: WaitOptions): Promise<number>;
  /** What is left, as the leader knows it; undefined when the lease does not exist. Never a guess (spec/server.md 5.5). */
  timeToLive(id: bigint, options: WaitOptions): Promise<LeaseTime | undefined>;
  /** Leases ordered by remaining time. */
  ordered(): readonly bigint[];
  /** Lowest TTL in seconds that is granted: ceil(3 x election ticks / 2 x heartbeat). */
  readonly ttlSecondsMin: number;
  /** A new positive id. */
  nextId(): bigint;
}

export interface LeaseTime {
  /** Whole seconds, truncated. */
  readonly remainingSeconds: number;
  readonly grantedSeconds: number;
}

export interface ReplicaMaintenance {
  /** Rewrites the state file without free pages and switches to it. */
  defragment(): Promise<void>;
  /** Writes a consistent copy of the state to a new temporary file that the caller deletes. */
  exportSnapshot(): Promise<{ readonly path: string; readonly sizeBytes: number }>;
  /** etcd's HashKV at a revision (0: the newest), of this member. Rejects with FutureRev, Compacted or Stopped. */
  hashKv(revision: number): Promise<HashResult>;
  /** Hash over the whole state of this member; comparable between members of this implementation only. */
  hashAll(): Promise<number>;
  /** Resolves when nothing is left to delete physically below the compact revision. */
  compactionFinished(options: WaitOptions): Promise<void>;
}

/** Called after each applied batch, before any waiting call is answered. */
export type AppliedListener = (batch: readonly Applied[]) => void;
