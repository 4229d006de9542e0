/** The columns that simple and table share: members and endpoints (spec/cli.md 8.10, 8.12). */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { formatDuration } from "../input/go-duration.js";
import { hexId, humanSize, percentNotInUse } from "./human.js";
import type { EndpointHash, EndpointHealth, EndpointStatus, FileHash, SnapshotFacts } from "./results.js";

export const memberColumns = ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"];

export function memberRows(members: readonly rpc.Member[]): string[][] {
  return members.map(({ ID, name, peerURLs, clientURLs, isLearner }) => {
    const state = name === "" ? "unstarted" : "started";
    return [hexId(ID), state, name, peerURLs.join(","), clientURLs.join(","), String(isLearner)];
  });
}

export const endpointHealthColumns = ["ENDPOINT", "HEALTH", "TOOK", "ERROR"];

export function endpointHealthRows(endpoints: readonly EndpointHealth[]): string[][] {
  return endpoints.map(({ endpoint, isHealthy, tookNs, error }) => {
    return [endpoint, String(isHealthy), formatDuration(tookNs), error];
  });
}

export const endpointStatusColumns = [
  "ENDPOINT",
  "ID",
  "VERSION",
  "STORAGE VERSION",
  "DB SIZE",
  "IN USE",
  "PERCENTAGE NOT IN USE",
  "QUOTA",
  "IS LEADER",
  "IS LEARNER",
  "RAFT TERM",
  "RAFT INDEX",
  "RAFT APPLIED INDEX",
  "ERRORS",
  "DOWNGRADE TARGET VERSION",
  "DOWNGRADE ENABLED",
];

export function endpointStatusRows(endpoints: readonly EndpointStatus[]): string[][] {
  return endpoints.map(({ endpoint, status }) => {
    const memberId = status.header?.memberId ?? 0n;
    return [
      endpoint,
      hexId(memberId),
      status.version,
      status.storageVersion,
      humanSize(status.dbSize),
      humanSize(status.dbSizeInUse),
      percentNotInUse(status.dbSize, status.dbSizeInUse),
      humanSize(status.dbSizeQuota),
      String(status.leader === memberId),
      String(status.isLearner),
      String(status.raftTerm),
      String(status.raftIndex),
      String(status.raftAppliedIndex),
      status.errors.join(", "),
      status.downgradeInfo?.targetVersion ?? "",
      String(status.downgradeInfo?.enabled ?? false),
    ];
  });
}

export const endpointHashColumns = ["ENDPOINT", "HASH", "HASH REVISION"];

export function endpointHashRows(endpoints: readonly EndpointHash[]): string[][] {
  return endpoints.map(({ endpoint, hash }) => [endpoint, String(hash.hash), String(hash.hashRevision)]);
}

export const snapshotColumns = ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"];

export function snapshotRow({ hash, revision, keys, sizeBytes, version }: SnapshotFacts): string[] {
  return [hash.toString(16), String(revision), String(keys), humanSize(BigInt(sizeBytes)), version];
}

export const fileHashColumns = ["HASH", "HASH REVISION", "COMPACT REVISION"];

export function fileHashRow({ hash, hashRevision, compactRevision }: FileHash): string[] {
  return [String(hash), String(hashRevision), String(compactRevision)];
}
