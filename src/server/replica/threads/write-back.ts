/**
 * Brings a file to the disk while another thread writes it. What is left for the end, a gigabyte perhaps, makes every other
 * fsync of the machine wait for a fifth of a second, those of the log too; and if nobody asks for it, the system does the
 * same by itself half a minute later.
 */
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

/** Between two steps. As short as a timer can: each step is to be small. */
const pauseMs = 1;

/** Begins at once, or as soon as the file is there. Whoever makes it stops it. */
export class WriteBack {
  private readonly running: Promise<void>;
  private stopping = false;

  constructor(path: string) {
    this.running = this.run(path);
    // Whoever stops it is told.
    this.running.catch(() => undefined);
  }

  /**
   * Resolves when the file is closed again, as nobody may have it open as a database before: closing a file drops all locks
   * that a process has on it. Rejects with the system's error if a step failed, after which nobody can tell what is on disk.
   */
  stop(): Promise<void> {
    this.stopping = true;
    return this.running;
  }

  private async run(path: string): Promise<void> {
    const file = await this.opened(path);
    if (file === undefined) return;
    try {
      while (!this.stopping) {
        await file.datasync();
        await rest();
      }
    } finally {
      await file.close();
    }
  }

  /** Undefined if it was stopped before there was a file. */
  private async opened(path: string): Promise<FileHandle | undefined> {
    while (!this.stopping) {
      try {
        return await open(path, "r+");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
      await rest();
    }
    return undefined;
  }
}

/** Does not keep the process alive. */
async function rest(): Promise<void> {
  await delay(pauseMs, undefined, { ref: false });
}
