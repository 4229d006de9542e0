/** The face of the server for files at rest: what `litectl utl` works with. Whoever imports it loads the storage. */
import { storageVersion } from "../runtime/version.js";
import { memberDirectory } from "./recognise.js";

export { WireError } from "../../../proto/status.js";
export { StorageFailure, StorageRefused } from "../storage/failure.js";
export { defragDirectory } from "./defrag.js";
export { hashKvAt, type SnapshotStatus, snapshotStatus } from "./read.js";
export { OfflineRefused } from "./refused.js";
export { type Restored, type RestoreOptions, restoreSnapshot } from "./restore.js";

/** Format of a data directory in etcd's terms, x.y.z. Throws OfflineRefused if it holds no data of litecd. */
export function storageVersionOf(dataDir: string): string {
  memberDirectory(dataDir);
  return storageVersion;
}
