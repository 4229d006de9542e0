/** What a server is told at its start: flags, environment and file have become one checked, read-only object. */

import type { LogLevel } from "../runtime/logger.js";
import type { TlsConfig } from "../tls/types.js";

/** A member as `--initial-cluster` names it. */
export interface InitialMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** What compacts by itself; `kind` follows `--auto-compaction-mode`, "off" is a retention of 0. */
export type AutoCompaction =
  | { readonly kind: "off" }
  | { readonly kind: "periodic"; readonly retentionMs: number }
  | { readonly kind: "revision"; readonly retentionRevisions: number };

/** One target of the log. "default" is stderr, as etcd does outside of systemd. */
export type LogOutput =
  | { readonly kind: "stderr" }
  | { readonly kind: "stdout" }
  | { readonly kind: "file"; readonly path: string };

/** How tokens look. Files are paths; which keys a method needs is found when they are read. */
export type AuthTokenConfig =
  | { readonly kind: "simple" }
  | {
      readonly kind: "jwt";
      readonly method: string;
      readonly publicKeyFile: string | undefined;
      readonly privateKeyFile: string | undefined;
      readonly ttlMs: number;
    };

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: "json" | "console";
  readonly outputs: readonly LogOutput[];
}

/** Names and defaults follow spec/server.md 13.2; a field says its unit. URLs are `scheme://host:port` or `unix://path`. */
export interface ServerConfig {
  readonly name: string;
  readonly dataDir: string;
  /** Applied entries between two checks of how much log may go. */
  readonly snapshotEntries: number;
  /** Log entries kept behind what is applied. */
  readonly snapshotCatchUpEntries: number;
  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly preVote: boolean;
  /** Stand for election as soon as a quorum can be reached at the start, instead of waiting out a timeout. */
  readonly initialElectionTickAdvance: boolean;
  /** Write what is left of long leases to the log now and then. */
  readonly leaseCheckpoint: boolean;

  readonly listenPeerUrls: readonly string[];
  readonly listenClientUrls: readonly string[];
  /** If any, HTTP/1 leaves the client URLs and is served here. */
  readonly listenClientHttpUrls: readonly string[];
  readonly listenMetricsUrls: readonly string[];
  readonly initialAdvertisePeerUrls: readonly string[];
  readonly advertiseClientUrls: readonly string[];

  readonly initialCluster: readonly InitialMember[];
  readonly initialClusterState: "new" | "existing";
  readonly initialClusterToken: string;
  /** Refuse changes of the membership that could cost the quorum. */
  readonly strictReconfigCheck: boolean;
  readonly learnersMax: number;
  /** Keep the data of this member and forget all others. */
  readonly forceNewCluster: boolean;

  /** Bytes that the state file may grow to; 0 is the default of 2 GiB, below 0 there is no limit. */
  readonly quotaBackendBytes: number;
  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
  readonly maxConcurrentStreams: number;
  /** A client may ping no more often than this. */
  readonly grpcKeepaliveMinTimeMs: number;
  /** An idle connection is pinged after this long; 0 never. */
  readonly grpcKeepaliveIntervalMs: number;
  /** How long such a ping may stay unanswered. */
  readonly grpcKeepaliveTimeoutMs: number;
  readonly autoCompaction: AutoCompaction;
  /** Time between comparisons of what the members have stored; 0 never. */
  readonly corruptCheckIntervalMs: number;
  /** Pause between two batches of a compaction. */
  readonly compactionSleepIntervalMs: number;
  /** Never wait for the disk: a power cut loses acknowledged writes. */
  readonly unsafeNoFsync: boolean;
  readonly watchProgressNotifyIntervalMs: number;

  /** Certificates and rules of the URLs for clients that have https (or unixs). */
  readonly clientTls: TlsConfig;
  /** The same among members, for both sides of a call. */
  readonly peerTls: TlsConfig;
  /** Clients are known by the common names of their certificates. */
  readonly clientCertAuth: boolean;

  readonly authToken: AuthTokenConfig;
  /** How long a simple token stays good that nobody uses. */
  readonly authTokenTtlSeconds: number;
  /** Logarithm of bcrypt's rounds; the default of bcrypt's user counts if it is not from 4 to 31. */
  readonly bcryptCost: number;

  /** Origins that browsers may call from; `*` is every one. */
  readonly corsOrigins: readonly string[];
  /** Host names that plain-text HTTP requests may use; `*` is every one. */
  readonly hostWhitelist: readonly string[];
  readonly metrics: "basic" | "extensive";
  readonly log: LogConfig;
}

/** A line for the log at start: something that was set and is not obeyed, or is likely a mistake. */
export interface ConfigWarning {
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}
