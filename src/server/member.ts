/**
 * One member without its front door: stores, Raft core, replica and watch hub, opened in order and closed in reverse.
 * Wires, never decides.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { bootstrapProblem } from "./config/bootstrap.js";
import type { ServerConfig } from "./config/config.js";
import { clusterIdOf, memberIdOf } from "./config/identity.js";
import { countApplied, observeWork } from "./member-metrics.js";
import { RaftCore } from "./raft/core.js";
import type { RaftLimits } from "./raft/types.js";
import { LocalReplica, type ReplicaLimits } from "./replica/replica.js";
import { type Clock, systemClock } from "./runtime/clock.js";
import type { Logger } from "./runtime/logger.js";
import type { Metrics } from "./runtime/metrics.js";
import { systemRandom } from "./runtime/random.js";
import { openState } from "./state/state.js";
import type { Applied, Member as MemberRecord, State } from "./state/types.js";
import { removeStrayStateFiles } from "./storage/files.js";
import { openLogStore } from "./storage/log-store.js";
import type { Bootstrap, LogStore } from "./storage/types.js";
import { createWatchHub, type WatchHub } from "./watch/hub.js";

const mebibyte = 1024 * 1024;

/** Spec: raft-storage.md 1.8, 1.11. */
const raftLimits: RaftLimits = {
  messageBytesMax: mebibyte / 2,
  inflightMessagesMax: 256,
  inflightBytesMax: 16 * mebibyte,
  uncommittedBytesMax: 64 * mebibyte,
  appliedLagEntriesMax: 5000,
  appliedLagBytesMax: 32 * mebibyte,
  applyEntriesMax: 1000,
  applyBytesMax: 4 * mebibyte,
};

/** Server-side bound on a request beyond two elections (spec/server.md 1.2). */
const requestTimeoutBaseMs = 5000;
const watchTickMs = 100;

export interface MemberOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
  readonly metrics?: Metrics;
}

export interface Member {
  readonly replica: LocalReplica;
  readonly hub: WatchHub;
  readonly clock: Clock;
  readonly log: LogStore;
  readonly state: State;
  close(): Promise<void>;
}

/** The config founds no cluster, and there is no data to start from. */
export class BootstrapRefused extends Error {
  override readonly name = "BootstrapRefused";
  readonly reason = "bootstrap";
}

/** Opens the data directory, or founds a new member in it. Throws BootstrapRefused, StorageRefused or StorageFailure. */
export function openMember(options: MemberOptions): Member {
  const { config, logger, onFatal, metrics } = options;
  const dataDir = join(config.dataDir, "member");
  if (!hasData(dataDir)) refuseToFound(bootstrapProblem(config));
  const log = openLogStore({ dir: dataDir, bootstrap: bootstrapOf(config), unsafeNoFsync: config.unsafeNoFsync });
  const state = openOrClose(log, () => openStateOf(options, log, dataDir));
  const replica: LocalReplica = new LocalReplica({
    core: createCore(config, log, state),
    log,
    state,
    clock: systemClock,
    logger: logger.in("replica"),
    limits: replicaLimits(config),
    autoCompaction: config.autoCompaction,
    dataDir,
    // A cluster of one has nobody to send to.
    send: () => undefined,
    onApplied: (batch: readonly Applied[]) => {
      hub.onApplied(batch);
      if (metrics !== undefined) countApplied(metrics, batch);
    },
    onFatal,
    observer: metrics === undefined ? undefined : observeWork(metrics),
  });
  const hub = createWatchHub({
    source: { state: state.reader },
    clock: systemClock,
    random: systemRandom,
    progressNotifyIntervalMs: config.watchProgressNotifyIntervalMs,
    onEvents: (count) => metrics?.debuggingMvccEventsTotal.inc(count),
  });
  const stopTicking = every(watchTickMs, () => hub.tick(systemClock.monotonicMs()));
  const close = async (): Promise<void> => {
    stopTicking();
    await replica.close();
    state.close();
    log.close();
  };
  return { replica, hub, clock: systemClock, log, state, close };
}

/** A member with data knows who it is: the flags about the cluster count for nothing (spec/server.md 13.4). */
function hasData(dataDir: string): boolean {
  return existsSync(dataDir) && readdirSync(dataDir).length > 0;
}

function refuseToFound(problem: string | undefined): void {
  if (problem !== undefined) throw new BootstrapRefused(problem);
}

/** A member that cannot be opened lets go of its directory. */
function openOrClose(log: LogStore, open: () => State): State {
  try {
    return open();
  } catch (error) {
    log.close();
    throw error;
  }
}

/** While the log still starts at entry 1, a state file that is missing or empty is made again from it. */
function openStateOf({ config, onFatal }: MemberOptions, log: LogStore, dataDir: string): State {
  const { initial } = log;
  removeStrayStateFiles(dataDir, initial.stateFile);
  return openState({
    dir: dataDir,
    file: initial.stateFile,
    clusterId: initial.identity.clusterId,
    bootstrap: initial.firstIndex === 1 ? { members: foundersOf(config) } : undefined,
    unsafeNoFsync: config.unsafeNoFsync,
    onFailure: onFatal,
  });
}

function foundersOf(config: ServerConfig): readonly MemberRecord[] {
  return config.initialCluster.map(({ peerUrls }) => ({
    id: memberIdOf(peerUrls, config.initialClusterToken),
    name: "",
    peerUrls,
    clientUrls: [],
    learner: false,
  }));
}

function bootstrapOf(config: ServerConfig): Bootstrap {
  const voters = foundersOf(config).map(({ id }) => id);
  const self = config.initialCluster.find(({ name }) => name === config.name);
  const memberId = memberIdOf(self?.peerUrls ?? config.initialAdvertisePeerUrls, config.initialClusterToken);
  return {
    identity: { clusterId: clusterIdOf(config.initialCluster, config.initialClusterToken), memberId },
    kind: "found",
    membership: { voters, learners: [] },
    createdSeconds: Math.floor(systemClock.wallMs() / 1000),
  };
}

function createCore(config: ServerConfig, log: LogStore, state: State): RaftCore {
  const { initial } = log;
  const core = new RaftCore(
    {
      id: initial.identity.memberId,
      electionTicks: Math.floor(config.electionTimeoutMs / config.heartbeatIntervalMs),
      heartbeatTicks: 1,
      preVote: config.preVote,
      limits: raftLimits,
    },
    {
      hardState: initial.hardState,
      firstIndex: initial.firstIndex,
      previousTerm: initial.previousTerm,
      entries: initial.entries,
      applied: state.reader.appliedIndex(),
      membership: initial.membership,
      seed: systemRandom.below(2 ** 32),
      bootCount: initial.bootCount,
    },
  );
  log.releaseEntries();
  return core;
}

function replicaLimits(config: ServerConfig): ReplicaLimits {
  return {
    heartbeatMs: config.heartbeatIntervalMs,
    electionMs: config.electionTimeoutMs,
    requestTimeoutMs: requestTimeoutBaseMs + 2 * config.electionTimeoutMs,
    requestBytesMax: config.maxRequestBytes,
    catchUpEntries: config.snapshotCatchUpEntries,
    logSlackEntries: config.snapshotEntries,
    logBytesMax: 64 * mebibyte,
    compactionSleepMs: config.compactionSleepIntervalMs,
  };
}

function every(intervalMs: number, work: () => void): () => void {
  const timer = setInterval(work, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
