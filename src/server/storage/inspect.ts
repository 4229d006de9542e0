/** Looks into a state file that nobody has open: a copy that was just made, or a snapshot that came from elsewhere. */
import { existsSync, rmSync, statSync } from "node:fs";
import { InvariantError } from "../invariant.js";
import type { Membership } from "../raft/types.js";
import { Database } from "./database.js";
import { StorageFailure, StorageRefused } from "./failure.js";
import { stateSchema, stateSchemaVersion } from "./state-schema.js";
import { openTables, type StateTables } from "./state-store.js";
import { membershipOf } from "./tables.js";

/** What a state file says of itself. */
export interface StateFileFacts {
  readonly clusterId: bigint;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly revision: number;
  readonly membership: Membership;
  readonly sizeBytes: number;
}

/**
 * Changes whose checksums are verified: all that there are, or about so many of them. A row takes 2 to 3 us, so that a file of
 * any size is looked at in seconds; what was lost on the way here the transfer's own checksum has found before.
 */
const verifiedChangesMax = 500_000;

/**
 * Checks a file: that it is a state file of this version, that its pages are sound (about a second for a gigabyte) and that
 * the checksums of its changes are right. Undefined if not. Throws StorageFailure if it can not be read.
 */
export function inspectStateFile(path: string, changesMax = verifiedChangesMax): StateFileFacts | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return withFile(path, (database) => {
      if (!database.quickCheck()) return undefined;
      const tables = openTables(database);
      database.read(() => tables.revisions.verify(changesMax));
      return factsOf(database, tables);
    });
  } catch (error) {
    if (isUnusable(error)) return undefined;
    throw error;
  }
}

/** What a file says that was just written from a sound one; undefined if it holds no state. */
export function readStateFacts(path: string): StateFileFacts | undefined {
  return withFile(path, (database) => factsOf(database, openTables(database)));
}

function withFile<T>(path: string, work: (database: Database) => T): T {
  return withoutTrace(path, () => {
    const database = openFile(path);
    try {
      return work(database);
    } finally {
      database.close();
    }
  });
}

/** Reading a file that was left in write-ahead mode makes companions, which would be strays beside it: they go again. */
export function withoutTrace<T>(path: string, read: () => T): T {
  const strays = ["-wal", "-shm"].map((suffix) => path + suffix).filter((companion) => !existsSync(companion));
  try {
    return read();
  } finally {
    for (const stray of strays) rmSync(stray, { force: true });
  }
}

function openFile(path: string): Database {
  return new Database({
    path,
    access: "readOnly",
    synchronous: "NORMAL",
    lockingMode: "normal",
    walAutocheckpointPages: 0,
    journalSizeLimitBytes: 0,
    cacheSizeKib: 16 * 1024,
    busyTimeoutMs: 0,
    schemaVersion: stateSchemaVersion,
    schema: stateSchema,
  });
}

function factsOf(database: Database, { meta, members }: StateTables): StateFileFacts | undefined {
  return database.read(() => {
    const clusterId = meta.clusterId();
    if (clusterId === undefined) return undefined;
    return {
      clusterId,
      appliedIndex: meta.number("applied_index") ?? 0,
      appliedTerm: meta.number("applied_term") ?? 0,
      revision: meta.number("revision") ?? 1,
      membership: membershipOf(members.all()),
      sizeBytes: statSync(database.path).size,
    };
  });
}

/** Damage, another schema, another program's file: nothing that this member could use. */
function isUnusable(error: unknown): boolean {
  if (error instanceof StorageFailure) return error.reason === "corrupt";
  if (error instanceof StorageRefused) return error.reason !== "missingDriver";
  return error instanceof InvariantError;
}
