/**
 * One member without its front door: its data directory, its links to other members, its Raft core, replica and watch hub,
 * opened in order and closed in reverse. Wires, never decides.
 */
import { join } from "node:path";
import { assembleMember, createCore } from "./assemble.js";
import { type BootstrapOptions, beginning, type FirstPeer, firstPeersOf, hasData } from "./bootstrap.js";
import type { ServerConfig } from "./config/config.js";
import {
  closeDurable,
  type DurableMode,
  type DurableOpener,
  type DurableOptions,
  forgetOthers,
  prepareDurable,
} from "./durable.js";
import { type FirstElectionOptions, hurryFirstElection } from "./first-election.js";
import { countApplied, observePeers, observeWork } from "./member-metrics.js";
import { strangerAsker } from "./peer/ask.js";
import { startPeers } from "./peer/peers.js";
import type { PeerRoom } from "./peer/types.js";
import { snapshotFilesIn } from "./replica/files.js";
import type { ReplicaLimits } from "./replica/options.js";
import type { LocalReplica } from "./replica/replica.js";
import type { Durable } from "./replica/threads/open.js";
import { type Clock, systemClock } from "./runtime/clock.js";
import type { Logger } from "./runtime/logger.js";
import type { Metrics } from "./runtime/metrics.js";
import { systemRandom } from "./runtime/random.js";
import type { Security } from "./security.js";
import type { Applied } from "./state/types.js";
import type { Bootstrap } from "./storage/types.js";
import type { WatchHub } from "./watch/hub.js";

const mebibyte = 1024 * 1024;

/** Longest frame from another member, which holds one request of the largest size and what goes with it. */
const frameBytesMin = 64 * mebibyte;
const frameBytesBeside = mebibyte;

/** Server-side bound on a request beyond two elections (spec/server.md 1.2). */
const requestTimeoutBaseMs = 5000;

export interface MemberOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
  readonly metrics: Metrics;
  readonly durable: DurableMode;
  /** Told of what is applied, and of a state that replaces all of it, before the calls that wait for it are answered. */
  readonly follower?: { applied(batch: readonly Applied[]): void; restored(): void };
  readonly security: Security;
  /** Calls off the wait for the other members' answers. */
  readonly signal: AbortSignal;
}

export interface Member {
  readonly replica: LocalReplica;
  readonly hub: WatchHub;
  readonly peers: PeerRoom;
  readonly clock: Clock;
  /** Resolves when the cluster has removed this member; it has to be closed then. */
  readonly removed: Promise<void>;
  /** Starts to take part in the cluster. */
  start(): void;
  /** Hands leadership over if it can; to be called while clients are still served. */
  handOver(): Promise<void>;
  /** Lets go of everything. */
  close(): Promise<void>;
}

/** The cluster has removed this member: it can never be one again with its data. The program ends well. */
export class MemberRemoved extends Error {
  override readonly name = "MemberRemoved";
  readonly reason = "memberRemoved";
  readonly exitCode = 0;
}

/**
 * Opens the data directory, or founds or joins a cluster in it, and listens for the other members. Rejects with
 * BootstrapRefused, StorageRefused, StorageFailure, PeerUrlError, the system's error for a port in use, or the signal's reason.
 */
export async function openMember(options: MemberOptions): Promise<Member> {
  const opened = await openDirectory(options);
  let peers: PeerRoom | undefined;
  try {
    warnIfRemoved(options, opened.durable);
    const gate = gateOf(opened.durable);
    peers = await listenForPeers(options, opened.durable, gate);
    const member = assemble(options, opened, peers);
    gate.isRemoved = (id) => member.replica.hasParted(id);
    return member;
  } catch (error) {
    await peers?.close();
    await closeDurable(opened.durable);
    throw error;
  }
}

/**
 * A member that knows of its removal starts all the same, until another one tells it to go: it may be the only one that knows,
 * and then the others cannot elect a leader without its word.
 */
function warnIfRemoved({ logger }: MemberOptions, { initial, state }: Durable): void {
  const { memberId } = initial.identity;
  if (!state.reader.isRemoved(memberId)) return;
  logger.warn("this member was removed from the cluster, and ends when another one knows", {
    "local-member-id": memberId,
  });
}

/** Who is turned away because it was removed. */
interface Gate {
  isRemoved: (id: bigint) => boolean;
}

/** Until the replica is there, the state knows. */
function gateOf({ state }: Durable): Gate {
  return { isRemoved: (id) => state.reader.isRemoved(id) };
}

interface Opened {
  readonly durable: Durable;
  /** The member's own directory inside the data directory. */
  readonly dir: string;
  /** Whom a joiner talks to until it has heard of the members. */
  readonly firstPeers: readonly FirstPeer[];
}

async function openDirectory(options: MemberOptions): Promise<Opened> {
  const opener = prepareDurable(options.durable);
  const dir = join(options.config.dataDir, "member");
  try {
    return await (hasData(dir) ? reopen(options, opener, dir) : begin(options, opener, dir));
  } catch (error) {
    await opener.abandon();
    throw error;
  }
}

/** Identity comes from the disk, whatever the flags say. */
async function reopen(options: MemberOptions, opener: DurableOpener, dir: string): Promise<Opened> {
  const { config, logger } = options;
  if (config.forceNewCluster) {
    const forgotten = forgetOthers(durableOptions(options, dir));
    logger.warn("this member is the only one of its cluster from now on", { "forgotten-members": forgotten });
  }
  const durable = await opener.open(durableOptions(options, dir));
  // One that joined, and ended before it had heard of the others, has to be told again who they are.
  const knowsNobody = durable.state.reader.members().length === 0;
  const { memberId } = durable.initial.identity;
  return { durable, dir, firstPeers: knowsNobody ? await firstPeersOf(bootstrapOptions(options), memberId) : [] };
}

