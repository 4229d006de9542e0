/** etcd's flags, one row each: type, default, whether it has an effect here, meaning. Source: spec/server.md 13.2. */

import { featureGates } from "./feature-gates.js";
import { choice, duration, type Flag, integer, list, optionalCount, text, toggle, urls } from "./flag.js";

const member = {
  name: text("default", "now", "Name of this member, as --initial-cluster uses it."),
  "data-dir": text("${name}.etcd", "now", "Directory of everything this member stores."),
  "wal-dir": text("", "later", "Separate directory for the log."),
  "snapshot-count": integer(10_000, "now", "Applied entries between two checks of how much log may go."),
  "snapshot-catchup-entries": integer(5000, "now", "Log entries kept behind what is applied."),
  "heartbeat-interval": integer(100, "now", "Time between heartbeats, in milliseconds."),
  "election-timeout": integer(1000, "now", "Time without a leader before an election, in milliseconds."),
  "initial-election-tick-advance": toggle(true, "now", "Shorten the first election."),
  "listen-peer-urls": urls("http://localhost:2380", "now", "Where to listen for other members."),
  "listen-client-urls": urls("http://localhost:2379", "now", "Where to listen for clients (gRPC and HTTP)."),
  "listen-client-http-urls": urls("", "now", "Where to serve HTTP alone; --listen-client-urls then serve gRPC alone."),
  "max-wals": integer(5, "never", "Log files kept."),
  "max-snapshots": integer(5, "never", "Snapshot files kept."),
  "memory-mlock": toggle(false, "never", "Hold the state in memory."),
  "quota-backend-bytes": integer(0, "now", "Size that the state may grow to; 0 is 2 GiB, below 0 is no limit.", {
    min: Number.MIN_SAFE_INTEGER,
  }),
  "backend-bbolt-freelist-type": choice(["map", "array"], "never", "Free list of etcd's own storage."),
  "backend-batch-interval": duration("0", "never", "Longest time before a batch is committed."),
  "backend-batch-limit": integer(0, "never", "Most operations before a batch is committed."),
  "max-txn-ops": integer(128, "now", "Most operations in a transaction."),
  "max-request-bytes": integer(
    1_572_864,
    "now",
    "Largest request that is taken, in bytes; above 63 MiB the same on all members.",
  ),
  "max-concurrent-streams": integer(4_294_967_295, "now", "Most calls at a time on one connection.", {
    max: 4_294_967_295,
  }),
  "grpc-keepalive-min-time": duration("5s", "now", "A client may not ping more often than this."),
  "grpc-keepalive-interval": duration("2h", "now", "Ping a client that has been silent this long; 0 never."),
  "grpc-keepalive-timeout": duration("20s", "now", "Close a connection whose ping stays unanswered this long."),
  "socket-reuse-port": toggle(false, "later", "Listen with SO_REUSEPORT."),
  "socket-reuse-address": toggle(false, "never", "Listen with SO_REUSEADDR, which is always so here."),
  "enable-grpc-gateway": toggle(true, "later", "Serve the JSON gateway."),
  "raft-read-timeout": duration("5s", "never", "Longest wait for another member's bytes."),
  "raft-write-timeout": duration("5s", "never", "Longest wait to send bytes to another member."),
  "feature-gates": featureGates("Features to switch, as Gate=true,Gate=false."),
} as const;

const clustering = {
  "initial-advertise-peer-urls": urls("http://localhost:2380", "now", "Where other members reach this one."),
  "initial-cluster": text("default=http://localhost:2380", "now", "Founding members, as name=url,name=url."),
  "initial-cluster-state": choice(["new", "existing"], "now", "Found a cluster, or join one."),
  "initial-cluster-token": text("etcd-cluster", "now", "Mixed into the ids, so that clusters stay apart."),
  "advertise-client-urls": urls("http://localhost:2379", "now", "Where clients reach this member."),
  "discovery-endpoints": list("", "later", "Discovery service to bootstrap from."),
  "discovery-token": text("", "later", "Token of the cluster at the discovery service."),
  "discovery-dial-timeout": duration("2s", "later", "Longest time to connect to the discovery service."),
  "discovery-request-timeout": duration("5s", "later", "Longest time of a discovery request."),
  "discovery-keepalive-time": duration("2s", "later", "Time between pings to the discovery service."),
  "discovery-keepalive-timeout": duration("6s", "later", "Longest wait for the discovery service's answer to a ping."),
  "discovery-insecure-transport": toggle(true, "later", "Reach the discovery service without TLS."),
  "discovery-insecure-skip-tls-verify": toggle(false, "later", "Trust any certificate of the discovery service."),
  "discovery-cert": text("", "later", "Certificate for the discovery service."),
  "discovery-key": text("", "later", "Key for the discovery service."),
  "discovery-cacert": text("", "later", "CA that the discovery service is verified with."),
  "discovery-user": text("", "later", "User at the discovery service, as name or name:password."),
  "discovery-password": text("", "later", "Password at the discovery service."),
  "discovery-srv": text("", "later", "DNS domain whose SRV records name the members."),
  "discovery-srv-name": text("", "later", "Suffix of the SRV names."),
  "discovery-fallback": choice(["exit", "proxy"], "never", "What to do when discovery fails."),
  "strict-reconfig-check": toggle(true, "now", "Refuse membership changes that would lose the quorum."),
  "pre-vote": toggle(true, "now", "Ask before an election whether it could be won."),
  "auto-compaction-retention": text(
    "0",
    "now",
    "What automatic compaction keeps: hours, a duration or revisions; 0 is off.",
  ),
  "auto-compaction-mode": choice(["periodic", "revision"], "now", "Whether the retention is time or revisions."),
} as const;

