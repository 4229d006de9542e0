/**
 * What a replica is built from. Everything that touches the world is handed in, so that production and the simulator run
 * the same wiring (assemble.ts).
 */
import type { RaftCore } from "../raft/core.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Random } from "../runtime/random.js";
import type { Identity } from "../storage/types.js";
import type { AutoCompactionRule } from "./auto-compaction.js";
import type { PeerAddress, Peers } from "./peers.js";
import type { AppliedListener, SnapshotFiles } from "./types.js";
import type { LogRunner, StateRunner, WorkObserver } from "./workers.js";

export interface ReplicaLimits {
  readonly heartbeatMs: number;
  readonly electionMs: number;
  /** Server-side bound on a request: 5 s + 2 x election timeout (spec/server.md 1.2). */
  readonly requestTimeoutMs: number;
  readonly requestBytesMax: number;
  /** Log entries kept behind what is applied, for members that lag. */
  readonly catchUpEntries: number;
  /** Entries beyond the catch-up tail that pile up before they are dropped in one go. */
  readonly logSlackEntries: number;
  /** Bytes of log kept in memory; above it, half of what is applied goes, catch-up or not. */
  readonly logBytesMax: number;
  readonly compactionSleepMs: number;
}

/** What an operator decides about changes of the membership (spec/server.md 6.2). */
export interface ReconfigurationRules {
  /** Refuse changes that would lose the quorum of the members that are up. */
  readonly strict: boolean;
  readonly learnersMax: number;
}

export interface ReplicaOptions {
  readonly core: RaftCore;
  readonly identity: Identity;
  /** Rises by one at every start of this member. */
  readonly bootCount: number;
  readonly log: LogRunner;
  readonly state: StateRunner;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls back once, after the events that are ready now have been handled. */
  readonly schedule: (work: () => void) => void;
  readonly peers: Peers;
  /** Whom a member talks to that does not know the members yet, because it joins: it needs somebody to answer to. */
  readonly firstPeers: readonly PeerAddress[];
  readonly logger: Logger;
  readonly limits: ReplicaLimits;
  readonly reconfiguration: ReconfigurationRules;
  /** Write what is left of long leases to the log now and then (spec/server.md 5.7). */
  readonly leaseCheckpoint: boolean;
  readonly autoCompaction: AutoCompactionRule;
  /** Time between comparisons of what the members have stored; 0: never. */
  readonly corruptCheckIntervalMs: number;
  readonly dataDir: string;
  readonly files: SnapshotFiles;
  readonly onApplied: AppliedListener;
  /** The state was replaced by a later one: whoever follows it reads on from where he stands. */
  readonly onRestored: () => void;
  /** This member is no longer part of the cluster and has to stop. Called at most once. */
  readonly onRemoved: () => void;
  /** Memory and disk may differ, or an invariant is broken: the process must end. */
  readonly onFatal: (error: unknown) => void;
  readonly observer: WorkObserver | undefined;
}
