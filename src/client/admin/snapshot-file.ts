/** A file that is there whole or not at all. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Bytes } from "../options.js";

/** A snapshot holds every secret of the store: its owner alone may read it. */
const ownerOnly = 0o600;

/** Writes beside `file`, syncs, renames, and syncs the folder. Leaves nothing behind when it rejects. */
export async function saveSnapshot(file: string, parts: AsyncIterable<Bytes>): Promise<void> {
  const partial = `${file}.${randomUUID()}.part`;
  try {
    await withFile(partial, async (handle) => {
      for await (const part of parts) await handle.writeFile(part);
      await handle.sync();
    });
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  await syncFolder(dirname(file));
}

async function withFile(path: string, use: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(path, "wx", ownerOnly);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}

/** The new name is durable once the folder is. Windows has no such thing as opening a folder. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
