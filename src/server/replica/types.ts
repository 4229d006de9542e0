/**
 * The replica as the api rooms see it: propose a command, wait until reads are linearizable, read the state.
 */

import type { Role } from "../raft/types.js";
import type { Applied, CommandBody, CommandResponse, StateReader } from "../state/types.js";

export interface WaitOptions {
  readonly signal: AbortSignal;
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
  propose<K extends CommandResponse["kind"]>(body: CommandBody, options: WaitOptions): Promise<Outcome<K>>;
  /** Resolves when local state holds everything acknowledged before the call (read index, spec 1.6). */
  linearizableRead(options: WaitOptions): Promise<void>;
  readonly leases: LeaseClock;
  readonly maintenance: ReplicaMaintenance;
}

/** Expiry as the leader keeps it; never decided by anyone else. */
export interface LeaseClock {
  /** Restarts the lease's time. Resolves to the full TTL in seconds, or 0 when the lease does not exist (any more). */
  renew(id: bigint, options: WaitOptions): Promise<number>;
  /** Whole seconds left, truncated; undefined when the lease does not exist. */
  remainingSeconds(id: bigint): number | undefined;
  /** Leases ordered by remaining time. */
  ordered(): readonly bigint[];
  /** Lowest TTL in seconds that is granted: ceil(3 x election ticks / 2 x heartbeat). */
  readonly ttlSecondsMin: number;
  /** A new positive id. */
  nextId(): bigint;
}

export interface ReplicaMaintenance {
  /** Rewrites the state file without free pages and switches to it. */
  defragment(): Promise<void>;
  /** Writes a consistent copy of the state to a new temporary file that the caller deletes. */
  exportSnapshot(): Promise<{ readonly path: string; readonly sizeBytes: number }>;
  /** Resolves when nothing is left to delete physically below the compact revision. */
  compactionFinished(options: WaitOptions): Promise<void>;
}

/** Called after each applied batch, before any waiting call is answered. */
export type AppliedListener = (batch: readonly Applied[]) => void;
