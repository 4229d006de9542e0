/** One SQLite file: opened with pragmas that are read back, used through prepared statements, stopped by any failure. */
import type BetterSqlite3 from "better-sqlite3";
import { invariant } from "../invariant.js";
import { asFailure, StorageFailure, StorageRefused } from "./failure.js";
import { createFile } from "./files.js";
import { type Access, openSqlite } from "./sqlite.js";

export type Statement<Parameters extends unknown[] = unknown[], Row = unknown> = BetterSqlite3.Statement<
  Parameters,
  Row
>;

/** Older versions can lose commits when a checkpoint meets a writer (spec/raft-storage.md 4.6). */
const sqliteVersionMin = "3.51.3";
const applicationId = 0x6c697465;

export type Synchronous = "OFF" | "NORMAL" | "FULL";
const synchronousCode: Readonly<Record<Synchronous, number>> = { OFF: 0, NORMAL: 1, FULL: 2 };

/** How a file is opened; the values and their reasons are in spec/raft-storage.md 4.6. */
export interface DatabaseOptions {
  readonly path: string;
  /** `readWrite` if undefined. A reader makes no file, no schema and no checkpoint, not even when it closes last. */
  readonly access?: Access;
  readonly synchronous: Synchronous;
  readonly lockingMode: "exclusive" | "normal";
  readonly walAutocheckpointPages: number;
  readonly journalSizeLimitBytes: number;
  readonly cacheSizeKib: number;
  readonly busyTimeoutMs: number;
  /** Kept in `user_version`; a file of another version is refused, unless it can be brought here. */
  readonly schemaVersion: number;
  /** Run once, in the transaction that also sets the version, when the file is new. */
  readonly schema: string;
  /** What brings a file from an older version to the next one, by the older version. Only a writer upgrades. */
  readonly upgrades?: Readonly<Record<number, string>>;
  /** Told about every {@link StorageFailure}, before it is thrown: those of reads reach nobody else who could act. */
  readonly onFailure?: ((failure: StorageFailure) => void) | undefined;
}

/**
 * Owns one connection. Every call that touches SQLite goes through {@link Database.read} or {@link Database.write}, which
 * turn the driver's errors into {@link StorageFailure}. After a failed write nothing works any more, close included.
 */
export class Database {
  readonly path: string;
  readonly #connection: BetterSqlite3.Database;
  readonly #statements = new Map<string, Statement>();
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #beginRead: Statement;
  readonly #version: Statement<[], number>;
  readonly #synchronous: Synchronous;
  readonly #onFailure: ((failure: StorageFailure) => void) | undefined;
  #failed = false;

  constructor(options: DatabaseOptions) {
    this.path = options.path;
    this.#synchronous = options.synchronous;
    this.#onFailure = options.onFailure;
    this.#connection = openConnection(options);
    this.#begin = this.#connection.prepare("BEGIN IMMEDIATE");
    this.#commit = this.#connection.prepare("COMMIT");
    this.#beginRead = this.#connection.prepare("BEGIN");
    this.#version = this.#connection.prepare<[], number>("PRAGMA data_version").pluck();
  }

  /** A prepared statement, one per text. Integers come back as `number`. */
  statement<Parameters extends unknown[], Row>(sql: string): Statement<Parameters, Row> {
    return this.#prepared(sql, "number") as Statement<Parameters, Row>;
  }

  /** Like {@link Database.statement}, with rows as arrays and integers as `bigint`: for ids of 64 bits. */
  rawStatement<Parameters extends unknown[], Row>(sql: string): Statement<Parameters, Row> {
    return this.#prepared(sql, "bigint") as Statement<Parameters, Row>;
  }

