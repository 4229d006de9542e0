/**
 * Stands in for `storage/sqlite.ts` in the simulated world: a database is one of SQLite in memory, or one of the memory
 * medium, belongs to a file of virtual-fs.ts and outlives its process. Every connection to a file shares it; pragmas about the write-ahead log,
 * which a database in memory has not, are answered as a file would.
 */
import { dirname } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { memoryDatabase, tablesOf } from "./memory/database.js";
import { namesSynced } from "./names.js";
import { createFileAt, type DatabaseContent, type DatabaseCopy, disk, fileAt, type VirtualFile } from "./virtual-fs.js";

const imitated: Readonly<Record<string, string | number>> = {
  journal_mode: "wal",
  mmap_size: 0,
  query_only: 1,
  busy_timeout: 0,
};
const copyCountMax = 3;

/** A database must lie in the path of a file, an empty one or one that holds a database. */
export function openSqlite(path: string): BetterSqlite3.Database {
  const file = fileAt(path) ?? createFileAt(path);
  file.database ??= load(file);
  return new SharedConnection(file, path) as unknown as BetterSqlite3.Database;
}

/** The production check of the driver's version has no meaning here. */
export function assertLoadable(): void {
  return undefined;
}

/** What was not synced when it became a database may be gone after a power loss. */
function load({ bytes, synced, former }: VirtualFile): DatabaseContent {
  const copies = synced ? [bytes] : [former[0] ?? bytes];
  return { connection: databaseOf(bytes), synchronous: "NORMAL", namesSynced: false, copies };
}

/** A database in memory with this content, in the medium of the run. */
export function databaseOf(content: DatabaseCopy): BetterSqlite3.Database {
  if (disk.medium === "memory" || !Buffer.isBuffer(content)) return memoryDatabase(content);
  return content.length > 0 ? new BetterSqlite3(content) : new BetterSqlite3(":memory:");
}

function copyOf(connection: BetterSqlite3.Database): DatabaseCopy {
  return tablesOf(connection)?.copy() ?? connection.serialize();
}

interface Pragma {
  readonly name: string;
  readonly value: string | undefined;
}

const knownPragmas = new Map<string, Pragma>();

function pragmaOf(source: string): Pragma {
  let pragma = knownPragmas.get(source);
  if (pragma === undefined) {
    const [name = "", value] = source.split("=").map((part) => part.trim());
    knownPragmas.set(source, (pragma = { name, value }));
  }
  return pragma;
}

class SharedConnection {
  private readonly file: VirtualFile;
  private readonly path: string;
  private readonly pragmas = new Map<string, string | number>();
  open = true;

  constructor(file: VirtualFile, path: string) {
    this.file = file;
    this.path = path;
    if (this.connection.inTransaction) this.connection.exec("ROLLBACK");
  }

  private get content(): DatabaseContent {
    const { database } = this.file;
    if (database === undefined) throw new Error(`the database ${this.path} is gone`);
    return database;
  }

  private get connection(): BetterSqlite3.Database {
    return this.content.connection;
  }

  get inTransaction(): boolean {
    return this.connection.inTransaction;
  }

  prepare(sql: string): unknown {
    if (sql === "COMMIT") return this.commit();
    if (sql.startsWith("VACUUM INTO")) return { run: (path: string) => this.vacuumInto(path) };
    return this.connection.prepare(sql);
  }

  exec(sql: string): void {
    this.connection.exec(sql);
    if (sql.includes("COMMIT")) this.committed();
  }

  pragma(source: string, options?: { simple?: boolean }): unknown {
    const { name, value } = pragmaOf(source);
    if (name.startsWith("wal_checkpoint")) return options?.simple === true ? 0 : [{ busy: 0, log: 0, checkpointed: 0 }];
    if (name === "synchronous" && value !== undefined)
      this.content.synchronous = value as DatabaseContent["synchronous"];
    if (name in imitated || name === "locking_mode") {
      if (value !== undefined) this.pragmas.set(name, /^\d+$/.test(value) ? Number(value) : value === "ON" ? 1 : value);
      return this.pragmas.get(name) ?? imitated[name] ?? "normal";
    }
    return this.connection.pragma(source, options);
  }

  /** The content stays with the file. */
  close(): void {
    this.open = false;
  }

  private commit(): { run(): void } {
    const statement = this.connection.prepare("COMMIT");
    return {
      run: () => {
        disk.beforeWrite(this.path);
        statement.run();
        this.committed();
      },
    };
  }

  /** Remembers what a power loss may bring back; the log's own commits are durable, each of them. */
  private committed(): void {
    const { content } = this;
    if (content.synchronous === "FULL" && !content.namesSynced) {
      // SQLite syncs the directory when it syncs a write-ahead log that it has created.
      content.namesSynced = true;
      namesSynced(dirname(this.path));
    }
    if (this.path.endsWith("raft.db") || disk.copyChance === 0) return;
    if (content.synchronous === "FULL") content.copies = [copyOf(this.connection)];
    else if (disk.random?.chance(disk.copyChance) === true) {
      content.copies.push(copyOf(this.connection));
      if (content.copies.length > copyCountMax) content.copies.splice(1, 1);
    }
  }

  private vacuumInto(path: string): void {
    disk.beforeWrite(path);
    const copy = databaseOf(this.connection.serialize());
    copy.exec("VACUUM");
    const target = fileAt(path) ?? createFileAt(path);
    target.former.push(target.bytes);
    target.bytes = copy.serialize();
    target.synced = false;
    copy.close();
  }
}
