/**
 * Names in directories: a file that was created, renamed or deleted is so for good only once its directory was synced. Until
 * then a power loss may bring back what the directory on disk still says.
 */
import { dirname } from "node:path";
import type { VirtualFile } from "./virtual-fs.js";

/** By path: what the directory on disk has under this name, where that is not what it has in memory. */
const pending = new Map<string, VirtualFile | undefined>();

/** The name is about to stand for another file, or for none; `present` is what it stands for now. */
export function nameChanges(path: string, present: VirtualFile | undefined): void {
  if (!pending.has(path)) pending.set(path, present);
}

/** The directory is on disk as it is now. */
export function namesSynced(dir: string): void {
  for (const path of pending.keys()) if (dirname(path) === dir) pending.delete(path);
}

/** The names in this directory that a power loss may change, and what they would stand for then. */
export function namesPending(dir: string): readonly (readonly [path: string, onDisk: VirtualFile | undefined])[] {
  return [...pending].filter(([path]) => dirname(path) === dir);
}

export function forgetNames(): void {
  pending.clear();
}
