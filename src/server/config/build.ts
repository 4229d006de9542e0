/** From the values of flags to the config: what depends on several flags, and what etcd checks before it starts. */

import { parseAuthToken } from "./auth-token.js";
import type { AutoCompaction, ConfigWarning, InitialMember, LogOutput, ServerConfig } from "./config.js";
import { parseDurationMs } from "./flag.js";
import type { FlagName, FlagValues } from "./flag-table.js";
import { ConfigError, naming, type Settings } from "./settings.js";
import { tlsCautions, tlsConfig } from "./tls.js";
import { hostOf, parseUrl } from "./url.js";

/** The config that `settings` come to. Throws ConfigError (exit 1). */
export function buildConfig(settings: Settings): ServerConfig {
  const values = settings.values();
  checkTiming(values);
  checkUrls(values, settings);
  checkCombinations(values, settings);
  return {
    ...memberConfig(values, settings),
    ...addressConfig(values),
    ...clusterConfig(values, settings),
    ...limitConfig(values),
    ...tlsConfig(values),
    ...authConfig(values),
    corsOrigins: values.cors,
    hostWhitelist: values["host-whitelist"],
    metrics: values.metrics,
    log: {
      level: values["log-level"],
      format: values["log-format"],
      outputs: values["log-outputs"].map(logOutput),
    },
  };
}

const mebibyte = 1 << 20;
const quotaBytesUsualMax = 8 * 1024 * mebibyte;
const requestBytesUsualMax = 10 * mebibyte;

/** Values that are obeyed although they are rarely meant. Source: spec/server.md 1.2, 13.2. */
export function cautions(config: ServerConfig): readonly ConfigWarning[] {
  const { quotaBackendBytes, maxRequestBytes } = config;
  return [
    ...caution("quota-backend-bytes", quotaBackendBytes, quotaBytesUsualMax),
    ...caution("max-request-bytes", maxRequestBytes, requestBytesUsualMax),
    ...tlsCautions(config),
  ];
}

function caution(flag: FlagName, value: number, usualMax: number): readonly ConfigWarning[] {
  if (value <= usualMax) return [];
  const fields = { flag: `--${flag}`, value: String(value), "recommended-max": String(usualMax) };
  return [{ message: "this flag is above the recommended maximum", fields }];
}

function memberConfig(values: FlagValues, settings: Settings) {
  return {
    name: values.name,
    dataDir: settings.isSet("data-dir") && values["data-dir"] !== "" ? values["data-dir"] : `${values.name}.etcd`,
    snapshotEntries: values["snapshot-count"],
    snapshotCatchUpEntries: values["snapshot-catchup-entries"],
    heartbeatIntervalMs: values["heartbeat-interval"],
    electionTimeoutMs: values["election-timeout"],
    preVote: values["pre-vote"],
    initialElectionTickAdvance: values["initial-election-tick-advance"],
    leaseCheckpoint: values["feature-gates"].get("LeaseCheckpoint") === true,
  };
}

function addressConfig(values: FlagValues) {
  return {
    listenPeerUrls: values["listen-peer-urls"],
    listenClientUrls: values["listen-client-urls"],
    listenClientHttpUrls: values["listen-client-http-urls"],
    listenMetricsUrls: values["listen-metrics-urls"],
    initialAdvertisePeerUrls: values["initial-advertise-peer-urls"],
    advertiseClientUrls: values["advertise-client-urls"],
  };
}

function clusterConfig(values: FlagValues, settings: Settings) {
  return {
    initialCluster: initialCluster(values, settings),
    initialClusterState: values["initial-cluster-state"],
    initialClusterToken: values["initial-cluster-token"],
    strictReconfigCheck: values["strict-reconfig-check"],
    learnersMax: values["max-learners"],
    forceNewCluster: values["force-new-cluster"],
  };
}

function limitConfig(values: FlagValues) {
  return {
    quotaBackendBytes: values["quota-backend-bytes"],
    maxTxnOps: values["max-txn-ops"],
    maxRequestBytes: values["max-request-bytes"],
    maxConcurrentStreams: values["max-concurrent-streams"],
    grpcKeepaliveMinTimeMs: values["grpc-keepalive-min-time"],
    grpcKeepaliveIntervalMs: values["grpc-keepalive-interval"],
    grpcKeepaliveTimeoutMs: values["grpc-keepalive-timeout"],
    autoCompaction: autoCompaction(values),
    corruptCheckIntervalMs: values["corrupt-check-time"],
    compactionSleepIntervalMs: values["compaction-sleep-interval"],
    unsafeNoFsync: values["unsafe-no-fsync"],
    watchProgressNotifyIntervalMs: values["watch-progress-notify-interval"],
  };
}

function authConfig(values: FlagValues) {
  return {
    authToken: parseAuthToken(values["auth-token"]),
    authTokenTtlSeconds: Math.max(values["auth-token-ttl"], 1),
    bcryptCost: values["bcrypt-cost"],
  };
}

