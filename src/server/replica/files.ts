/** Snapshot files in a directory of this machine. */
import { readdirSync, renameSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../runtime/logger.js";
import { removeDatabase } from "../storage/files.js";
import type { FileWriter, SnapshotFiles } from "./types.js";

const fileMode = 0o600;
/**
 * So much is written before it is brought to the disk. A gigabyte that is brought there at its end only makes every other
 * fsync of the machine wait for a fifth of a second, and may lie in the memory until then.
 */
const unsyncedBytesMax = 4 * 1024 * 1024;
const removedName = /^removed-\d+\.tmp$/;

export interface LocalSnapshotFiles extends SnapshotFiles {
  /** Resolves when what was removed so far has left the disk, or cannot: the next start tries again. */
  settled(): Promise<void>;
}

/** Takes up what an earlier process left of files that it removed. */
export function snapshotFilesIn(dir: string, logger: Pick<Logger, "warn">): LocalSnapshotFiles {
  const removals = new Removals(dir, logger);
  const remove = (name: string): void => removals.remove(name);
  return {
    names: () => readdirSync(dir),
    remove,
    create: async (name) => {
      remove(name);
      const file = await open(join(dir, name), "wx", fileMode);
      return new LocalFileWriter(file, { dir, name, remove });
    },
    settled: () => removals.settled(),
  };
}

/**
 * Deletes files in two steps: their name is free at once, their bytes go in the background. To give back a gigabyte takes a
 * file system a quarter of a second, in which no heartbeat would leave.
 */
class Removals {
  private readonly dir: string;
  private readonly logger: Pick<Logger, "warn">;
  private readonly underWay = new Set<Promise<void>>();
  private count = 0;

  constructor(dir: string, logger: Pick<Logger, "warn">) {
    this.dir = dir;
    this.logger = logger;
    for (const name of readdirSync(dir).filter((found) => removedName.test(found))) {
      this.count = Math.max(this.count, Number(/\d+/.exec(name)));
      this.free(join(dir, name));
    }
  }

  /** The write-ahead log may be as large as its database. */
  remove(name: string): void {
    for (const doomed of [name, `${name}-wal`]) this.moveAway(join(this.dir, doomed));
    removeDatabase(join(this.dir, name));
  }

  async settled(): Promise<void> {
    await Promise.all(this.underWay);
  }

  private moveAway(path: string): void {
    const away = join(this.dir, `removed-${this.count + 1}.tmp`);
    try {
      renameSync(path, away);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    this.count += 1;
    this.free(away);
  }

  private free(path: string): void {
    const work = rm(path, { force: true })
      .catch((error: unknown) => this.logger.warn("failed to delete a file", { path, error }))
      .finally(() => this.underWay.delete(work));
    this.underWay.add(work);
  }
}

interface FileOptions {
  readonly dir: string;
  readonly name: string;
  readonly remove: (name: string) => void;
}

class LocalFileWriter implements FileWriter {
  private readonly file: FileHandle;
  private readonly options: FileOptions;
  private unsyncedBytes = 0;

  constructor(file: FileHandle, options: FileOptions) {
    this.file = file;
    this.options = options;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.byteLength; ) {
      const { bytesWritten } = await this.file.write(chunk, from);
      from += bytesWritten;
    }
    this.unsyncedBytes += chunk.byteLength;
    if (this.unsyncedBytes < unsyncedBytesMax) return;
    this.unsyncedBytes = 0;
    await this.file.datasync();
  }

  async finish(): Promise<void> {
    try {
      await this.file.sync();
    } finally {
      await this.file.close();
    }
    const directory = await open(this.options.dir, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  async discard(): Promise<void> {
    await this.file.close();
    this.options.remove(this.options.name);
  }
}
