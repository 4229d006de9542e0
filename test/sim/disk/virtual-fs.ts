/**
 * The file system of the simulated world: stands in for `node:fs` and `node:fs/promises` in the code under test. Files live
 * in memory; databases are files whose content an open connection holds (see sqlite.ts). What was not synced can be lost.
 */
import { constants } from "node:fs";
import type BetterSqlite3 from "better-sqlite3";
import type { RandomStream } from "../world/random.js";
import type { Tables } from "./memory/tables.js";
import { forgetNames, nameChanges, namesSynced } from "./names.js";

/** What holds the databases of a world: SQLite, as in production, or tables in memory, which are faster. */
export type Medium = "sqlite" | "memory";

/** A database as it was: the bytes of its file, or its tables in memory. */
export type DatabaseCopy = Buffer | Tables;

/** Content of a database file. */
export interface DatabaseContent {
  connection: BetterSqlite3.Database;
  synchronous: "OFF" | "NORMAL" | "FULL";
  /** Whether a durable commit has made the names in its directory durable, its own above all. */
  namesSynced: boolean;
  /** Copies that a power loss may bring back; the first one is durable. */
  copies: DatabaseCopy[];
}

export interface VirtualFile {
  bytes: Buffer;
  synced: boolean;
  /** What the file held before, newest last, since it was last synced: a power loss may bring one back. */
  former: Buffer[];
  database: DatabaseContent | undefined;
}

const files = new Map<string, VirtualFile>();
const directories = new Set<string>(["/"]);
const descriptors = new Map<
  number,
  { readonly path: string; readonly file: VirtualFile | undefined; position: number }
>();
let lastDescriptor = 100;
const formerCountMax = 4;

/** What the disks of this run do; set by the world. */
export const disk = {
  /** Of all databases, from the start of the run to its end. */
  medium: "sqlite" as Medium,
  random: undefined as RandomStream | undefined,
  /** How likely a commit of a state file is remembered for a power loss. */
  copyChance: 0,
  /** Throws if the file cannot be written now (full or broken disk). */
  beforeWrite: (_path: string): void => undefined,
  /** Throws if the file cannot be deleted now: a disk without power. */
  beforeRemove: (_path: string): void => undefined,
};

/** Empties the disks for another run. */
export function resetFiles(): void {
  for (const file of files.values()) file.database?.connection.close();
  files.clear();
  directories.clear();
  directories.add("/");
  descriptors.clear();
  forgetNames();
}

export function fileAt(path: string): VirtualFile | undefined {
  return files.get(path);
}

export function createFileAt(path: string): VirtualFile {
  const file: VirtualFile = { bytes: Buffer.alloc(0), synced: false, former: [], database: undefined };
  nameChanges(path, files.get(path));
  files.set(path, file);
  return file;
}

/** What a power loss makes of a name: it stands for this file now, or for none. */
export function putBack(path: string, file: VirtualFile | undefined): void {
  if (file === undefined) files.delete(path);
  else files.set(path, file);
}

export function pathsUnder(dir: string): string[] {
  return [...files.keys()].filter((path) => path.startsWith(`${dir}/`));
}

/** An error as the file system or SQLite would give it. */
export class FsError extends Error {
  readonly code: string;
  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}

function must(path: string): VirtualFile {
  const file = files.get(path);
  if (file === undefined) throw new FsError("ENOENT", path);
  return file;
}

/** The bytes of a file as a reader finds them. */
export function contentOf(path: string): Buffer {
  const file = must(path);
  return file.database === undefined ? file.bytes : file.database.connection.serialize();
}

export { constants };

export function existsSync(path: string): boolean {
  return files.has(path) || directories.has(path);
}

export function mkdirSync(path: string): void {
  const parts = path.split("/").filter((part) => part !== "");
  for (let count = 1; count <= parts.length; count += 1) directories.add(`/${parts.slice(0, count).join("/")}`);
}

export function readdirSync(path: string): string[] {
  if (!directories.has(path)) throw new FsError("ENOENT", path);
  const prefix = `${path}/`;
  const names = [...files.keys(), ...directories]
    .filter((one) => one.startsWith(prefix))
    .map((one) => one.slice(prefix.length));
  return [...new Set(names.map((name) => name.split("/")[0] ?? name))].toSorted();
}

export function rmSync(path: string, options: { force?: boolean; recursive?: boolean } = {}): void {
  if (options.recursive === true) for (const one of pathsUnder(path)) removeFile(one);
  if (options.recursive === true)
    for (const one of directories) if (one === path || one.startsWith(`${path}/`)) directories.delete(one);
  if (files.has(path)) removeFile(path);
  else if (options.force !== true && !directories.has(path)) throw new FsError("ENOENT", path);
}

/** Its content stays where it is until the directory is synced: a power loss may bring it back. */
function removeFile(path: string): void {
  disk.beforeRemove(path);
  nameChanges(path, files.get(path));
  files.delete(path);
}

export function unlinkSync(path: string): void {
  rmSync(path);
}

export function renameSync(from: string, to: string): void {
  const file = must(from);
  nameChanges(from, file);
  nameChanges(to, files.get(to));
  files.delete(from);
  files.set(to, file);
}