async function begin(options: MemberOptions, opener: DurableOpener, dir: string): Promise<Opened> {
  const { bootstrap, firstPeers } = await beginning(bootstrapOptions(options));
  return { durable: await opener.open(durableOptions(options, dir, bootstrap)), dir, firstPeers };
}

function bootstrapOptions({ config, logger, signal, security }: MemberOptions): BootstrapOptions {
  const ask = strangerAsker(security.peers.dialer);
  return { config, logger: logger.in("bootstrap"), clock: systemClock, ask, signal };
}

function durableOptions(
  { config, onFatal, metrics }: MemberOptions,
  dir: string,
  bootstrap?: Bootstrap,
): DurableOptions {
  const { unsafeNoFsync } = config;
  return { dir, bootstrap, unsafeNoFsync, clock: systemClock, observer: observeWork(metrics), onFatal };
}

function listenForPeers(
  { config, logger, metrics, security }: MemberOptions,
  { initial, state }: Durable,
  gate: Gate,
): Promise<PeerRoom> {
  const { memberId } = initial.identity;
  // A member that joins does not find itself in its state before its first snapshot.
  const ownRecord = () => state.reader.members().find(({ id }) => id === memberId);
  return startPeers({
    ...initial.identity,
    listenUrls: config.listenPeerUrls,
    tls: security.peers,
    ownUrls: () => ownRecord()?.peerUrls ?? config.initialAdvertisePeerUrls,
    clock: systemClock,
    random: systemRandom,
    logger,
    electionMs: config.electionTimeoutMs,
    isRemoved: (id) => gate.isRemoved(id),
    frameBytesMax: Math.max(frameBytesMin, config.maxRequestBytes + frameBytesBeside),
    observer: observePeers(metrics, memberId),
  });
}

function assemble(options: MemberOptions, opened: Opened, peers: PeerRoom): Member {
  const removal = moment();
  const files = snapshotFilesIn(opened.dir, options.logger);
  const assembled = assembleMember({
    ...worldOf(options, opened),
    files,
    peers,
    // Before the state is let go of: whoever dials is held against it.
    closePeers: () => peers.close(),
    onRemoved: removal.happens,
  });
  const { replica, hub } = assembled;
  peers.attach(assembled.listener);
  let stopHurrying: (() => void) | undefined;
  let farewell: Promise<void> | undefined;
  return {
    replica,
    hub,
    peers,
    clock: systemClock,
    removed: removal.happened,
    start: () => {
      assembled.start();
      if (!options.config.initialElectionTickAdvance) return;
      stopHurrying = hurryFirstElection(electionOptions(options, replica, peers));
    },
    handOver: async () => {
      if (replica.status().role !== "leader") return;
      await replica.handOver();
      if (replica.status().role === "leader") return; // there is nobody to hand over to
      farewell = pause(farewellHeartbeats * options.config.heartbeatIntervalMs);
    },
    close: async () => {
      stopHurrying?.();
      await farewell;
      await assembled.close();
      await peers.close();
      await files.settled();
    },
  };
}

/** Proposals that the others sent to their former leader come back to them, to be sent to the new one. */
const farewellHeartbeats = 2;

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => systemClock.after(delayMs, resolve));
}

function electionOptions({ config }: MemberOptions, replica: LocalReplica, peers: PeerRoom): FirstElectionOptions {
  const { heartbeatIntervalMs, electionTimeoutMs } = config;
  return { replica, peers, clock: systemClock, heartbeatMs: heartbeatIntervalMs, electionMs: electionTimeoutMs };
}

/** All that a member is assembled from but its files and the other members. */
function worldOf({ config, logger, onFatal, metrics, follower }: MemberOptions, { durable, dir, firstPeers }: Opened) {
  const { initial } = durable;
  return {
    ...durable,
    core: createCore({
      initial,
      appliedIndex: durable.state.reader.appliedIndex(),
      electionMs: config.electionTimeoutMs,
      heartbeatMs: config.heartbeatIntervalMs,
      preVote: config.preVote,
      seed: systemRandom.below(2 ** 32),
    }),
    identity: initial.identity,
    bootCount: initial.bootCount,
    clock: systemClock,
    random: systemRandom,
    schedule: (work: () => void) => void setImmediate(work),
    firstPeers,
    logger: logger.in("replica"),
    limits: replicaLimits(config),
    reconfiguration: { strict: config.strictReconfigCheck, learnersMax: config.learnersMax },
    leaseCheckpoint: config.leaseCheckpoint,
    autoCompaction: config.autoCompaction,
    corruptCheckIntervalMs: config.corruptCheckIntervalMs,
    dataDir: dir,
    watch: {
      progressNotifyIntervalMs: config.watchProgressNotifyIntervalMs,
      onEvents: (count: number) => metrics.debuggingMvccEventsTotal.inc(count),
    },
    onApplied: (batch: readonly Applied[]) => {
      follower?.applied(batch);
      countApplied(metrics, batch);
    },
    onRestored: () => follower?.restored(),
    onFatal,
    observer: observeWork(metrics),
  };
}

/** Something that happens once, and who waits for it. */
function moment(): { readonly happened: Promise<void>; readonly happens: () => void } {
  let resolveIt: (() => void) | undefined;
  const happened = new Promise<void>((resolve) => (resolveIt = resolve));
  return { happened, happens: () => resolveIt?.() };
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
