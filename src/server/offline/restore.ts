/**
 * A data directory made from a snapshot: the first member, or one of several, of a new cluster with the snapshot's keys,
 * leases and users (spec/cli.md 9.2).
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { InitialMember } from "../config/config.js";
import { clusterIdOf, memberIdOf } from "../config/identity.js";
import { RevisionLimit, restoreState } from "../state/restore.js";
import type { Member } from "../state/types.js";
import { StorageFailure } from "../storage/failure.js";
import { createDirectory, firstStateFile, syncDirectory } from "../storage/files.js";
import { inspectStateFile } from "../storage/inspect.js";
import { openLogStore } from "../storage/log-store.js";
import { copyDatabase } from "./copy.js";
import { damaged } from "./read.js";
import { assertNotBbolt, assertOurFile } from "./recognise.js";
import { OfflineRefused } from "./refused.js";

export interface RestoreOptions {
  /** The snapshot, or a copy of a state file if its digest is not to be checked. */
  readonly snapshot: string;
  /** Made if it is missing; must be empty. */
  readonly dataDir: string;
  /** A directory for WAL files, if one was asked for: there are none here. */
  readonly walDir: string | undefined;
  /** All members of the new cluster. */
  readonly initialCluster: readonly InitialMember[];
  /** Which of them this is. */
  readonly name: string;
  readonly clusterToken: string;
  readonly hashCheck: "check" | "skip";
  /** Added to the revision, with all history marked as compacted; 0 for neither. */
  readonly bumpRevision: bigint;
  /** Told how much is copied, in bytes. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** Who the restored member is. */
export interface Restored {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/**
 * Writes the data directory; whatever fails leaves nothing behind. Every member of the new cluster has to be restored from the
 * same snapshot with the same flags. Rejects with OfflineRefused, StorageRefused, StorageFailure and the system's errors.
 */
export async function restoreSnapshot(options: RestoreOptions): Promise<Restored> {
  assertPlace(options);
  const dir = join(options.dataDir, "member");
  const hadDataDir = existsSync(options.dataDir);
  try {
    return await restoreInto(dir, options);
  } catch (error) {
    rmSync(hadDataDir ? dir : options.dataDir, { recursive: true, force: true });
    throw error instanceof RevisionLimit ? new OfflineRefused("unsupported", error.message, { cause: error }) : error;
  }
}

function assertPlace({ dataDir, walDir }: RestoreOptions): void {
  if (existsSync(dataDir) && !isEmptyDirectory(dataDir)) {
    throw new OfflineRefused("place", `data-dir ${JSON.stringify(dataDir)} not empty or could not be read`);
  }
  if (walDir === undefined) return;
  if (existsSync(walDir)) throw new OfflineRefused("place", `wal-dir ${JSON.stringify(walDir)} exists`);
  const where = "litecd keeps its log in member/raft.db of the data directory";
  throw new OfflineRefused("unsupported", `--wal-dir cannot be used: ${where} and has no WAL files`);
}

function isEmptyDirectory(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch {
    return false; // "could not be read": the caller says so
  }
}

/** The state first: without a log there is no member, so a restore that is cut off cannot be taken for one. */
async function restoreInto(dir: string, options: RestoreOptions): Promise<Restored> {
  const { snapshot, hashCheck, onProgress, bumpRevision } = options;
  const path = join(dir, firstStateFile);
  const prepare = (): void => {
    assertNotBbolt(snapshot);
    createDirectory(dir);
  };
  await copyDatabase({ from: snapshot, to: path, hashCheck, onProgress, prepare });
  assertOurFile(path);
  const { identity, members } = newCluster(options);
  try {
    restoreState({ dir, file: firstStateFile, clusterId: identity.clusterId, members, bumpRevision });
  } catch (error) {
    if (error instanceof StorageFailure && error.reason === "corrupt") throw damaged(snapshot);
    throw error;
  }
  if (inspectStateFile(path) === undefined) throw damaged(snapshot);
  syncDirectory(dir);
  beginLog(dir, identity, members);
  return identity;
}

function newCluster({ initialCluster, name, clusterToken }: RestoreOptions): { identity: Restored; members: Member[] } {
  const self = initialCluster.find((member) => member.name === name);
  if (self === undefined) {
    throw new OfflineRefused("unsupported", `${JSON.stringify(name)} is no member of the initial cluster`);
  }
  const members = initialCluster.map(({ peerUrls }) => ({
    id: memberIdOf(peerUrls, clusterToken),
    name: "",
    peerUrls,
    clientUrls: [],
    learner: false,
  }));
  const clusterId = clusterIdOf(initialCluster, clusterToken);
  return { identity: { clusterId, memberId: memberIdOf(self.peerUrls, clusterToken) }, members };
}

/**
 * The log of a founder, with one difference: it does not name the founders, from whom a state file that is lost would be made
 * again, without the snapshot's keys.
 */
function beginLog(dir: string, identity: Restored, members: readonly Member[]): void {
  const membership = { voters: members.map(({ id }) => id), learners: [] };
  const createdSeconds = Math.floor(Date.now() / 1000);
  openLogStore({ dir, bootstrap: { kind: "found", identity, membership, founders: [], createdSeconds } }).close();
}
