/** Plugs the rooms of one member together as production does, with the simulated world around them. */
import { type AssembledMember, assembleMember, createCore } from "../../../src/server/assemble.js";
import type { RaftCore } from "../../../src/server/raft/core.js";
import { snapshotFilesIn } from "../../../src/server/replica/files.js";
import { inlineLog, inlineState } from "../../../src/server/replica/inline.js";
import type { Clock } from "../../../src/server/runtime/clock.js";
import { type Logger, silentLogger } from "../../../src/server/runtime/logger.js";
import { openState, stateBootstrapOf } from "../../../src/server/state/state.js";
import type { State } from "../../../src/server/state/types.js";
import { StorageFailure } from "../../../src/server/storage/failure.js";
import { removeStrayStateFiles } from "../../../src/server/storage/files.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { Bootstrap, LogStore } from "../../../src/server/storage/types.js";
import type { SimProcess } from "../world/process.js";
import type { SimMember } from "./member.js";

/** The parts of a running member. */
export interface Running extends AssembledMember {
  readonly core: RaftCore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function assemble(member: SimMember, process: SimProcess, bootstrap: Bootstrap | undefined): Running {
  const { tuning, network } = member.shared;
  const onFatal = (error: unknown): void => {
    if (member.process === process) member.failed(error);
  };
  const { log, state } = openDisk(member, bootstrap, onFatal);
  const { initial } = log;
  const { electionMs, heartbeatMs } = tuning;
  const core = createCore({
    initial,
    appliedIndex: state.reader.appliedIndex(),
    electionMs,
    heartbeatMs,
    preVote: true,
    seed: member.random.next(),
    limits: tuning.raft,
  });
  const { bootCount, identity } = initial;
  log.releaseEntries();
  const { clock } = process;
  const { dir, random } = member;
  const runner = { clock, observer: undefined, onFatal };
  const assembled = assembleMember({
    core,
    identity,
    bootCount,
    log: inlineLog(log, { ...runner, defer: delayed(member, process, tuning.syncMs) }),
    state: Object.assign(
      inlineState(state, { ...runner, dataDir: dir, defer: delayed(member, process, tuning.applyMs) }),
      {
        // There is no write-ahead log to look at, ten times a second and in two events each.
        checkpoint: () => undefined,
      },
    ),
    clock,
    random,
    schedule: (work) => process.after(0, work),
    peers: network.peersOf(member.id, process),
    firstPeers: network.addressesFor(member.id),
    logger: silentLogger,
    limits: {
      ...tuning.replica,
      heartbeatMs,
      electionMs,
      requestTimeoutMs: 5000 + 2 * electionMs,
      requestBytesMax: 1_572_864,
    },
    reconfiguration: { strict: true, learnersMax: 1 },
    leaseCheckpoint: tuning.leaseCheckpoint,
    autoCompaction: { kind: "off" },
    corruptCheckIntervalMs: 0,
    dataDir: dir,
    files: snapshotFilesIn(dir, silentLogger),
    watch: { progressNotifyIntervalMs: tuning.watchProgressMs, limits: tuning.watch },
    onRemoved: () => process.after(0, () => member.removed()),
    onFatal,
    observer: undefined,
  });
  const start = (): void => {
    network.attach(member.id, {
      process,
      listener: assembled.listener,
      knowsRemoved: (id) => assembled.replica.hasParted(id),
    });
    assembled.start();
  };
  return { ...assembled, start, core, clock, logger: silentLogger };
}

function openDisk(
  member: SimMember,
  bootstrap: Bootstrap | undefined,
  onFailure: (error: unknown) => void,
): { readonly log: LogStore; readonly state: State } {
  const { dir, shared } = member;
  const log = watchedLog(member, openLogStore({ dir, bootstrap }));
  const { initial } = log;
  shared.raft.opened(member.id, initial);
  removeStrayStateFiles(dir, initial.stateFile);
  const state = openState({
    dir,
    file: initial.stateFile,
    clusterId: initial.identity.clusterId,
    bootstrap: stateBootstrapOf(initial),
    markIntervalEntries: shared.tuning.markIntervalEntries,
    onFailure,
  });
  return { log, state: watchedState(member, state) };
}

/** Work that takes as long as this disk takes; sometimes it is there already. */
function delayed(member: SimMember, process: SimProcess, meanMs: number): (work: () => void) => void {
  const { disk, random } = member;
  return (work) => {
    if (disk.slowness === 1 && disk.stalls === 0 && random.chance(0.5)) {
      work();
      return;
    }
    const stallMs = disk.stalls > 0 && random.chance(disk.stalls) ? 500 * random.fraction() : 0;
    process.after(random.around(meanMs) * disk.slowness + stallMs, work);
  };
}

/** Tells the checks what is durable, and fails when the disk is told to. */
function watchedLog(member: SimMember, store: LogStore): LogStore {
  const { raft } = member.shared;
  return {
    get initial() {
      return store.initial;
    },
    releaseEntries: () => store.releaseEntries(),
    append: (batch) => {
      const { fails, logCommits } = member.disk;
      if (fails === "io" || fails === "full") {
        // After a failed sync nobody knows what is on the disk.
        if (fails === "io" && member.random.chance(0.5)) {
          store.append(batch);
          raft.written(member.id, batch);
        }
        throw new StorageFailure(fails, "the simulated disk fails");
      }
      try {
        store.append(batch);
      } finally {
        // What is cut off after the commit is on the disk.
        if (member.disk.logCommits > logCommits) raft.written(member.id, batch);
      }
    },
    switchStateFile: (file) => store.switchStateFile(file),
    close: () => store.close(),
  };
}

/** Tells the checks what is applied. */
function watchedState(member: SimMember, state: State): State {
  const { raft, history } = member.shared;
  return {
    reader: state.reader,
    get file() {
      return state.file;
    },
    apply: (entries) => {
      // What is applied may have been committed in this very event.
      if (member.parts !== undefined) raft.look(member.id, member.parts.core);
      raft.applies(member.id, entries);
      const batch = state.apply(entries);
      history.applied(member.id, entries, batch);
      const index = state.reader.appliedIndex();
      if (history.wantsHash(index)) history.hashed(member.id, index, state.reader.hashAll());
      return batch;
    },
    makeDurable: () => state.makeDurable(),
    compactStep: (rowsMax) => state.compactStep(rowsMax),
    checkpoint: () => state.checkpoint(),
    exportTo: (path) => state.exportTo(path),
    switchFile: (file, commit) => state.switchFile(file, commit),
    close: () => state.close(),
  };
}