const security = {
  "cert-file": text("", "now", "Certificate for clients."),
  "key-file": text("", "now", "Key of that certificate."),
  "client-cert-auth": toggle(false, "now", "Demand certificates from clients, and know them by these."),
  "client-cert-file": text("", "never", "Certificate to use when calling oneself."),
  "client-key-file": text("", "never", "Key of that certificate."),
  "client-crl-file": text("", "now", "Revoked client certificates."),
  "client-cert-allowed-cn": list("", "now", "Common names allowed in client certificates (litecd's own)."),
  "client-cert-allowed-hostname": list("", "now", "Host names allowed in client certificates."),
  "trusted-ca-file": text("", "now", "CA that client certificates are verified with."),
  "auto-tls": toggle(false, "now", "Make a certificate for clients."),
  "peer-cert-file": text("", "now", "Certificate for members."),
  "peer-key-file": text("", "now", "Key of that certificate."),
  "peer-client-cert-auth": toggle(false, "now", "Demand certificates from members."),
  "peer-client-cert-file": text("", "now", "Certificate to use when calling members."),
  "peer-client-key-file": text("", "now", "Key of that certificate."),
  "peer-trusted-ca-file": text("", "now", "CA that members' certificates are verified with."),
  "peer-auto-tls": toggle(false, "now", "Make a certificate for members."),
  "peer-crl-file": text("", "now", "Revoked certificates of members."),
  "peer-cert-allowed-cn": list("", "now", "Common names allowed in members' certificates."),
  "peer-cert-allowed-hostname": list("", "now", "Host names allowed in members' certificates."),
  "peer-skip-client-san-verification": toggle(
    false,
    "now",
    "Do not compare members' addresses with their certificates.",
  ),
  "self-signed-cert-validity": integer(1, "now", "Years that certificates made here are valid."),
  "cipher-suites": list("", "now", "TLS cipher suites by Go's names."),
  "tls-min-version": choice(["TLS1.2", "TLS1.3"], "now", "Lowest TLS version."),
  "tls-max-version": choice(["", "TLS1.2", "TLS1.3"], "now", "Highest TLS version."),
  cors: list("*", "now", "Origins that browsers may call from; * is every one."),
  "host-whitelist": list("*", "now", "Host names that plain HTTP requests may use; * is every one."),
} as const;

const auth = {
  "auth-token": text("simple", "now", "Kind of token: simple, or jwt with its options."),
  "bcrypt-cost": integer(10, "now", "Cost of hashing a password."),
  "auth-token-ttl": integer(300, "now", "Seconds that a simple token lives."),
} as const;

const monitoring = {
  "enable-pprof": toggle(false, "never", "Serve Go profiles."),
  metrics: choice(["basic", "extensive"], "now", "extensive adds histograms of gRPC calls."),
  "listen-metrics-urls": urls("", "now", "Where to serve metrics and health alone."),
  "warning-unary-request-duration": duration("300ms", "later", "Log calls that take longer."),
  "warning-apply-duration": duration("100ms", "later", "Log applied requests that take longer."),
  "enable-distributed-tracing": toggle(false, "later", "Send traces."),
  "distributed-tracing-address": text("localhost:4317", "later", "Collector of traces."),
  "distributed-tracing-service-name": text("etcd", "later", "Service name in traces."),
  "distributed-tracing-instance-id": text("", "later", "Name of this member in traces."),
  "distributed-tracing-sampling-rate": integer(0, "later", "Traces kept of a million."),
} as const;

