/** One replica over the real core, log and state in a directory, in real time and without a network. */
import { join } from "node:path";
import { status, WireError } from "../../../proto/status.js";
import { type AssembledMember, assembleMember, createCore, type MemberWorld } from "../../../src/server/assemble.js";
import { snapshotFilesIn } from "../../../src/server/replica/files.js";
import { inlineLog, inlineState } from "../../../src/server/replica/inline.js";
import type { ReplicaLimits } from "../../../src/server/replica/options.js";
import type { Peers } from "../../../src/server/replica/peers.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { systemRandom } from "../../../src/server/runtime/random.js";
import { openState, stateBootstrapOf } from "../../../src/server/state/state.js";
import type { State } from "../../../src/server/state/types.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { Bootstrap, InitialState, LogStore } from "../../../src/server/storage/types.js";

export interface OpenedMember extends AssembledMember {
  readonly initial: InitialState;
}

export interface OneMemberOptions {
  readonly dataDir: string;
  readonly limits?: Partial<ReplicaLimits>;
  readonly onFatal: (error: unknown) => void;
}

export const defaultLimits: ReplicaLimits = {
  heartbeatMs: 100,
  electionMs: 1000,
  requestTimeoutMs: 7000,
  requestBytesMax: 1_572_864,
  catchUpEntries: 5000,
  logSlackEntries: 10_000,
  logBytesMax: 64 * 1024 * 1024,
  compactionSleepMs: 10,
};

/** A cluster of one has nobody to talk to. */
export const noPeers: Peers = {
  send: () => undefined,
  setMembers: () => undefined,
  sendSnapshot: () => Promise.reject(new WireError(status.NotCapable)),
  ask: () => Promise.reject(new WireError(status.NoLeader)),
  connectedSinceMs: () => undefined,
};

const founder = { id: 1n, name: "n1", peerUrls: ["http://localhost:2380"], clientUrls: [], learner: false };
export const bootstrapOfOne: Bootstrap = {
  kind: "found",
  identity: { clusterId: 77n, memberId: 1n },
  membership: { voters: [1n], learners: [] },
  founders: [founder],
};

export interface Stores {
  readonly log: LogStore;
  readonly state: State;
}

/** Opens or founds what a member keeps on disk. */
export function openStores(
  dir: string,
  bootstrap: Bootstrap,
  onFailure: (error: unknown) => void,
  markIntervalEntries?: number,
): Stores {
  const log = openLogStore({ dir, bootstrap });
  try {
    const { initial } = log;
    const { clusterId } = initial.identity;
    const file = { dir, file: initial.stateFile, clusterId, bootstrap: stateBootstrapOf(initial) };
    return { log, state: openState({ ...file, onFailure, markIntervalEntries }) };
  } catch (error) {
    log.close();
    throw error;
  }
}

/** What does not differ between the members of a test. */
export const sameForAll = {
  random: systemRandom,
  firstPeers: [],
  logger: silentLogger,
  reconfiguration: { strict: true, learnersMax: 1 },
  leaseCheckpoint: false,
  autoCompaction: { kind: "off" },
  corruptCheckIntervalMs: 0,
  watch: { progressNotifyIntervalMs: 600_000 },
  observer: undefined,
} as const satisfies Partial<MemberWorld>;

export function openOneMember({ dataDir, limits, onFatal }: OneMemberOptions): OpenedMember {
  const dir = join(dataDir, "member");
  const { log, state } = openStores(dir, bootstrapOfOne, onFatal);
  const { initial } = log;
  const inline = { clock: systemClock, observer: undefined, onFatal, dataDir: dir };
  const member = assembleMember({
    ...sameForAll,
    core: createCore({
      initial,
      appliedIndex: state.reader.appliedIndex(),
      electionMs: 1000,
      heartbeatMs: 100,
      preVote: true,
      seed: 1,
    }),
    identity: initial.identity,
    bootCount: initial.bootCount,
    log: inlineLog(log, inline),
    state: inlineState(state, inline),
    clock: systemClock,
    schedule: (work) => void setImmediate(work),
    peers: noPeers,
    limits: { ...defaultLimits, ...limits },
    dataDir: dir,
    files: snapshotFilesIn(dir, silentLogger),
    onRemoved: () => undefined,
    onFatal,
  });
  return { ...member, initial };
}
