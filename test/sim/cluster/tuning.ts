/**
 * Limits and times of a run, drawn from its seed: small batches, short windows and early compaction make what is rare in
 * production common here. Every run has its own.
 */
import type { RaftLimits } from "../../../src/server/raft/types.js";
import type { ReplicaLimits } from "../../../src/server/replica/options.js";
import type { WatchLimits } from "../../../src/server/watch/limits.js";
import type { RandomStream } from "../world/random.js";

export interface Tuning {
  readonly memberCount: number;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly raft: RaftLimits;
  readonly replica: Pick<ReplicaLimits, "catchUpEntries" | "logSlackEntries" | "logBytesMax" | "compactionSleepMs">;
  readonly watch: Partial<WatchLimits>;
  readonly watchProgressMs: number;
  readonly markIntervalEntries: number;
  readonly leaseCheckpoint: boolean;
  /** Mean time of a durable write, and of an applied batch, in milliseconds. */
  readonly syncMs: number;
  readonly applyMs: number;
  readonly clientCount: number;
  readonly watcherCount: number;
  readonly leaseClientCount: number;
  readonly lockClientCount: number;
  readonly keyCount: number;
  /** Mean time between two requests of one client. */
  readonly thinkMs: number;
}

const mebibyte = 1024 * 1024;

/** `opsPerSecond` is what all clients together ask for. */
export function tune(random: RandomStream, opsPerSecond: number): Tuning {
  const clientCount = random.between(3, 8);
  const [heartbeatMs, electionMs] = random.pick([
    [100, 1000],
    [100, 1000],
    [100, 500],
    [200, 2000],
  ] as const);
  const tiny = random.chance(0.5);
  return {
    memberCount: random.pick([1, 3, 3, 3, 3, 3, 5, 5]),
    heartbeatMs,
    electionMs,
    raft: raftLimits(random, tiny),
    replica: {
      catchUpEntries: random.pick([5, 50, 200, 1000]),
      logSlackEntries: random.pick([5, 20, 100]),
      logBytesMax: random.pick([8 * 1024, mebibyte]),
      compactionSleepMs: random.pick([1, 10, 100]),
    },
    watch: tiny
      ? { queueMessagesMax: random.between(1, 4), blockRevisionsMax: random.between(1, 8), catchUpMessageBytesMax: 256 }
      : {},
    watchProgressMs: random.pick([500, 5000, 60_000]),
    markIntervalEntries: random.pick([16, 64]),
    leaseCheckpoint: random.chance(0.3),
    syncMs: random.pick([0.2, 1, 1, 10]),
    applyMs: random.pick([0.1, 0.5, 5]),
    clientCount,
    watcherCount: random.between(2, 5),
    leaseClientCount: random.between(1, 2),
    keyCount: random.between(3, 20),
    thinkMs: (clientCount / opsPerSecond) * 1000,
    lockClientCount: random.pick([0, 2, 3]),
  };
}

function raftLimits(random: RandomStream, tiny: boolean): RaftLimits {
  return {
    messageBytesMax: tiny ? random.pick([64, 256, 1024]) : mebibyte / 2,
    inflightMessagesMax: tiny ? random.between(1, 4) : 256,
    inflightBytesMax: tiny ? 2048 : 16 * mebibyte,
    uncommittedBytesMax: tiny ? 8192 : 64 * mebibyte,
    appliedLagEntriesMax: tiny ? 100 : 5000,
    appliedLagBytesMax: 32 * mebibyte,
    appendsInflightMax: random.between(1, 3),
    applyEntriesMax: tiny ? random.between(1, 4) : 1000,
    applyBytesMax: 4 * mebibyte,
  };
}
