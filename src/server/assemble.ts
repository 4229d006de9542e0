/**
 * One member from its parts: Raft core, replica and watch hub, plugged together. Production and the simulator call this with
 * their own worlds; it does no I/O, keeps no time of its own and decides nothing.
 */
import { RaftCore } from "./raft/core.js";
import type { RaftLimits } from "./raft/types.js";
import type { ReplicaOptions } from "./replica/options.js";
import type { PeerListener } from "./replica/peers.js";
import { LocalReplica } from "./replica/replica.js";
import type { AppliedListener } from "./replica/types.js";
import type { InitialState } from "./storage/types.js";
import { createWatchHub, type WatchHub } from "./watch/hub.js";
import type { WatchLimits } from "./watch/limits.js";

const mebibyte = 1024 * 1024;
const watchTickMs = 100;

/** Spec: raft-storage.md 1.8, 1.11, 1.13. */
const raftLimits: RaftLimits = {
  messageBytesMax: mebibyte / 2,
  inflightMessagesMax: 256,
  inflightBytesMax: 16 * mebibyte,
  uncommittedBytesMax: 64 * mebibyte,
  appliedLagEntriesMax: 5000,
  appliedLagBytesMax: 32 * mebibyte,
  followerLagBytesMax: 128 * mebibyte,
  appendsInflightMax: 2,
  applyEntriesMax: 1000,
  applyBytesMax: 4 * mebibyte,
};

export interface CoreOptions {
  /** What the log store held when it was opened. */
  readonly initial: InitialState;
  /** Applied index of the state file. */
  readonly appliedIndex: number;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  readonly preVote: boolean;
  /** Seeds the core's own generator, below 2^32. */
  readonly seed: number;
  /** Those of production if not given. */
  readonly limits?: RaftLimits;
}

/** The core of a member that starts. It takes over the entries of `initial`. Throws InvariantError if the disk does not fit together. */
export function createCore(options: CoreOptions): RaftCore {
  const { initial, appliedIndex, electionMs, heartbeatMs, preVote, seed, limits = raftLimits } = options;
  const electionTicks = Math.floor(electionMs / heartbeatMs);
  return new RaftCore(
    { id: initial.identity.memberId, electionTicks, heartbeatTicks: 1, preVote, limits },
    {
      hardState: initial.hardState,
      firstIndex: initial.firstIndex,
      previousTerm: initial.previousTerm,
      entries: initial.entries,
      applied: appliedIndex,
      membership: initial.membership,
      seed,
      bootCount: initial.bootCount,
    },
  );
}

export interface WatchOptions {
  readonly progressNotifyIntervalMs: number;
  readonly limits?: Partial<WatchLimits>;
  readonly onEvents?: (count: number) => void;
}

/** Everything that touches the world. */
export interface MemberWorld extends Omit<ReplicaOptions, "onApplied" | "onRestored"> {
  readonly watch: WatchOptions;
  /** Told about each applied batch after the watchers were. */
  readonly onApplied?: AppliedListener;
  /** Told that another state has replaced all of it, after the watchers were. */
  readonly onRestored?: () => void;
  /** Cuts the links to the others; called when the member has stopped, before its state can no longer be read. */
  readonly closePeers?: () => Promise<void>;
}

export interface AssembledMember {
  readonly replica: LocalReplica;
  readonly hub: WatchHub;
  /** To be told what the other members bring. */
  readonly listener: PeerListener;
  /** Starts to tick, to talk and to take part in elections. */
  start(): void;
  /**
   * Once, however often it is called. Ends the replica, after a try to hand leadership over if `transfer` is set. The runners are closed too: everything that was
   * given to them is performed when this resolves.
   */
  close(how?: { readonly transfer?: boolean }): Promise<void>;
}

export function assembleMember(world: MemberWorld): AssembledMember {
  const { clock, random, state, log, watch } = world;
  const hub = createWatchHub({ source: { state: state.reader }, clock, random, ...watch });
  const replica = new LocalReplica({
    ...world,
    onApplied: (batch) => {
      hub.onApplied(batch);
      world.onApplied?.(batch);
    },
    onRestored: () => {
      hub.restored();
      world.onRestored?.();
    },
  });
  let stopTicking: (() => void) | undefined;
  const tick = (): void => {
    stopTicking = clock.after(watchTickMs, () => {
      hub.tick(clock.monotonicMs());
      tick();
    });
  };
  const close = async (how?: { readonly transfer?: boolean }): Promise<void> => {
    stopTicking?.();
    await replica.close(how);
    await world.closePeers?.();
    await new Promise<void>((resolve) => log.close(resolve));
    await new Promise<void>((resolve) => state.close(resolve));
  };
  let closing: Promise<void> | undefined;
  return {
    replica,
    hub,
    listener: replica.listener,
    start: () => {
      tick();
      replica.start();
    },
    close: (how) => (closing ??= close(how)),
  };
}
