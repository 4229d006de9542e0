/** Files of the data directory: who may read them, and when their names are durable. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { invariant } from "../invariant.js";

const directoryMode = 0o700;
const fileMode = 0o600;
const stateFilePattern = /^state-(\d+)\.db$/;
const stateFileOrCompanion = /^state-\d+\.db(-wal|-shm|-journal)?$/;

/** File name of the first state file of a member. */
export const firstStateFile = "state-1.db";

/** State files follow each other; a step back would be the work of somebody who did not see that another one has moved on. */
export function assertStateFileFollows(next: string, stateFile: string): void {
  invariant(numberOf(next) > numberOf(stateFile), "a state file takes the place of a later one", { next, stateFile });
}

/** Name for the state file that comes after `stateFile` (defrag, restore, snapshot install). */
export function nextStateFile(stateFile: string): string {
  return `state-${numberOf(stateFile) + 1}.db`;
}

function numberOf(stateFile: string): number {
  const number = stateFilePattern.exec(stateFile)?.[1];
  invariant(number !== undefined, "a state file has an unexpected name", { stateFile });
  return Number(number);
}

/** Creates a directory that only its owner may enter, and makes its name durable. */
export function createDirectory(path: string): void {
  if (existsSync(path)) return;
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.push(at);
  mkdirSync(path, { recursive: true, mode: directoryMode });
  for (const created of missing) syncDirectory(dirname(created));
}

/**
 * Creates an empty file that only its owner may read, if there is none; SQLite gives its companions the same mode. A file
 * that is there is not even opened: closing it again would drop every lock that this process has on it.
 */
export function createFile(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, "a", fileMode));
}

/** Creates an empty file that only its owner may read; throws if there is one already. */
export function createNewFile(path: string): void {
  closeSync(openSync(path, "wx", fileMode));
}

/** Makes the content of a file durable. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, "r+");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Deletes a database together with its write-ahead log. */
export function removeDatabase(path: string): void {
  for (const companion of ["", "-wal", "-shm", "-journal"]) rmSync(path + companion, { force: true });
}

/** Deletes the state files that the pointer does not name: leftovers of an unfinished defrag, restore or install. */
export function removeStrayStateFiles(dir: string, stateFile: string): readonly string[] {
  const kept = new Set([stateFile, `${stateFile}-wal`, `${stateFile}-shm`, `${stateFile}-journal`]);
  const strays = readdirSync(dir).filter((name) => stateFileOrCompanion.test(name) && !kept.has(name));
  for (const name of strays) rmSync(join(dir, name), { force: true });
  return strays;
}
