/** What kind of file or directory was given: told by magic numbers, before anything opens it as a database. */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { holdsMember } from "../storage/pointer.js";
import { OfflineRefused } from "./refused.js";

const sqliteMagic = "SQLite format 3\0";
const applicationIdAt = 68;
/** "lite", as the storage room writes it into its files. */
const applicationId = 0x6c697465;
/** bbolt's first page is a meta page: 16 bytes of page header, then this number, in the machine's byte order. */
const bboltMagicAt = 16;
const bboltMagic = 0xed0cdaed;
const headBytes = 100;

/** Throws OfflineRefused unless the file is a database of litecd, and the system's error if it cannot be opened. */
export function assertOurFile(path: string): void {
  const head = assertNotBbolt(path);
  const isOurs =
    head.length >= headBytes &&
    head.toString("latin1", 0, sqliteMagic.length) === sqliteMagic &&
    head.readUInt32BE(applicationIdAt) === applicationId;
  if (!isOurs) throw new OfflineRefused("damaged", "invalid database");
}

/** Throws OfflineRefused for a file of etcd's own. Returns the first bytes. */
export function assertNotBbolt(path: string): Buffer {
  const head = headOf(path);
  if (!isBbolt(head)) return head;
  const what = "is a bbolt database of an etcd; only snapshots and files of litecd, which are SQLite, can be read yet";
  throw new OfflineRefused("bbolt", `${path} ${what}`);
}

/** The directory of a member inside a data directory. Throws OfflineRefused if there is none of litecd. */
export function memberDirectory(dataDir: string): string {
  const dir = join(dataDir, "member");
  if (holdsMember(dir)) return dir;
  const bbolt = join(dir, "snap", "db");
  if (existsSync(bbolt)) {
    throw new OfflineRefused("bbolt", `${bbolt} is a bbolt database of an etcd; use etcd's own etcdutl for it`);
  }
  // etcd's words, though the file would be another one here: scripts look for them.
  throw new OfflineRefused("place", `stat ${bbolt}: no such file or directory`);
}

function isBbolt(head: Buffer): boolean {
  if (head.length < bboltMagicAt + 4) return false;
  return head.readUInt32LE(bboltMagicAt) === bboltMagic || head.readUInt32BE(bboltMagicAt) === bboltMagic;
}

function headOf(path: string): Buffer {
  const descriptor = openSync(path, "r");
  try {
    const head = Buffer.alloc(headBytes);
    return head.subarray(0, readSync(descriptor, head, 0, headBytes, 0));
  } finally {
    closeSync(descriptor);
  }
}