const logging = {
  logger: choice(["zap"], "now", "Logger; its line format is the only one."),
  "log-outputs": list("default", "now", "Where the log goes: default, stderr, stdout or files."),
  "log-level": choice(["info", "debug", "warn", "error", "panic", "fatal"], "now", "Lowest level that is logged."),
  "log-format": choice(["json", "console"], "now", "Form of a log line."),
  "enable-log-rotation": toggle(false, "later", "Rotate the log file."),
  "log-rotation-config-json": text('{"maxsize": 100}', "later", "When to rotate."),
} as const;

const upkeep = {
  "corrupt-check-time": duration("0s", "now", "Time between comparisons of all that the members have stored; 0 never."),
  "compact-hash-check-time": duration("1m", "later", "Time between comparisons of compaction hashes."),
  "compaction-batch-limit": integer(1000, "later", "Revisions removed in one batch of a compaction."),
  "compaction-sleep-interval": duration("10ms", "now", "Pause between batches of a compaction."),
  "watch-progress-notify-interval": duration("10m", "now", "Time between progress reports to idle watchers."),
  "bootstrap-defrag-threshold-megabytes": integer(0, "later", "Defragment at start when it frees this much."),
  "max-learners": integer(1, "now", "Most learners in the cluster."),
  "downgrade-check-time": duration("5s", "later", "Time between checks of a downgrade."),
  "wait-cluster-ready-timeout": duration("5s", "never", "Longest wait for the cluster at start."),
} as const;

const unsafe = {
  "force-new-cluster": toggle(false, "now", "Keep the data, forget all other members."),
  "unsafe-no-fsync": toggle(false, "now", "Do not wait for the disk. Loses data when the power fails."),
} as const;

const development = {
  dev: optionalCount("Start a cluster of so many members on this machine instead, 1 if no number follows.", {
    min: 1,
    max: 9,
  }),
  "dev-port": integer(0, "now", "First of the ports of --dev, two a member, one after the other; 0 takes free ones.", {
    max: 65_518,
  }),
} as const;

const general = {
  "config-file": text("", "now", "Read everything from this file instead (YAML or JSON)."),
} as const;

/** The flags by the heading that `--help` shows them under. */
export const flagSections = {
  Member: member,
  Clustering: clustering,
  Security: security,
  Auth: auth,
  "Profiling and monitoring": monitoring,
  Logging: logging,
  Upkeep: upkeep,
  "Unsafe, for recovery and experiments": unsafe,
  "Development (litecd's own)": development,
  General: general,
} as const;

/** Every flag by its name. */
export const flags = {
  ...member,
  ...clustering,
  ...security,
  ...auth,
  ...monitoring,
  ...logging,
  ...upkeep,
  ...unsafe,
  ...development,
  ...general,
} as const satisfies Readonly<Record<string, Flag<unknown>>>;

export type FlagName = keyof typeof flags;
export type FlagValues = { readonly [Name in FlagName]: ReturnType<(typeof flags)[Name]["parse"]> };

export function isFlagName(name: string): name is FlagName {
  return Object.hasOwn(flags, name);
}

/** Flags that etcd 3.5 spells with `experimental-` in front; both spellings are taken. */
const onceExperimental: readonly FlagName[] = [
  "bootstrap-defrag-threshold-megabytes",
  "compact-hash-check-time",
  "compaction-batch-limit",
  "compaction-sleep-interval",
  "corrupt-check-time",
  "distributed-tracing-address",
  "distributed-tracing-instance-id",
  "distributed-tracing-sampling-rate",
  "distributed-tracing-service-name",
  "downgrade-check-time",
  "enable-distributed-tracing",
  "max-learners",
  "memory-mlock",
  "peer-skip-client-san-verification",
  "snapshot-catchup-entries",
  "wait-cluster-ready-timeout",
  "warning-apply-duration",
  "warning-unary-request-duration",
  "watch-progress-notify-interval",
];

/** The flag that a spelling of etcd 3.5 stands for. */
export function flagOfExperimentalName(name: string): FlagName | undefined {
  return onceExperimental.find((flag) => name === `experimental-${flag}`);
}

/** Flags of the distant past that are taken and ignored without a word. They never take the next word as a value. */
export const ignoredFlags: ReadonlySet<string> = new Set([
  "cluster-active-size",
  "cluster-remove-delay",
  "cluster-sync-interval",
  "config",
  "force",
  "max-result-buffer",
  "max-retry-attempts",
  "peer-heartbeat-interval",
  "peer-election-timeout",
  "retry-interval",
  "snapshot",
  "v",
  "vv",
]);
