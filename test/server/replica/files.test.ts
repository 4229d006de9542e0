/** Snapshot files of a directory: whole and durable, or gone. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { snapshotFilesIn } from "../../../src/server/replica/files.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-files-"));
});

afterEach(() => rmSync(dir, { recursive: true }));

describe("snapshot files", () => {
  it("hold what was written, in order", async () => {
    const file = await snapshotFilesIn(dir, silentLogger).create("state-2.db");
    await file.write(new Uint8Array([1, 2]));
    await file.write(new Uint8Array([3]));
    await file.finish();
    expect([...readFileSync(join(dir, "state-2.db"))]).toEqual([1, 2, 3]);
  });

  it("are brought to the disk in steps of 4 MiB", async () => {
    const handle = await open(dir, "r");
    const synced = vi.spyOn(Object.getPrototypeOf(handle) as Pick<FileHandle, "datasync">, "datasync");
    await handle.close();
    const file = await snapshotFilesIn(dir, silentLogger).create("state-2.db");
    const counts: number[] = [];
    for (let part = 0; part < 12; part += 1) {
      await file.write(new Uint8Array(1024 * 1024).fill(part));
      counts.push(synced.mock.calls.length);
    }
    await file.finish();
    synced.mockRestore();
    expect(counts).toEqual([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]);
    const content = readFileSync(join(dir, "state-2.db"));
    expect(content).toHaveLength(12 * 1024 * 1024);
    expect([0, 5, 11].map((part) => content[part * 1024 * 1024])).toEqual([0, 5, 11]);
  });

  it("replace an old file of the same name with all that lay beside it", async () => {
    for (const name of ["state-2.db", "state-2.db-wal", "state-3.db"]) writeFileSync(join(dir, name), "old");
    const file = await snapshotFilesIn(dir, silentLogger).create("state-2.db");
    await file.finish();
    expect(snapshotFilesIn(dir, silentLogger).names().toSorted()).toEqual(["state-2.db", "state-3.db"]);
    expect(readFileSync(join(dir, "state-2.db"))).toHaveLength(0);
  });

  it("are gone when they are discarded or removed", async () => {
    const files = snapshotFilesIn(dir, silentLogger);
    const file = await files.create("state-2.db");
    await file.write(new Uint8Array([1]));
    await file.discard();
    writeFileSync(join(dir, "outgoing-1.db.tmp"), "old");
    files.remove("outgoing-1.db.tmp");
    expect(existsSync(join(dir, "outgoing-1.db.tmp"))).toBe(false);
    await files.settled();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("free their names at once and their space in the background", async () => {
    const files = snapshotFilesIn(dir, silentLogger);
    for (const name of ["state-2.db", "state-2.db-wal", "state-2.db-shm"]) writeFileSync(join(dir, name), name);
    files.remove("state-2.db");
    // A file of a gigabyte would have held up the event loop.
    expect(readdirSync(dir).toSorted()).toEqual(["removed-1.tmp", "removed-2.tmp"]);
    writeFileSync(join(dir, "state-2.db"), "another");
    files.remove("state-2.db");
    await files.settled();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("that a process left behind while it removed them go with the next one", async () => {
    for (const name of ["removed-7.tmp", "raft.db"]) writeFileSync(join(dir, name), name);
    const files = snapshotFilesIn(dir, silentLogger);
    writeFileSync(join(dir, "state-2.db"), "old");
    files.remove("state-2.db");
    await files.settled();
    expect(readdirSync(dir)).toEqual(["raft.db"]);
  });

  it("that cannot be deleted are told of", async () => {
    const warnings: unknown[] = [];
    mkdirSync(join(dir, "removed-1.tmp"));
    const files = snapshotFilesIn(dir, { warn: (message) => warnings.push(message) });
    await files.settled();
    expect(warnings).toEqual(["failed to delete a file"]);
  });
});
