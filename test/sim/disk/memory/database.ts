/**
 * The second medium of the simulated disks: a database whose tables are JavaScript, behind the same driver calls as SQLite,
 * for worlds that have to be fast. It knows exactly the statements of the storage room, by their text, and fails the run at
 * any other. A test holds it against SQLite.
 */
import type BetterSqlite3 from "better-sqlite3";
import { logStatements } from "./log-statements.js";
import { scanStatements } from "./scan-statements.js";
import { stateStatements } from "./state-statements.js";
import { decodeTables, Tables } from "./tables.js";
import { one, run, type Work } from "./work.js";

const transactions: readonly (readonly [string, Work])[] = [
  ["BEGIN", run(begin)],
  ["BEGIN IMMEDIATE", run(begin)],
  ["COMMIT", run(commit)],
  ["PRAGMA data_version", one(() => [1])],
  // Newer than any version that production refuses.
  ["SELECT sqlite_version()", one(() => ["99.0.0"])],
  ["SELECT count(*) FROM sqlite_schema", one(({ singles }) => [singles.userVersion === 0 ? 0 : 1])],
];

const works = new Map<string, Work>([...transactions, ...logStatements, ...stateStatements, ...scanStatements]);

function begin(tables: Tables): number {
  tables.begin();
  return 0;
}

function commit(tables: Tables): number {
  tables.commit();
  return 0;
}

const pageBytes = 4096;
const codes: Readonly<Record<string, number>> = { OFF: 0, NORMAL: 1, FULL: 2, ON: 1, MEMORY: 2 };

/** A database with the content of a file of this medium; an empty one has no schema yet. */
export function memoryDatabase(content: Buffer | Tables): BetterSqlite3.Database {
  return new MemoryDatabase(content) as unknown as BetterSqlite3.Database;
}

/** The tables behind a database of this medium; undefined if it is one of SQLite. */
export function tablesOf(database: BetterSqlite3.Database): Tables | undefined {
  return database instanceof MemoryDatabase ? database.tables : undefined;
}

class MemoryDatabase {
  private readonly content: Tables | undefined;
  private readonly pragmas = new Map<string, string | number>();
  open = true;

  constructor(content: Buffer | Tables) {
    this.content = content instanceof Tables ? content.copy() : decodeTables(content);
  }

  /** Throws as SQLite does if the file is damaged. */
  get tables(): Tables {
    if (this.content !== undefined) return this.content;
    throw Object.assign(new Error("file is not a database"), { code: "SQLITE_NOTADB" });
  }

  get inTransaction(): boolean {
    return this.content?.inTransaction === true;
  }

  prepare(sql: string): Statement {
    const work = works.get(sql);
    if (work === undefined) throw new Error(`the memory medium does not know this statement: ${sql}`);
    return new Statement(work, this.tables);
  }

  /** A schema, or the end of a transaction. */
  exec(sql: string): void {
    const { tables } = this;
    if (sql === "ROLLBACK") tables.rollback();
    else if (sql === "BEGIN IMMEDIATE") tables.begin();
    else if (sql === "COMMIT") tables.commit();
    else if (sql.includes("CREATE TABLE")) {
      const number = (name: string): number => Number(new RegExp(`${name} = (\\d+)`).exec(sql)?.[1] ?? 0);
      tables.putSingles({ applicationId: number("application_id"), userVersion: number("user_version") });
    } else if (sql !== "VACUUM") throw new Error(`the memory medium does not know this statement: ${sql}`);
  }

  /** Answers as SQLite with `simple` set; without it a name alone has no use here. */
  pragma(source: string): unknown {
    const [name = "", value] = source.split("=").map((part) => part.trim());
    if (value !== undefined) this.pragmas.set(name, codes[value] ?? Number(value));
    const { singles, rev, log } = this.tables;
    switch (name) {
      case "page_size":
        return pageBytes;
      case "page_count":
        return 16 + Math.ceil((rev.all.length + log.all.length) / 32);
      case "freelist_count":
        return 0;
      case "quick_check(1)":
        return "ok";
      case "user_version":
        return singles.userVersion;
      case "application_id":
        return singles.applicationId;
      default:
        return this.pragmas.get(name);
    }
  }

  serialize(): Buffer {
    return this.tables.encode();
  }

  /** Without effect: what is forgotten needs no closing. */
  close(): void {
    this.open = false;
  }
}

class Statement {
  private readonly work: Work;
  private readonly tables: Tables;
  private plucks = false;

  constructor(work: Work, tables: Tables) {
    this.work = work;
    this.tables = tables;
  }

  /** Rows come as production asks for them in any case. */
  safeIntegers(): this {
    return this;
  }

  raw(): this {
    return this;
  }

  pluck(): this {
    this.plucks = true;
    return this;
  }

  run(...parameters: never[]): { readonly changes: number } {
    return { changes: this.work.perform(this.tables, ...parameters) as number };
  }

  get(...parameters: never[]): unknown {
    const result = this.work.perform(this.tables, ...parameters);
    if (this.work.kind === "many") return (result as readonly unknown[])[0];
    return this.plucks ? (result as readonly unknown[])[0] : result;
  }

  all(...parameters: never[]): readonly unknown[] {
    return this.work.perform(this.tables, ...parameters) as readonly unknown[];
  }

  iterate(...parameters: never[]): Iterator<unknown> {
    return this.all(...parameters)[Symbol.iterator]();
  }
}
