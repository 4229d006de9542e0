/** What happens to the files of one member: power loss, and the damage that its checks must notice. */
import BetterSqlite3 from "better-sqlite3";
import type { RandomStream } from "../world/random.js";
import { fileAt, pathsUnder, rmSync } from "./virtual-fs.js";

/** Whatever was not synced may be gone or be as it was some time ago. */
export function losePower(dir: string, random: RandomStream): void {
  for (const path of pathsUnder(dir)) {
    const file = fileAt(path);
    if (file === undefined) continue;
    const { database } = file;
    if (database === undefined) {
      if (!file.synced && file.former.length > 0 && random.chance(0.5)) file.bytes = random.pick(file.former);
    } else if (!path.endsWith("raft.db") && database.copies.length > 0 && random.chance(0.8)) {
      const copy = random.pick(database.copies);
      database.connection.close();
      database.connection = new BetterSqlite3(copy);
      database.copies = [copy];
    }
  }
}

/** Flips a bit in an entry of the log. Answers whether there was one. */
export function rotLogEntry(dir: string, random: RandomStream): boolean {
  return rotRow(`${dir}/raft.db`, { table: "log", key: "idx", column: "data" }, random);
}

/** Flips a bit in a revision of the state. Answers whether there was one. */
export function rotRevision(dir: string, random: RandomStream): boolean {
  const path = pathsUnder(dir).find((one) => /state-\d+\.db$/.test(one));
  return path !== undefined && rotRow(path, { table: "rev", key: "id", column: "kv" }, random);
}

interface RowPlace {
  readonly table: string;
  readonly key: string;
  readonly column: string;
}

function rotRow(path: string, { table, key, column }: RowPlace, random: RandomStream): boolean {
  const connection = fileAt(path)?.database?.connection;
  if (connection === undefined) return false;
  if (connection.inTransaction) connection.exec("ROLLBACK");
  const rows = connection
    .prepare(`SELECT ${key} AS id, ${column} AS data FROM ${table} WHERE length(${column}) > 0 ORDER BY ${key}`)
    .safeIntegers(true)
    .all() as { id: bigint; data: Buffer }[];
  if (rows.length === 0) return false;
  const { id, data } = random.pick(rows);
  const at = random.below(data.length);
  data[at] = (data[at] ?? 0) ^ (1 << random.below(8));
  connection.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`).run(data, id);
  return true;
}

/** Drops the last entries of the log behind its back, as SQLite does with a damaged write-ahead log. */
export function loseTail(dir: string, random: RandomStream): boolean {
  const connection = fileAt(`${dir}/raft.db`)?.database?.connection;
  if (connection === undefined) return false;
  if (connection.inTransaction) connection.exec("ROLLBACK");
  const row = connection.prepare("SELECT count(*) AS count, max(idx) AS last FROM log").get() as {
    count: number;
    last: number;
  };
  if (row.count === 0) return false;
  connection.prepare("DELETE FROM log WHERE idx > ?").run(row.last - random.between(1, Math.min(3, row.count)));
  return true;
}

export function loseSentinel(dir: string): void {
  rmSync(`${dir}/raft.sentinel`, { force: true });
}
