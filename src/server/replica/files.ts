/** Snapshot files in a directory of this machine. */
import { readdirSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { removeDatabase } from "../storage/files.js";
import type { FileWriter, SnapshotFiles } from "./types.js";

const fileMode = 0o600;

export function snapshotFilesIn(dir: string): SnapshotFiles {
  return {
    names: () => readdirSync(dir),
    remove: (name) => removeDatabase(join(dir, name)),
    create: async (name) => {
      const path = join(dir, name);
      removeDatabase(path);
      const file = await open(path, "wx", fileMode);
      return new LocalFileWriter(file, { dir, path });
    },
  };
}

class LocalFileWriter implements FileWriter {
  private readonly file: FileHandle;
  private readonly dir: string;
  private readonly path: string;

  constructor(file: FileHandle, { dir, path }: { readonly dir: string; readonly path: string }) {
    this.file = file;
    this.dir = dir;
    this.path = path;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.byteLength; ) {
      const { bytesWritten } = await this.file.write(chunk, from);
      from += bytesWritten;
    }
  }

  async finish(): Promise<void> {
    try {
      await this.file.sync();
    } finally {
      await this.file.close();
    }
    const directory = await open(this.dir, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  async discard(): Promise<void> {
    await this.file.close();
    removeDatabase(this.path);
  }
}
