/** Every metric of etcd that means something for one member, under etcd's names. Source: spec/server.md 12.5. */

import { type Collectable, Counter, exponentialBounds, Family, Gauge, Histogram } from "./instruments.js";

interface Definition<Instrument extends Collectable> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  create(): Instrument;
}

const milliseconds1To8192 = exponentialBounds(0.001, 2, 14);
const tenths1To4096 = exponentialBounds(0.1, 2, 13);
const hundredths1To16384 = exponentialBounds(0.01, 2, 15);
const hundredths1To65536 = exponentialBounds(0.01, 2, 17);
const applyBounds = exponentialBounds(0.0001, 2, 20);

function counter(name: string, help: string): Definition<Counter> {
  return { name, type: "counter", help, create: () => new Counter() };
}

function gauge(name: string, help: string): Definition<Gauge> {
  return { name, type: "gauge", help, create: () => new Gauge() };
}

function histogram(name: string, bounds: readonly number[], help: string): Definition<Histogram> {
  return { name, type: "histogram", help, create: () => new Histogram(bounds) };
}

function counters<Name extends string>(name: string, _labels: readonly Name[], help: string) {
  const create = () => new Family<Name, Counter>(() => new Counter());
  return { name, type: "counter", help, create } as const;
}

function gauges<Name extends string>(name: string, _labels: readonly Name[], help: string) {
  const create = () => new Family<Name, Gauge>(() => new Gauge());
  return { name, type: "gauge", help, create } as const;
}

function histograms<Name extends string>(name: string, options: HistogramOptions<Name>) {
  const create = () => new Family<Name, Histogram>(() => new Histogram(options.bounds));
  return { name, type: "histogram", help: options.help, create } as const;
}

interface HistogramOptions<Name extends string> {
  readonly labels: readonly Name[];
  readonly bounds: readonly number[];
  readonly help: string;
}