export function openSync(path: string, flags: string | number = "r"): number {
  const creates = typeof flags === "string" ? /^[aw]/.test(flags) : (flags & constants.O_CREAT) !== 0;
  const exclusive = typeof flags === "string" ? flags.includes("x") : (flags & constants.O_EXCL) !== 0;
  if (exclusive && files.has(path)) throw new FsError("EEXIST", path);
  if (!files.has(path) && !directories.has(path)) {
    if (!creates) throw new FsError("ENOENT", path);
    disk.beforeWrite(path);
    createFileAt(path);
  }
  const file = files.get(path);
  if (typeof flags === "string" && flags.startsWith("w") && file !== undefined) change(file, Buffer.alloc(0));
  lastDescriptor += 1;
  descriptors.set(lastDescriptor, { path, file, position: 0 });
  return lastDescriptor;
}

function opened(descriptor: number): {
  readonly path: string;
  readonly file: VirtualFile | undefined;
  position: number;
} {
  const entry = descriptors.get(descriptor);
  if (entry === undefined) throw new FsError("EBADF", String(descriptor));
  return entry;
}

export function closeSync(descriptor: number): void {
  opened(descriptor);
  descriptors.delete(descriptor);
}

export function fsyncSync(descriptor: number): void {
  const { file, path } = opened(descriptor);
  disk.beforeWrite(path);
  if (file === undefined) {
    namesSynced(path);
    return;
  }
  file.synced = true;
  file.former = [];
}

/** Where bytes go or come from, as `node:fs` has it: offset and length in the buffer, position in the file. */
type Slice = [offset?: number | undefined, length?: number | undefined, position?: number | null | undefined];

export function readSync(descriptor: number, buffer: Uint8Array, ...slice: Slice): number {
  const [offset = 0, length = buffer.length, position = null] = slice;
  const entry = opened(descriptor);
  const from = position ?? entry.position;
  const bytes = contentOf(entry.path);
  const read = bytes.copy(buffer, offset, from, Math.min(bytes.length, from + length));
  if (position === null) entry.position += read;
  return read;
}

export function writeSync(descriptor: number, data: Uint8Array, ...slice: Slice): number {
  const [offset = 0, length = data.length - offset, position = null] = slice;
  const entry = opened(descriptor);
  disk.beforeWrite(entry.path);
  const { file } = entry;
  if (file === undefined) throw new FsError("EISDIR", entry.path);
  const at = position ?? entry.position;
  const piece = data.subarray(offset, offset + length);
  change(file, at === 0 && length >= file.bytes.length ? Buffer.from(piece) : patched(file.bytes, piece, at));
  if (position === null) entry.position += length;
  return length;
}

function patched(bytes: Buffer, piece: Uint8Array, at: number): Buffer {
  const next = Buffer.alloc(Math.max(bytes.length, at + piece.length));
  bytes.copy(next);
  next.set(piece, at);
  return next;
}

function change(file: VirtualFile, bytes: Buffer): void {
  file.former.push(file.bytes);
  if (file.former.length > formerCountMax) file.former.shift();
  file.bytes = bytes;
  file.synced = false;
}

interface VirtualStat {
  readonly size: number;
  isDirectory(): boolean;
  isFile(): boolean;
}

export function fstatSync(descriptor: number): VirtualStat {
  return statOf(opened(descriptor).path);
}

export function statSync(path: string, options?: { throwIfNoEntry?: boolean }): VirtualStat | undefined {
  if (options?.throwIfNoEntry === false && !existsSync(path)) return undefined;
  return statOf(path);
}

function statOf(path: string): VirtualStat {
  if (directories.has(path)) return { size: 0, isDirectory: () => true, isFile: () => false };
  const { database, bytes } = must(path);
  const pages = (pragma: string): number => Number(database?.connection.pragma(pragma, { simple: true }));
  const size = database === undefined ? bytes.length : pages("page_count") * pages("page_size");
  return { size, isDirectory: () => false, isFile: () => true };
}

export function readFileSync(path: string): Buffer {
  return contentOf(path);
}

export function writeFileSync(path: string, data: Uint8Array): void {
  const descriptor = openSync(path, "w");
  writeSync(descriptor, data, 0, data.length, 0);
  closeSync(descriptor);
}

/** `FileHandle` as far as the code under test uses it. */
class VirtualHandle {
  readonly fd: number;
  constructor(descriptor: number) {
    this.fd = descriptor;
  }
  async read(buffer: Uint8Array, ...slice: Slice): Promise<{ bytesRead: number; buffer: Uint8Array }> {
    return { bytesRead: readSync(this.fd, buffer, ...slice), buffer };
  }
  async write(data: Uint8Array, ...slice: Slice): Promise<{ bytesWritten: number }> {
    return { bytesWritten: writeSync(this.fd, data, ...slice) };
  }
  async writeFile(data: Uint8Array): Promise<void> {
    writeSync(this.fd, data);
  }
  async stat(): Promise<VirtualStat> {
    return fstatSync(this.fd);
  }
  async sync(): Promise<void> {
    fsyncSync(this.fd);
  }
  async datasync(): Promise<void> {
    fsyncSync(this.fd);
  }
  async close(): Promise<void> {
    closeSync(this.fd);
  }
}

export async function open(path: string, flags?: string): Promise<VirtualHandle> {
  return new VirtualHandle(openSync(path, flags));
}

export async function stat(path: string): Promise<VirtualStat> {
  return statOf(path);
}

export async function rm(path: string, options?: { force?: boolean; recursive?: boolean }): Promise<void> {
  rmSync(path, options);
}

export async function readdir(path: string): Promise<string[]> {
  return readdirSync(path);
}

export async function mkdir(path: string): Promise<void> {
  mkdirSync(path);
}

export async function readFile(path: string): Promise<Buffer> {
  return contentOf(path);
}
