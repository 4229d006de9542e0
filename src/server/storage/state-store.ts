/** A state file: its tables, its transactions, and how it is copied, made durable and kept small. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { PermissionTable, RoleTable, UserTable } from "./auth-tables.js";
import { Database } from "./database.js";
import { ExportFailed, StorageFailure, StorageRefused } from "./failure.js";
import { createNewFile, removeDatabase, syncDirectory, syncFile } from "./files.js";
import { KeyTable } from "./keys.js";
import { RevisionTable } from "./revisions.js";
import { Scanner } from "./scan.js";
import { stateSchema, stateSchemaVersion, stateUpgrades } from "./state-schema.js";
import { AlarmTable, CompactCursor, LeaseTable, MarkTable, MemberTable, MetaTable, RemovedTable } from "./tables.js";
import type { StateSize } from "./types.js";

export interface StateStoreOptions {
  readonly dir: string;
  /** File name, as the pointer in raft.db has it. */
  readonly file: string;
  /**
   * `create` makes a new file if there is none; `existing` refuses then. `beside` is a further connection to a file that
   * another one in this process writes: for copies and checkpoints.
   */
  readonly mode: "create" | "existing" | "beside";
  /** Never waits for the disk. For tests. */
  readonly unsafeNoFsync?: boolean | undefined;
  /** Told about every StorageFailure, reads included, before it is thrown. */
  readonly onFailure?: ((failure: StorageFailure) => void) | undefined;
}

/** Frames in the write-ahead log that make a checkpoint worth its time (about 6 ms each thousand). */
const checkpointFramesMin = 1000;
/** A commit that finds this many pages waiting checkpoints by itself, so that the log can not grow for ever. */
const checkpointFencePages = 16_000;

/** Checkpoints, copies and hashes meet each page once. */
const besideCacheKib = 8 * 1024;

/** The tables of the file that is open now; do not keep it across a switch of files. */
export interface StateTables {
  readonly revisions: RevisionTable;
  readonly keys: KeyTable;
  readonly scanner: Scanner;
  readonly meta: MetaTable;
  readonly compactCursor: CompactCursor;
  readonly leases: LeaseTable;
  readonly members: MemberTable;
  readonly removed: RemovedTable;
  readonly marks: MarkTable;
  readonly alarms: AlarmTable;
  readonly users: UserTable;
  readonly roles: RoleTable;
  readonly permissions: PermissionTable;
}

/** What can be read of a state file, by the connection that writes it or by another one. */
export interface StateSource {
  readonly tables: StateTables;
  /** Runs reads; nested calls are one. */
  read<T>(work: () => T): T;
  size(): StateSize;
}

/** Owns the connection to a member's current state file. */
export class StateStore implements StateSource {
  readonly dir: string;
  readonly #options: StateStoreOptions;
  #file: string;
  #database: Database;
  #tables: StateTables;

  /** Throws StorageRefused (`notInitialized`, `unsupportedVersion`) and StorageFailure. */
  constructor(options: StateStoreOptions) {
    const { dir, file, mode } = options;
    this.dir = dir;
    this.#options = options;
    const path = join(dir, file);
    if (mode !== "create" && !existsSync(path)) {
      throw new StorageRefused("notInitialized", `state file ${path} is missing; replace this member`);
    }
    this.#file = file;
    this.#database = openDatabase(path, options);
    this.#tables = openTables(this.#database);
  }

  /** File name, without the directory. */
  get file(): string {
    return this.#file;
  }

  get tables(): StateTables {
    return this.#tables;
  }

  /**
   * Goes over to another file of the same directory. `commit` makes the change known (the pointer in raft.db); until it has
   * returned, the old file stays in use, and it is deleted only afterwards.
   */
  switchTo(file: string, commit: () => void): void {
    const database = openDatabase(join(this.dir, file), this.#options);
    const tables = openTables(database);
    commit();
    const old = this.#database;
    this.#file = file;
    this.#database = database;
    this.#tables = tables;
    old.close();
    removeDatabase(old.path);
  }

  read<T>(work: () => T): T {
    return this.#database.read(work);
  }

  /** Runs reads that all see the same commit, whatever another connection writes meanwhile. */
  readSnapshot<T>(work: () => T): T {
    return this.#database.readSnapshot(work);
  }

  /** One transaction; what it throws ends the use of this store. */
  write<T>(work: () => T): T {
    return this.#database.write(work);
  }

  /** One transaction that is on disk, with everything before it, when this returns. */
  writeDurably<T>(work: () => T): T {
    return this.#database.writeDurably(work);
  }

  /** Bytes of the file as SQLite sees it, the write-ahead log not counted. */
  size(): StateSize {
    return sizeOf(this.#database);
  }

  /** Copies what is waiting in the write-ahead log into the file, if there is enough of it to be worth it. */
  checkpoint(): void {
    if (this.#database.pendingWalFrames() >= checkpointFramesMin) this.#database.checkpoint("PASSIVE");
  }

  /**
   * Writes a compact copy to a path that must not exist; it is durable when this returns. Throws {@link ExportFailed} (and
   * leaves nothing behind) if the target is to blame, StorageFailure if the state can not be read.
   */
  exportTo(path: string): void {
    try {
      createNewFile(path);
    } catch (error) {
      throw new ExportFailed(`can not create ${path}`, { cause: error });
    }
    try {
      this.#database.run("VACUUM INTO ?", path);
      this.read(() => syncFile(path));
      this.read(() => syncDirectory(dirname(path)));
    } catch (error) {
      removeDatabase(path);
      if (error instanceof StorageFailure && error.reason === "full") {
        throw new ExportFailed(`no space for ${path}`, { cause: error });
      }
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }
}

/** Bytes of a file as SQLite sees it, the write-ahead log not counted. */
export function sizeOf(database: Database): StateSize {
  const pageBytes = database.pragma("page_size");
  const pages = database.pragma("page_count");
  const freePages = database.pragma("freelist_count");
  return { allocatedBytes: pages * pageBytes, inUseBytes: (pages - freePages) * pageBytes };
}

function openDatabase(path: string, { mode, unsafeNoFsync, onFailure }: StateStoreOptions): Database {
  const database = new Database({
    path,
    synchronous: unsafeNoFsync === true ? "OFF" : "NORMAL",
    lockingMode: "normal",
    walAutocheckpointPages: checkpointFencePages,
    journalSizeLimitBytes: 256 * 1024 * 1024,
    cacheSizeKib: mode === "beside" ? besideCacheKib : 128 * 1024,
    busyTimeoutMs: 5000,
    schemaVersion: stateSchemaVersion,
    schema: stateSchema,
    upgrades: stateUpgrades,
    onFailure,
  });
  if (mode !== "beside" && database.pendingWalFrames() > 0) database.checkpoint("TRUNCATE");
  return database;
}

export function openTables(database: Database): StateTables {
  const revisions = new RevisionTable(database);
  return {
    revisions,
    keys: new KeyTable(database),
    scanner: new Scanner(database, revisions),
    meta: new MetaTable(database),
    compactCursor: new CompactCursor(database),
    leases: new LeaseTable(database),
    members: new MemberTable(database),
    removed: new RemovedTable(database),
    marks: new MarkTable(database),
    alarms: new AlarmTable(database),
    users: new UserTable(database),
    roles: new RoleTable(database),
    permissions: new PermissionTable(database),
  };
}
