/** The versions that this server reports: those of the etcd API that it offers, plain x.y.z because clients parse them. */

/** `Status.version` and `/version`. */
export const serverVersion = "3.7.0";
/** What the cluster stores as its version when it starts. */
export const clusterVersionAtStart = "3.7.0";
/** Format of the stored data, in etcd's terms: `Status.storageVersion` and `SnapshotResponse.version`. */
export const storageVersion = "3.7.0";
