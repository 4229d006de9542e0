/** The parts of a replica and who of them knows whom. Wires, never decides. */
import type { MembershipChange, RaftEvent } from "../raft/types.js";
import type { CommandBody } from "../state/types.js";
import { AppliedWait } from "./applied-wait.js";
import { AutoCompactor } from "./auto-compactor.js";
import { DivergenceWatch } from "./divergence.js";
import { FileLock } from "./file-lock.js";
import { LeaderCalls } from "./leader-calls.js";
import { ReplicaLeases } from "./leases.js";
import { LinearReads } from "./linear-reads.js";
import { PeerLinks } from "./links.js";
import { LogCompactor } from "./log-compaction.js";
import { Maintenance } from "./maintenance.js";
import { Membership } from "./membership.js";
import type { ReplicaOptions } from "./options.js";
import { PeerDown } from "./peer-down.js";
import { Proposals } from "./proposals.js";
import { Questions } from "./questions.js";
import { Removal } from "./removal.js";
import { SlowLeader } from "./slow-leader.js";
import { SnapshotReceiver } from "./snapshot-receiver.js";
import { SnapshotSender } from "./snapshot-sender.js";
import { Transfer } from "./transfer.js";

/** What the parts ask of the replica that they belong to. */
export interface ReplicaHooks {
  readonly step: (event: RaftEvent) => void;
  readonly linearizableRead: () => Promise<void>;
  /** Rejects with NotLeader if this member does not lead. */
  readonly proposeAsLeader: (body: CommandBody) => Promise<unknown>;
  /** Returns the number of the request. */
  readonly proposeChange: (change: MembershipChange, body: CommandBody) => number;
  readonly pauseApplying: () => Promise<() => void>;
}

/** Commands kept while there is no leader. */
const heldBytesMax = 64 * 1024 * 1024;

export type Parts = ReturnType<typeof createParts>;

export function createParts(options: ReplicaOptions, hooks: ReplicaHooks) {
  const common = createCommon(options, hooks);
  const state = options.state.reader;
  const { limits, identity } = options;
  const files = createFileParts(options, hooks);
  const hashKv = (revision: number) => files.maintenance.hashKv(revision);
  const shared = { ...options, ...hooks, ...common, state, memberId: identity.memberId, ...limits, hashKv };
  const leases = new ReplicaLeases({ ...shared, checkpoint: options.leaseCheckpoint });
  const transfer = new Transfer(shared);
  const members = new Membership({
    ...shared,
    applied: common.appliedWait,
    rules: options.reconfiguration,
    transfer: (to, waitOptions) => transfer.to(to, waitOptions),
  });
  return {
    ...common,
    ...files,
    leases,
    transfer,
    members,
    questions: new Questions({ ...shared, membership: members, leases, clusterId: identity.clusterId }),
    autoCompactor: new AutoCompactor({ ...shared, rule: options.autoCompaction }),
    divergence: new DivergenceWatch({ ...shared, hashIntervalMs: options.corruptCheckIntervalMs }),
    links: new PeerLinks(shared),
    peerDown: new PeerDown(shared),
    removal: new Removal(shared),
    slowLeader: new SlowLeader({ ...shared, transfer: (to) => hooks.step({ kind: "transfer", to }) }),
  };
}

/** Calls of every kind that wait. */
function createCommon({ core, peers, clock, identity, limits }: ReplicaOptions, { step }: ReplicaHooks) {
  const proposals = new Proposals({
    term: () => core.term,
    timeoutMs: limits.requestTimeoutMs,
    heldBytesMax,
    give: (requestId, data) => step({ kind: "propose", requestId, data }),
  });
  const reads = new LinearReads({
    timeoutMs: limits.requestTimeoutMs,
    nextRequestId: () => proposals.nextSequence(),
    ask: (requestId) => step({ kind: "read", requestId }),
  });
  const calls = new LeaderCalls({
    memberId: identity.memberId,
    core,
    peers,
    clock,
    requestTimeoutMs: limits.requestTimeoutMs,
    askTimeoutMs: 2 * limits.electionMs,
  });
  return { proposals, reads, calls, appliedWait: new AppliedWait(core.appliedIndex) };
}

/** Whoever writes files beside the log and the state. */
function createFileParts(options: ReplicaOptions, { step, pauseApplying }: ReplicaHooks) {
  const { identity, limits } = options;
  const lock = new FileLock();
  const shared = { ...options, ...identity, step, lock };
  const sender = new SnapshotSender({ ...shared, retryMs: limits.electionMs });
  return {
    sender,
    receiver: new SnapshotReceiver(shared),
    logCompactor: new LogCompactor({ ...shared, pinned: () => sender.pinned() }),
    maintenance: new Maintenance({
      ...options,
      pauseApply: async () => {
        const release = await lock.take();
        const resume = await pauseApplying();
        return () => {
          resume();
          release();
        };
      },
    }),
  };
}
