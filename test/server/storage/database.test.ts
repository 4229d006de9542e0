/** One SQLite file: pragmas that hold, failures that stop, errors told apart. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compareVersions, Database, type DatabaseOptions } from "../../../src/server/storage/database.js";
import { asFailure, type FailureReason, StorageFailure } from "../../../src/server/storage/failure.js";
import { assertLoadable } from "../../../src/server/storage/sqlite.js";

let dir: string;
let open: Database[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-database-"));
  open = [];
});
afterEach(() => {
  for (const database of open) database.close();
  rmSync(dir, { recursive: true });
});

function openDatabase(more: Partial<DatabaseOptions> = {}): Database {
  const database = new Database({
    path: join(dir, "test.db"),
    synchronous: "FULL",
    lockingMode: "normal",
    walAutocheckpointPages: 1000,
    journalSizeLimitBytes: 64 * 1024 * 1024,
    cacheSizeKib: 8 * 1024,
    busyTimeoutMs: 0,
    schemaVersion: 1,
    schema: "CREATE TABLE t(n INTEGER NOT NULL) STRICT",
    ...more,
  });
  open.push(database);
  return database;
}

function count(database: Database): number {
  return database.read(() => database.statement<[], { n: number }>("SELECT count(*) AS n FROM t").get()?.n ?? -1);
}

function insert(database: Database, n: number | string): void {
  database.write(() => database.statement<[number | string], unknown>("INSERT INTO t VALUES (?)").run(n));
}

describe("pragmas", () => {
  it.each([
    ["FULL", 2],
    ["NORMAL", 1],
    ["OFF", 0],
  ] as const)("synchronous = %s reads back as %i", (synchronous, code) => {
    expect(openDatabase({ synchronous }).pragma("synchronous")).toBe(code);
  });

  it("are set as the file's use asks for", () => {
    const database = openDatabase({ walAutocheckpointPages: 16_000, cacheSizeKib: 1024, busyTimeoutMs: 5000 });
    const values = [
      "wal_autocheckpoint",
      "cache_size",
      "busy_timeout",
      "journal_size_limit",
      "page_size",
      "temp_store",
    ];
    expect(values.map((name) => database.pragma(name))).toEqual([16_000, -1024, 5000, 67_108_864, 4096, 2]);
    expect(["trusted_schema", "foreign_keys", "auto_vacuum"].map((name) => database.pragma(name))).toEqual([0, 0, 0]);
  });

  it("make the file a write-ahead database", () => {
    insert(openDatabase(), 1);
    expect(statSync(join(dir, "test.db-wal")).size).toBeGreaterThan(0);
  });
});

describe("writing", () => {
  it("commits what the work does", () => {
    const database = openDatabase();
    insert(database, 1);
    expect(count(database)).toBe(1);
  });

  it("durably syncs and goes back to the usual way", () => {
    const database = openDatabase({ synchronous: "NORMAL" });
    const during = database.writeDurably(() => database.pragma("synchronous"));
    expect([during, database.pragma("synchronous")]).toEqual([2, 1]);
  });

  it("that fails stops the database: no rollback, no retry, no checkpoint", () => {
    const database = openDatabase();
    insert(database, 1);
    expect(() => insert(database, "not a number")).toThrow(StorageFailure);
    expect(() => insert(database, 2)).toThrow("used after a failure");
    expect(() => count(database)).toThrow("used after a failure");
    database.close();
    expect(statSync(join(dir, "test.db-wal")).size).toBeGreaterThan(0);
  });

  it("passes on errors that are none of the file's", () => {
    const database = openDatabase();
    const error = new Error("ours");
    expect(() =>
      database.write(() => {
        throw error;
      }),
    ).toThrow(error);
  });

  it("leaves nothing of a transaction that failed", () => {
    const database = openDatabase();
    expect(() =>
      database.write(() => {
        database.statement("INSERT INTO t VALUES (1)").run();
        throw new Error("in the middle");
      }),
    ).toThrow("in the middle");
    expect(count(openDatabase())).toBe(0);
  });
});

describe("checkpoints", () => {
  it("see what waits and move it", () => {
    const database = openDatabase();
    database.checkpoint("TRUNCATE");
    expect(database.pendingWalFrames()).toBe(0);
    insert(database, 1);
    expect(database.pendingWalFrames()).toBeGreaterThan(0);
    database.checkpoint("PASSIVE");
    expect(database.pendingWalFrames()).toBe(0);
  });
});

describe("opening", () => {
  it("refuses a schema of another version", () => {
    openDatabase();
    open.pop()?.close();
    expect(() => openDatabase({ schemaVersion: 2 })).toThrow("has schema version 1; this litecd reads version 2");
  });

  it("refuses a database that somebody else made", () => {
    const other = new BetterSqlite3(join(dir, "test.db"));
    other.exec("CREATE TABLE theirs(n)");
    other.close();
    expect(() => openDatabase()).toThrow(expect.objectContaining({ reason: "unsupportedVersion" }));
  });

  it("refuses a file that is no database, and a path that is no file", () => {
    writeFileSync(join(dir, "test.db"), "x".repeat(5000));
    expect(() => openDatabase()).toThrow(expect.objectContaining({ reason: "corrupt" }));
    expect(() => openDatabase({ path: dir })).toThrow(StorageFailure);
    expect(() => openDatabase({ path: join(dir, "missing", "test.db") })).toThrow(
      expect.objectContaining({ name: "StorageFailure", reason: "io" }),
    );
  });
});

function sqlite(code: string): Error {
  return new BetterSqlite3.SqliteError("it broke", code);
}

describe("failures", () => {
  it.each<[string, FailureReason]>([
    ["SQLITE_IOERR", "io"],
    ["SQLITE_IOERR_FSYNC", "io"],
    ["SQLITE_CANTOPEN", "io"],
    ["SQLITE_FULL", "full"],
    ["SQLITE_CORRUPT", "corrupt"],
    ["SQLITE_CORRUPT_VTAB", "corrupt"],
    ["SQLITE_NOTADB", "corrupt"],
    ["SQLITE_CONSTRAINT_PRIMARYKEY", "other"],
    ["ENOSPC", "full"],
    ["EIO", "io"],
  ])("%s means %s and ends the process with 70", (code, reason) => {
    const error = code.startsWith("SQLITE") ? sqlite(code) : Object.assign(new Error("it broke"), { code });
    const failure = asFailure(error, "a.db");
    expect(failure).toBeInstanceOf(StorageFailure);
    expect(failure).toMatchObject({ reason, exitCode: 70, message: `a.db: it broke (${code})`, cause: error });
  });

  it("of other kinds pass unchanged", () => {
    const own = new TypeError("ours");
    expect(asFailure(own, "a.db")).toBe(own);
    const known = new StorageFailure("io", "known");
    expect(asFailure(known, "a.db")).toBe(known);
  });
});

describe("the driver", () => {
  it("of version 13 is refused where it would end the process, and said why", () => {
    expect(() => assertLoadable("13.2.0", 9)).toThrow(/better-sqlite3 13\.2\.0 needs Node-API 10, this Node has 9/);
    expect(() => assertLoadable("13.2.0", 10)).not.toThrow();
    expect(() => assertLoadable("12.11.1", 9)).not.toThrow();
  });

  it("has a version that is compared by numbers", () => {
    expect(compareVersions("3.51.3", "3.51.3")).toBe(0);
    expect(compareVersions("3.51.2", "3.51.3")).toBeLessThan(0);
    expect(compareVersions("3.100.0", "3.51.3")).toBeGreaterThan(0);
    expect(compareVersions("3.52", "3.51.3")).toBeGreaterThan(0);
  });
});