/** One row a metric. Field = etcd's name without its `etcd_` prefix; etcd's odd types (a gauge called total) are kept. */
const definitions = {
  serverHasLeader: gauge("etcd_server_has_leader", "1 while this member knows a leader, else 0."),
  serverIsLeader: gauge("etcd_server_is_leader", "1 while this member leads, else 0."),
  serverIsLearner: gauge("etcd_server_is_learner", "1 while this member is a learner, else 0."),
  serverLeaderChangesSeen: counter("etcd_server_leader_changes_seen_total", "Leader changes noticed by this member."),
  serverProposalsCommitted: gauge("etcd_server_proposals_committed_total", "Index of the last committed entry."),
  serverProposalsApplied: gauge("etcd_server_proposals_applied_total", "Index of the last applied entry."),
  serverProposalsPending: gauge("etcd_server_proposals_pending", "Proposals that wait for their result."),
  serverProposalsFailed: counter("etcd_server_proposals_failed_total", "Proposals that ended without a result."),
  serverSlowApply: counter("etcd_server_slow_apply_total", "Applied requests that took longer than the warning limit."),
  serverSlowReadIndexes: counter("etcd_server_slow_read_indexes_total", "Read barriers that were late or timed out."),
  serverReadIndexesFailed: counter("etcd_server_read_indexes_failed_total", "Read barriers that failed."),
  serverHeartbeatSendFailures: counter(
    "etcd_server_heartbeat_send_failures_total",
    "Heartbeats that the leader sent late, as a slow disk makes it do.",
  ),
  serverHealthSuccess: counter("etcd_server_health_success", "Requests to /health answered with true."),
  serverHealthFailures: counter("etcd_server_health_failures", "Requests to /health answered with false."),
  serverHealthcheck: gauges("etcd_server_healthcheck", ["type", "name"], "Last result of a check: 1 passed, 0 failed."),
  serverHealthchecks: counters(
    "etcd_server_healthchecks_total",
    ["type", "name", "status"],
    "Runs of a check of /livez or /readyz by result.",
  ),
  serverQuotaBackendBytes: gauge("etcd_server_quota_backend_bytes", "Bytes that the state file may grow to."),
  serverVersion: gauges("etcd_server_version", ["server_version"], "1 for the API version that this member offers."),
  serverId: gauges("etcd_server_id", ["server_id"], "1 for the id of this member, in hexadecimal."),
  clusterVersion: gauges("etcd_cluster_version", ["cluster_version"], "1 for the version that the cluster agreed on."),
  serverApplyDurationSeconds: histograms("etcd_server_apply_duration_seconds", {
    labels: ["version", "op", "success"],
    bounds: applyBounds,
    help: "Time to apply one request to the state.",
  }),
  serverRangeDurationSeconds: histograms("etcd_server_range_duration_seconds", {
    labels: ["success"],
    bounds: applyBounds,
    help: "Time to answer one range from the state.",
  }),
  serverRequestDurationSeconds: histograms("etcd_server_request_duration_seconds", {
    labels: ["type", "success"],
    bounds: milliseconds1To8192,
    help: "Time from proposing a request to its result.",
  }),
  serverFeatureEnabled: gauges("etcd_server_feature_enabled", ["name", "stage"], "1 while a feature gate is on."),
  serverClientRequests: counters(
    "etcd_server_client_requests_total",
    ["type", "client_api_version"],
    "Requests by the API version that the client says it speaks.",
  ),
  serverSnapshotApplyInProgress: gauge(
    "etcd_server_snapshot_apply_in_progress_total",
    "1 while a snapshot of a peer is being installed.",
  ),
  serverLearnerPromoteSuccesses: counter("etcd_server_learner_promote_successes", "Learners promoted by this leader."),
  serverLearnerPromoteFailures: counters(
    "etcd_server_learner_promote_failures",
    ["Reason"],
    "Promotions that this leader refused.",
  ),
  snapDbFsyncDurationSeconds: histogram(
    "etcd_snap_db_fsync_duration_seconds",
    milliseconds1To8192,
    "Time to make a received snapshot durable.",
  ),
  snapFsyncDurationSeconds: histogram(
    "etcd_snap_fsync_duration_seconds",
    milliseconds1To8192,
    "Time to make snapshot metadata durable.",
  ),
  diskWalFsyncDurationSeconds: histogram(
    "etcd_disk_wal_fsync_duration_seconds",
    milliseconds1To8192,
    "Time to make one batch of log entries durable.",
  ),
  diskWalWriteDurationSeconds: histogram(
    "etcd_disk_wal_write_duration_seconds",
    milliseconds1To8192,
    "Time to write one batch of log entries.",
  ),
  diskWalWriteBytes: gauge("etcd_disk_wal_write_bytes_total", "Bytes of log entries written."),
  diskBackendCommitDurationSeconds: histogram(
    "etcd_disk_backend_commit_duration_seconds",
    milliseconds1To8192,
    "Time to commit one batch to the state file.",
  ),
  diskBackendSnapshotDurationSeconds: histogram(
    "etcd_disk_backend_snapshot_duration_seconds",
    hundredths1To65536,
    "Time to export the state file.",
  ),
  diskBackendDefragDurationSeconds: histogram(
    "etcd_disk_backend_defrag_duration_seconds",
    tenths1To4096,
    "Time to rewrite the state file without free pages.",
  ),
  diskDefragInflight: gauge("etcd_disk_defrag_inflight", "1 while the state file is being rewritten."),
  mvccDbTotalSizeBytes: gauge("etcd_mvcc_db_total_size_in_bytes", "Size of the state file."),
  mvccDbTotalSizeInUseBytes: gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Size of the state file's used pages."),
  stateWalSizeBytes: gauge(
    "litecd_state_wal_size_in_bytes",
    "Size of the state file's write-ahead log, which grows while a long read keeps it from being emptied.",
  ),
  mvccDbOpenReadTransactions: gauge("etcd_mvcc_db_open_read_transactions", "Read transactions open now."),
  mvccPutTotal: counter("etcd_mvcc_put_total", "Keys put."),
  mvccDeleteTotal: counter("etcd_mvcc_delete_total", "Delete operations applied."),
  mvccRangeTotal: counter("etcd_mvcc_range_total", "Range operations served."),
  mvccTxnTotal: counter("etcd_mvcc_txn_total", "Transactions applied."),
  mvccHashDurationSeconds: histogram("etcd_mvcc_hash_duration_seconds", hundredths1To16384, "Time of a Hash call."),
  mvccHashRevDurationSeconds: histogram(
    "etcd_mvcc_hash_rev_duration_seconds",
    hundredths1To16384,
    "Time of a HashKV call.",
  ),
  debuggingMvccKeysTotal: gauge("etcd_debugging_mvcc_keys_total", "Keys that exist now."),
  debuggingMvccCurrentRevision: gauge("etcd_debugging_mvcc_current_revision", "Current revision."),
  debuggingMvccCompactRevision: gauge("etcd_debugging_mvcc_compact_revision", "Revision of the last compaction."),
  debuggingMvccTotalPutSizeBytes: gauge("etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes of keys and values put."),
  debuggingMvccWatchStreamTotal: gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams open now."),
  debuggingMvccWatcherTotal: gauge("etcd_debugging_mvcc_watcher_total", "Watchers that exist now."),
  debuggingMvccSlowWatcherTotal: gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers that lag behind."),
  debuggingMvccPendingEventsTotal: gauge("etcd_debugging_mvcc_pending_events_total", "Events that wait to be sent."),
  debuggingMvccEventsTotal: counter("etcd_debugging_mvcc_events_total", "Events sent to watchers."),
  debuggingMvccDbCompactionKeysTotal: counter(
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "Stored revisions removed by compactions.",
  ),
  debuggingMvccDbCompactionTotalDurationMs: histogram(
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
    exponentialBounds(100, 2, 14),
    "Time of a compaction from start to end.",
  ),
  debuggingMvccDbCompactionLast: gauge(
    "etcd_debugging_mvcc_db_compaction_last",
    "Unix time of the last compaction since the start, 0 before the first.",
  ),
  debuggingLeaseGrantedTotal: counter("etcd_debugging_lease_granted_total", "Leases granted."),
  debuggingLeaseRevokedTotal: counter("etcd_debugging_lease_revoked_total", "Leases revoked, expired ones included."),
  debuggingLeaseRenewedTotal: counter("etcd_debugging_lease_renewed_total", "Renewals served as leader."),
  debuggingLeaseTtlTotal: histogram("etcd_debugging_lease_ttl_total", exponentialBounds(1, 2, 24), "TTLs granted."),
  debuggingServerLeaseExpiredTotal: counter("etcd_debugging_server_lease_expired_total", "Leases that ran out."),
  debuggingAuthRevision: gauge("etcd_debugging_auth_revision", "Revision of users, roles and the auth switch."),
  debuggingServerAlarms: gauges(
    "etcd_debugging_server_alarms",
    ["server_id", "alarm_type"],
    "1 while a member has an alarm of this type.",
  ),
  networkClientGrpcSentBytes: counter(
    "etcd_network_client_grpc_sent_bytes_total",
    "Bytes of messages sent to gRPC clients.",
  ),
  networkClientGrpcReceivedBytes: counter(
    "etcd_network_client_grpc_received_bytes_total",
    "Bytes of messages received from gRPC clients.",
  ),
  networkPeerSentBytes: counters("etcd_network_peer_sent_bytes_total", ["To"], "Bytes sent to a member."),
  networkPeerReceivedBytes: counters(
    "etcd_network_peer_received_bytes_total",
    ["From"],
    "Bytes that came from a member.",
  ),
  networkPeerSentFailures: counters(
    "etcd_network_peer_sent_failures_total",
    ["To"],
    "Messages and snapshots to a member that were dropped.",
  ),
  networkPeerRoundTripTimeSeconds: histograms("etcd_network_peer_round_trip_time_seconds", {
    labels: ["To"],
    bounds: exponentialBounds(0.0001, 2, 16),
    help: "Time from a ping of a member to its answer.",
  }),
  networkActivePeers: gauges("etcd_network_active_peers", ["Local", "Remote"], "1 while the links to a member stand."),
  networkDisconnectedPeers: counters(
    "etcd_network_disconnected_peers_total",
    ["Local", "Remote"],
    "Times that the links to a member broke.",
  ),
  networkServerStreamFailures: counters(
    "etcd_network_server_stream_failures_total",
    ["Type", "API"],
    "Streams that broke while receiving or sending.",
  ),
} as const;

type InstrumentOf<D> = D extends { create(): infer Instrument } ? Instrument : never;

/** The instruments by field name; see {@link createMetrics}. */
export type EtcdMetrics = { readonly [Field in keyof typeof definitions]: InstrumentOf<(typeof definitions)[Field]> };

/** A named instrument, ready to be scraped. */
export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly instrument: Collectable;
}

export interface Metrics extends EtcdMetrics {
  /** Adds metrics of a room that brings its own (gRPC does). Names must be new. */
  add(metric: Metric): void;
  /** Everything there is to scrape. */
  all(): readonly Metric[];
}

/** Metrics of one server; several servers in one process share nothing but what describes the process. */
export function createMetrics(): Metrics {
  const registered: Metric[] = [];
  const instruments = Object.entries(definitions).map(([field, definition]) => {
    const instrument = definition.create();
    registered.push({ name: definition.name, type: definition.type, help: definition.help, instrument });
    return [field, instrument] as const;
  });
  return {
    // The entries were made from `definitions` one by one, which the type of fromEntries cannot say.
    ...(Object.fromEntries(instruments) as unknown as EtcdMetrics),
    add: (metric) => void registered.push(metric),
    all: () => registered,
  };
}