  #prepared(sql: string, integers: "number" | "bigint"): Statement {
    const key = integers === "number" ? sql : `raw ${sql}`;
    const known = this.#statements.get(key);
    if (known !== undefined) return known;
    const statement = this.#connection.prepare(sql);
    if (integers === "bigint") statement.safeIntegers(true).raw(true);
    this.#statements.set(key, statement);
    return statement;
  }

  /** Runs reads; an error of SQLite becomes a {@link StorageFailure}. */
  read<T>(work: () => T): T {
    this.#assertUsable();
    try {
      return work();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * Runs reads that all see the same commit. `version` differs from the one before if another connection has committed in
   * between.
   */
  readSnapshot<T>(work: (version: number) => T): T {
    return this.read(() => {
      this.#beginRead.run();
      try {
        return work(this.#version.get() ?? 0);
      } finally {
        // An I/O error has ended the transaction already, and must not be hidden by another error.
        if (this.#connection.inTransaction) this.#commit.run();
      }
    });
  }

  /** Runs `work` in one transaction. Whatever it throws ends the use of this database: there is no rollback. */
  write<T>(work: () => T): T {
    this.#assertUsable();
    try {
      this.#begin.run();
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      this.#failed = true;
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): unknown {
    const failure = asFailure(error, this.path);
    if (failure instanceof StorageFailure) this.#onFailure?.(failure);
    return failure;
  }

  /** Like {@link Database.write}, but on disk when it returns; the sync covers every earlier commit too. */
  writeDurably<T>(work: () => T): T {
    if (this.#synchronous !== "NORMAL") return this.write(work);
    this.read(() => assertPragma(this.#connection, "synchronous", "FULL", synchronousCode.FULL));
    const result = this.write(work);
    this.read(() => assertPragma(this.#connection, "synchronous", "NORMAL", synchronousCode.NORMAL));
    return result;
  }

  /** Runs statements that can not be part of a transaction (VACUUM INTO). */
  run(sql: string, ...parameters: unknown[]): void {
    this.read(() => this.#connection.prepare(sql).run(...parameters));
  }

  /** Whether the file's structure is sound; says nothing about what is stored in it. */
  quickCheck(): boolean {
    return this.read(() => this.#connection.pragma("quick_check(1)", { simple: true }) === "ok");
  }

  pragma(name: string): number {
    return this.read(() => Number(this.#connection.pragma(name, { simple: true })));
  }

  /** Frames in the write-ahead log that are not in the file yet. Costs nothing: it only looks. */
  pendingWalFrames(): number {
    const [, frames, moved] = this.#checkpoint("NOOP");
    return frames - moved;
  }

  /** Moves frames from the write-ahead log into the file. PASSIVE waits for nobody; TRUNCATE also empties the log. */
  checkpoint(mode: "PASSIVE" | "TRUNCATE"): void {
    this.#checkpoint(mode);
  }

  #checkpoint(mode: "NOOP" | "PASSIVE" | "TRUNCATE"): readonly [busy: number, frames: number, moved: number] {
    return this.read(() => {
      const rows = this.#connection.pragma(`wal_checkpoint(${mode})`) as {
        busy: number;
        log: number;
        checkpointed: number;
      }[];
      const row = rows[0];
      invariant(row !== undefined, "a checkpoint gave no answer", { path: this.path });
      return [row.busy, row.log, row.checkpointed];
    });
  }

  /** Closes the file. Does nothing after a failure: closing would checkpoint pages that can not be trusted. */
  close(): void {
    if (this.#failed || !this.#connection.open) return;
    try {
      this.#connection.close();
    } catch (error) {
      throw asFailure(error, this.path);
    }
  }

  /** Not told to `onFailure`: what failed first was. */
  #assertUsable(): void {
    if (this.#failed) throw new StorageFailure("other", `${this.path}: used after a failure`);
  }
}

function openConnection(options: DatabaseOptions): BetterSqlite3.Database {
  let connection: BetterSqlite3.Database | undefined;
  try {
    if (options.access !== "readOnly") createFile(options.path);
    connection = openSqlite(options.path, options.access);
    if (options.access === "readOnly") setReaderPragmas(connection, options);
    else setPragmas(connection, options);
    assertSqliteVersion(connection);
    createSchema(connection, options);
    return connection;
  } catch (error) {
    connection?.close();
    if (isBusy(error)) {
      throw new StorageRefused("inUse", `${options.path} is in use by another process`, { cause: error });
    }
    throw asFailure(error, options.path);
  }
}

function setPragmas(connection: BetterSqlite3.Database, options: DatabaseOptions): void {
  const set = (name: string, value: string | number, expected: string | number = value): void =>
    assertPragma(connection, name, value, expected);
  set("busy_timeout", options.busyTimeoutMs);
  // Before the first access: an exclusive lock taken here is what keeps a second server out of the directory.
  set("locking_mode", options.lockingMode);
  set("journal_mode", "wal");
  set("synchronous", options.synchronous, synchronousCode[options.synchronous]);
  set("wal_autocheckpoint", options.walAutocheckpointPages);
  set("journal_size_limit", options.journalSizeLimitBytes);
  set("cache_size", -options.cacheSizeKib);
  set("mmap_size", 0);
  set("foreign_keys", "OFF", 0);
  set("temp_store", "MEMORY", 2);
  set("trusted_schema", "OFF", 0);
  invariant(connection.pragma("page_size", { simple: true }) === 4096, "page_size is not 4096", { path: options.path });
}

function setReaderPragmas(connection: BetterSqlite3.Database, options: DatabaseOptions): void {
  assertPragma(connection, "busy_timeout", options.busyTimeoutMs, options.busyTimeoutMs);
  assertPragma(connection, "query_only", "ON", 1);
  assertPragma(connection, "cache_size", -options.cacheSizeKib, -options.cacheSizeKib);
  assertPragma(connection, "mmap_size", 0, 0);
  assertPragma(connection, "temp_store", "MEMORY", 2);
  assertPragma(connection, "trusted_schema", "OFF", 0);
}

/** Sets a pragma and reads it back: SQLite accepts what it does not know in silence. */
function assertPragma(
  connection: BetterSqlite3.Database,
  name: string,
  value: string | number,
  expected: string | number,
): void {
  connection.pragma(`${name} = ${value}`);
  const actual: unknown = connection.pragma(name, { simple: true });
  // A library without memory mapping has no mmap_size to read.
  const unmapped = name === "mmap_size" && actual === undefined;
  invariant(actual === expected || unmapped, "a pragma did not take effect", { name, expected, actual });
}

function assertSqliteVersion(connection: BetterSqlite3.Database): void {
  const version = String(connection.prepare("SELECT sqlite_version()").pluck().get());
  if (compareVersions(version, sqliteVersionMin) >= 0) return;
  throw new StorageRefused("missingDriver", `SQLite ${version} is too old: at least ${sqliteVersionMin} is needed`);
}

/** Negative if `a` is older than `b`; both are dotted numbers. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function createSchema(connection: BetterSqlite3.Database, options: DatabaseOptions): void {
  const version: unknown = connection.pragma("user_version", { simple: true });
  if (version === options.schemaVersion) {
    invariant(connection.pragma("application_id", { simple: true }) === applicationId, "not a file of litecd", {
      path: options.path,
    });
    return;
  }
  if (upgradeSchema(connection, options, Number(version))) return;
  const tables = Number(connection.prepare("SELECT count(*) FROM sqlite_schema").pluck().get());
  if (version !== 0 || tables > 0 || options.access === "readOnly") {
    throw new StorageRefused(
      "unsupportedVersion",
      `${options.path} has schema version ${String(version)}; this litecd reads version ${options.schemaVersion}`,
    );
  }
  connection.exec(
    `BEGIN IMMEDIATE; ${options.schema}; PRAGMA application_id = ${applicationId};
     PRAGMA user_version = ${options.schemaVersion}; COMMIT`,
  );
}

/** In one transaction, through all versions in between; false if there is no way, or this is no writer. */
function upgradeSchema(connection: BetterSqlite3.Database, options: DatabaseOptions, from: number): boolean {
  const { access, schemaVersion, upgrades = {} } = options;
  if (access === "readOnly" || from < 1 || from > schemaVersion) return false;
  const steps = Array.from({ length: schemaVersion - from }, (_, step) => upgrades[from + step]);
  if (steps.includes(undefined)) return false;
  connection.exec(`BEGIN IMMEDIATE; ${steps.join("; ")}; PRAGMA user_version = ${schemaVersion}; COMMIT`);
  return true;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith("SQLITE_BUSY");
}
