/** What a snapshot, a state file or a data directory at rest holds (spec/cli.md 9.1, 9.3). */
import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { storageVersion } from "../runtime/version.js";
import { openStateReader } from "../state/open-reader.js";
import type { HashResult, StateReader } from "../state/types.js";
import { inspectStateFile, withoutTrace } from "../storage/inspect.js";
import { currentStateFile } from "../storage/pointer.js";
import { assertOurFile, memberDirectory } from "./recognise.js";
import { OfflineRefused } from "./refused.js";

/** What `snapshot status` says. */
export interface SnapshotStatus {
  /** CRC-32C over the whole state: equal states have equal ones, whatever their files look like. */
  readonly hash: number;
  readonly revision: number;
  /** Keys that are alive. */
  readonly keys: number;
  /** Of the database, without the digest behind it. */
  readonly sizeBytes: number;
  /** Format of the stored data in etcd's terms, x.y.z. */
  readonly version: string;
}

/**
 * Checks a snapshot or a state file and describes it. Changes nothing. Throws OfflineRefused, StorageRefused and
 * StorageFailure, and the system's error if the file cannot be opened.
 */
export function snapshotStatus(path: string): SnapshotStatus {
  assertOurFile(path);
  const facts = inspectStateFile(path);
  if (facts === undefined) throw damaged(path);
  return reading(path, (reader) => ({
    hash: reader.hashAll(),
    revision: reader.revision(),
    keys: reader.range(countAll).count,
    sizeBytes: reader.size().allocatedBytes,
    version: storageVersion,
  }));
}

/**
 * The same as the server's HashKV (0: up to the newest revision), of a snapshot, a state file, or the data directory of a member
 * that does not run. Throws what {@link snapshotStatus} does, and WireError FutureRev or Compacted.
 */
export function hashKvAt(path: string, revision: number): HashResult {
  const file = statSync(path).isDirectory() ? stateFileOf(path) : path;
  assertOurFile(file);
  return reading(file, (reader) => reader.hashKv(revision));
}

export function damaged(path: string): OfflineRefused {
  return new OfflineRefused(
    "damaged",
    `snapshot file integrity check failed. ${path} is damaged or no state of litecd`,
  );
}

const everyKey = Uint8Array.of(0);
const countAll = RangeRequest.fromPartial({ key: everyKey, rangeEnd: everyKey, countOnly: true });

function stateFileOf(dataDir: string): string {
  const dir = memberDirectory(dataDir);
  return join(dir, currentStateFile(dir));
}

function reading<T>(path: string, work: (reader: StateReader) => T): T {
  return withoutTrace(path, () => {
    const handle = openStateReader({ dir: dirname(path), file: basename(path) });
    try {
      return work(handle.reader);
    } finally {
      handle.close();
    }
  });
}
