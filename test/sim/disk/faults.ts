/** What happens to the files of one member: power loss, and the damage that its checks must notice. */
import type { RandomStream } from "../world/random.js";
import { namesPending, namesSynced } from "./names.js";
import { databaseOf } from "./sqlite.js";
import { type DatabaseContent, fileAt, pathsUnder, putBack, rmSync, type VirtualFile } from "./virtual-fs.js";

const sectorBytes = 512;

/**
 * Whatever was not synced may be gone, be as it was some time ago, or be there in part; that goes for names as well. Answers
 * what it did.
 */
export function losePower(dir: string, random: RandomStream): { readonly torn: number; readonly names: number } {
  let torn = 0;
  for (const path of pathsUnder(dir)) {
    const file = fileAt(path);
    if (file === undefined) continue;
    if (file.database === undefined) torn += loseBytes(file, random);
    else if (!path.endsWith("raft.db")) loseCommits(file.database, random);
  }
  let names = 0;
  for (const [path, onDisk] of namesPending(dir)) {
    if (!random.chance(0.5)) continue;
    putBack(path, onDisk);
    names += 1;
  }
  namesSynced(dir);
  return { torn, names };
}

function loseCommits(database: DatabaseContent, random: RandomStream): void {
  if (database.copies.length === 0 || !random.chance(0.8)) return;
  const copy = random.pick(database.copies);
  database.connection.close();
  database.connection = databaseOf(copy);
  database.copies = [copy];
}

/** A sector is there or not; of several some may be. Answers how many files are neither what they were nor what they are. */
function loseBytes(file: VirtualFile, random: RandomStream): number {
  if (file.synced || file.former.length === 0) return 0;
  const former = random.pick(file.former);
  const fate = random.below(3);
  if (fate === 1) file.bytes = former;
  const length = Math.max(file.bytes.length, former.length);
  if (fate !== 2 || length <= sectorBytes) return 0;
  const mixed = Buffer.alloc(length);
  for (let at = 0; at < length; at += sectorBytes)
    (random.chance(0.5) ? former : file.bytes).subarray(at, at + sectorBytes).copy(mixed, at);
  file.bytes = mixed;
  return 1;
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
  namesSynced(dir);
}

/** Everything is gone, for good. */
export function wipeDisk(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  namesSynced(dir);
}
