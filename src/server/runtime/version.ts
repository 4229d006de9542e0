/** Versions: those of etcd's API that this server reports (plain x.y.z, because clients parse them), and our own. */

/** `Status.version` and `/version`. */
export const serverVersion = "3.7.0";
/** Format of the stored data, in etcd's terms: `Status.storageVersion` and `SnapshotResponse.version`. */
export const storageVersion = "3.7.0";

/** Version of this package; a test holds it to package.json. */
export const litecdVersion = "0.1.0";
