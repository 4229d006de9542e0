/** Connects the metrics to those who know the numbers: gauges are read at the scrape, counters move as things happen. */
import { RangeRequest } from "../../proto/gen/etcd/rpc.js";
import type { CountedCall } from "./api/dependencies.js";
import { quotaBytes } from "./api/quota.js";
import type { ServerConfig } from "./config/config.js";
import type { Member } from "./member.js";
import type { PeerObserver } from "./peer/types.js";
import type { WorkObserver } from "./replica/workers.js";
import type { Metrics } from "./runtime/metrics.js";
import { serverVersion } from "./runtime/version.js";
import type { Applied } from "./state/types.js";

const secondsPerMs = 1 / 1000;
const fromZeroByte = new Uint8Array(1);
const everyKeyCounted = RangeRequest.fromPartial({ key: fromZeroByte, rangeEnd: fromZeroByte, countOnly: true });

export function observeWork(metrics: Metrics): WorkObserver {
  return {
    logAppended: (durationMs, bytes) => {
      metrics.diskWalFsyncDurationSeconds.observe(durationMs * secondsPerMs);
      metrics.diskWalWriteDurationSeconds.observe(durationMs * secondsPerMs);
      metrics.diskWalWriteBytes.add(bytes);
    },
    stateApplied: (durationMs) => metrics.diskBackendCommitDurationSeconds.observe(durationMs * secondsPerMs),
    defragmented: (durationMs) => metrics.diskBackendDefragDurationSeconds.observe(durationMs * secondsPerMs),
    exported: (durationMs) => metrics.diskBackendSnapshotDurationSeconds.observe(durationMs * secondsPerMs),
  };
}

/** Counts what passes between this member and the others. */
export function observePeers(metrics: Metrics, memberId: bigint): PeerObserver {
  const Local = memberId.toString(16);
  const sent = perMember((To) => metrics.networkPeerSentBytes.labels({ To }));
  const received = perMember((From) => metrics.networkPeerReceivedBytes.labels({ From }));
  const failures = perMember((To) => metrics.networkPeerSentFailures.labels({ To }));
  const roundTrips = perMember((To) => metrics.networkPeerRoundTripTimeSeconds.labels({ To }));
  return {
    sent: (to, bytes) => sent(to).inc(bytes),
    received: (from, bytes) => received(from).inc(bytes),
    sendFailed: (to) => failures(to).inc(),
    roundTrip: (to, seconds) => roundTrips(to).observe(seconds),
    linked: (to, state) => {
      const link = { Local, Remote: to.toString(16) };
      metrics.networkActivePeers.labels(link).set(flag(state === "up"));
      if (state === "down") metrics.networkDisconnectedPeers.labels(link).inc();
    },
  };
}

/** An instrument for each member: made when it is first needed, found without any text ever after. */
function perMember<Instrument>(create: (id: string) => Instrument): (id: bigint) => Instrument {
  const known = new Map<bigint, Instrument>();
  return (id) => {
    const instrument = known.get(id) ?? create(id.toString(16));
    known.set(id, instrument);
    return instrument;
  };
}

/** Counts what was applied, whoever asked for it. */
export function countApplied(metrics: Metrics, batch: readonly Applied[]): void {
  for (const { changes, leases } of batch) {
    for (const { kind } of changes?.changes ?? []) {
      if (kind === "put") metrics.mvccPutTotal.inc();
      else metrics.mvccDeleteTotal.inc();
    }
    for (const change of leases) {
      if (change.kind === "revoked") metrics.debuggingLeaseRevokedTotal.inc();
      if (change.kind === "granted") {
        metrics.debuggingLeaseGrantedTotal.inc();
        metrics.debuggingLeaseTtlTotal.observe(change.ttlSeconds);
      }
    }
  }
}

/** Counts calls that this member served. Puts and deletes are counted where they are applied. */
export function countCalls(metrics: Metrics): (call: CountedCall) => void {
  return (call) => {
    switch (call) {
      case "range":
        metrics.mvccRangeTotal.inc();
        return;
      case "txn":
        metrics.mvccTxnTotal.inc();
        return;
      case "leaseRenew":
        metrics.debuggingLeaseRenewedTotal.inc();
        return;
      case "put":
      case "deleteRange":
      case "leaseGrant":
      case "leaseRevoke":
    }
  };
}

function flag(on: boolean): number {
  return on ? 1 : 0;
}

/** Gauges that describe this member at the moment of a scrape. */
export function readMetricsFrom(metrics: Metrics, member: Member, config: ServerConfig): void {
  const { replica, hub } = member;
  const { state } = replica;
  metrics.serverHasLeader.readFrom(() => flag(replica.status().leader !== undefined));
  metrics.serverIsLeader.readFrom(() => flag(replica.status().role === "leader"));
  metrics.serverIsLearner.readFrom(() => flag(replica.status().learner));
  metrics.serverLeaderChangesSeen.readFrom(() => replica.counts().leaderChanges);
  metrics.serverProposalsCommitted.readFrom(() => replica.status().committedIndex);
  metrics.serverProposalsApplied.readFrom(() => replica.status().appliedIndex);
  metrics.serverProposalsPending.readFrom(() => replica.counts().pendingProposals);
  metrics.serverProposalsFailed.readFrom(() => replica.counts().failedProposals);
  metrics.serverSlowReadIndexes.readFrom(() => replica.counts().slowReads);
  metrics.serverReadIndexesFailed.readFrom(() => replica.counts().failedReads);
  metrics.serverQuotaBackendBytes.set(quotaBytes(config.quotaBackendBytes));
  metrics.serverVersion.labels({ server_version: serverVersion }).set(1);
  metrics.serverId.labels({ server_id: replica.status().memberId.toString(16) }).set(1);
  metrics.mvccDbTotalSizeBytes.readFrom(() => state.size().allocatedBytes);
  metrics.mvccDbTotalSizeInUseBytes.readFrom(() => state.size().inUseBytes);
  metrics.stateWalSizeBytes.readFrom(() => replica.stateWalBytes());
  metrics.debuggingMvccCurrentRevision.readFrom(() => state.revision());
  metrics.debuggingMvccCompactRevision.readFrom(() => state.compactRevision());
  metrics.debuggingMvccKeysTotal.readFrom(() => state.range(everyKeyCounted).count);
  metrics.debuggingMvccWatchStreamTotal.readFrom(() => hub.stats().streams);
  metrics.debuggingMvccWatcherTotal.readFrom(() => hub.stats().watchers);
  metrics.debuggingMvccSlowWatcherTotal.readFrom(() => hub.stats().slowWatchers);
  metrics.debuggingMvccPendingEventsTotal.readFrom(() => hub.stats().pendingEvents);
}

/** To be called once the cluster has agreed on a version, x.y.z; etcd's label is x.y. */
export function showClusterVersion(metrics: Metrics, version: string): void {
  const [major, minor] = version.split(".");
  metrics.clusterVersion.labels({ cluster_version: `${major}.${minor}` }).set(1);
}