/** A name alone founds a cluster of that name at the advertised URLs, as `litecd --name a` should. */
function initialCluster(values: FlagValues, settings: Settings): readonly InitialMember[] {
  if (!settings.isSet("initial-cluster") && values.name !== "default") {
    return [{ name: values.name, peerUrls: values["initial-advertise-peer-urls"] }];
  }
  return naming("--initial-cluster", 1, () => parseInitialCluster(values["initial-cluster"]));
}

/** `n=url,n=url2,m=url`: a name may come several times, once for each of its URLs. */
function parseInitialCluster(text: string): readonly InitialMember[] {
  const members = new Map<string, string[]>();
  for (const word of text.split(",").filter((part) => part.trim() !== "")) {
    const [, name = "", url = ""] = /^\s*([^=]*)=(.*)$/.exec(word) ?? [];
    if (name === "" || url === "") {
      throw new ConfigError(`--initial-cluster holds ${JSON.stringify(word)}, which is not name=url`);
    }
    members.set(name, [...(members.get(name) ?? []), parseUrl(url.trim())]);
  }
  return [...members].map(([name, peerUrls]) => ({ name, peerUrls }));
}

/** Periodic retention is a duration, or a bare number of hours; revision retention is a number of revisions. */
function autoCompaction(values: FlagValues): AutoCompaction {
  const retention = values["auto-compaction-retention"];
  const count = /^\d+$/.test(retention) ? Number(retention) : undefined;
  if (count === 0 || retention === "") return { kind: "off" };
  switch (values["auto-compaction-mode"]) {
    case "periodic": {
      const subject = `--auto-compaction-retention=${retention}:`;
      const retentionMs =
        count === undefined ? naming(subject, 1, () => parseDurationMs(retention)) : count * 3_600_000;
      return retentionMs === 0 ? { kind: "off" } : { kind: "periodic", retentionMs };
    }
    case "revision":
      if (count === undefined) {
        throw new ConfigError(`--auto-compaction-retention=${retention}: must be a number of revisions`);
      }
      return { kind: "revision", retentionRevisions: count };
  }
}

function logOutput(word: string): LogOutput {
  if (word === "default" || word === "stderr") return { kind: "stderr" };
  return word === "stdout" ? { kind: "stdout" } : { kind: "file", path: word };
}

const electionTimeoutMsMax = 50_000;

function checkTiming(values: FlagValues): void {
  const heartbeatMs = values["heartbeat-interval"];
  const electionMs = values["election-timeout"];
  if (heartbeatMs === 0) throw new ConfigError("--heartbeat-interval must be more than 0 ms");
  if (electionMs < 5 * heartbeatMs) {
    throw new ConfigError(
      `--election-timeout (${electionMs} ms) must be at least 5 times --heartbeat-interval (${heartbeatMs} ms)`,
    );
  }
  if (electionMs > electionTimeoutMsMax) {
    throw new ConfigError(`--election-timeout (${electionMs} ms) must not be more than ${electionTimeoutMsMax} ms`);
  }
}

const listenFlags = [
  "listen-peer-urls",
  "listen-client-urls",
  "listen-client-http-urls",
  "listen-metrics-urls",
] as const satisfies readonly FlagName[];

function checkUrls(values: FlagValues, settings: Settings): void {
  if (settings.isSet("listen-client-urls") && !settings.isSet("advertise-client-urls")) {
    throw new ConfigError("--advertise-client-urls must be set when --listen-client-urls is");
  }
  for (const flag of ["listen-peer-urls", "listen-client-urls", "advertise-client-urls"] as const) {
    if (values[flag].length === 0) throw new ConfigError(`--${flag} must name at least one URL`);
  }
  for (const flag of listenFlags) {
    for (const url of values[flag]) {
      const host = hostOf(url);
      if (host !== undefined && !isBindable(host)) {
        throw new ConfigError(`--${flag} holds ${url}, but one can listen only on an IP address or localhost`);
      }
    }
  }
  for (const flag of ["initial-advertise-peer-urls", "advertise-client-urls"] as const) {
    const hostless = values[flag].find((url) => hostOf(url) === "");
    if (hostless !== undefined) throw new ConfigError(`--${flag} holds ${hostless}, which names no host`);
  }
}

/** Every address of the machine is 0.0.0.0 or [::], never no host at all. */
function isBindable(host: string): boolean {
  return host === "localhost" || /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.includes(":");
}

function checkCombinations(values: FlagValues, settings: Settings): void {
  const ways = (["initial-cluster", "discovery-endpoints", "discovery-srv"] as const).filter((flag) =>
    settings.isSet(flag),
  );
  if (ways.length > 1) {
    throw new ConfigError(
      `${ways.map((flag) => `--${flag}`).join(" and ")} are both set; there is one way to bootstrap`,
    );
  }
  if (values["discovery-endpoints"].length > 0 !== (values["discovery-token"] !== "")) {
    throw new ConfigError("--discovery-endpoints and --discovery-token go together");
  }
  const gates = values["feature-gates"];
  if (gates.get("LeaseCheckpointPersist") === true && gates.get("LeaseCheckpoint") !== true) {
    throw new ConfigError("--feature-gates: LeaseCheckpointPersist needs LeaseCheckpoint");
  }
  if (values["compact-hash-check-time"] <= 0) throw new ConfigError("--compact-hash-check-time must be more than 0");
}
