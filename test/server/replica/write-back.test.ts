/** Copies of the state are brought to the disk while they are written, and are whole and closed when that is told. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WriteBack } from "../../../src/server/replica/threads/write-back.js";
import type { StateFacts } from "../../../src/server/replica/workers.js";
import { ExportFailed } from "../../../src/server/storage/failure.js";
import { apply, close, newDirectory, openDurable, puts, report } from "./threads-world.js";

const patience = { timeout: 15_000, interval: 1 };

let dir: string;
/** What every open file of this process has. */
let handle: Pick<FileHandle, "datasync">;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "litecd-write-back-"));
  const file = await open(dir, "r");
  handle = Object.getPrototypeOf(file) as Pick<FileHandle, "datasync">;
  await file.close();
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

/** Whether this process has the file open; only Linux tells. */
function isOpen(path: string): boolean {
  return readdirSync("/proc/self/fd").some((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`) === path;
    } catch {
      // The one that read the directory.
      return false;
    }
  });
}

function failSyncs(code: string): void {
  vi.spyOn(handle, "datasync").mockRejectedValue(Object.assign(new Error(`${code}: from the disk`), { code }));
}

describe.runIf(process.platform === "linux")("writing back", () => {
  it("goes on until it is stopped, and has let go of the file then", async () => {
    const path = join(dir, "copy.db");
    writeFileSync(path, "a");
    const synced = vi.spyOn(handle, "datasync");
    const writeBack = new WriteBack(path);
    for (const step of [2, 4, 6]) {
      await expect.poll(() => synced.mock.calls.length, patience).toBeGreaterThan(step);
      appendFileSync(path, "more");
    }
    expect(isOpen(path)).toBe(true);
    await writeBack.stop();
    expect(isOpen(path)).toBe(false);
  });

  it("waits for a file that is not there yet, and not longer than it is wanted", async () => {
    const synced = vi.spyOn(handle, "datasync");
    const late = new WriteBack(join(dir, "late.db"));
    const never = new WriteBack(join(dir, "never.db"));
    writeFileSync(join(dir, "late.db"), "late");
    await expect.poll(() => synced.mock.calls.length, patience).toBeGreaterThan(0);
    await Promise.all([late.stop(), never.stop()]);
    expect(readdirSync(dir)).toEqual(["late.db"]);
  });

  it("tells whoever stops it what did not get to the disk", async () => {
    mkdirSync(join(dir, "no-file"));
    await expect(new WriteBack(join(dir, "no-file")).stop()).rejects.toThrow("EISDIR");
  });
});

describe("a copy that threads make", () => {
  let directory: ReturnType<typeof newDirectory>;
  let fatal: unknown[];

  beforeEach(() => {
    directory = newDirectory();
    fatal = [];
  });

  afterEach(() => directory.remove());

  async function start() {
    const durable = await openDurable({
      dir: directory.dir,
      mode: "threaded",
      onFatal: (error: unknown) => fatal.push(error),
    });
    for (let n = 0; n < 20; n += 1) await apply(durable, puts(2 + n * 100, 100, 10_000));
    return durable;
  }

  it("is brought to the disk while it grows", async () => {
    const durable = await start();
    const synced = vi.spyOn(handle, "datasync");
    const path = join(directory.dir, "copy.db");
    const facts = await report<StateFacts | ExportFailed>((done) => durable.state.exportTo(path, done));
    expect(facts).toMatchObject({ appliedIndex: 2001 });
    expect(synced.mock.calls.length).toBeGreaterThan(0);
    await close(durable);
    expect(fatal).toEqual([]);
  });

  it("is told of before the files are closed", async () => {
    const durable = await start();
    const order: string[] = [];
    durable.state.exportTo(join(directory.dir, "copy.db"), () => order.push("exported"));
    await close(durable);
    expect([...order, "closed"]).toEqual(["exported", "closed"]);
  });

  it("fails, and is gone, when there is no space for it on the disk", async () => {
    const durable = await start();
    failSyncs("ENOSPC");
    const path = join(directory.dir, "copy.db");
    const result = await report<StateFacts | ExportFailed>((done) => durable.state.exportTo(path, done));
    expect(result).toBeInstanceOf(ExportFailed);
    expect(existsSync(path)).toBe(false);
    await close(durable);
    expect(fatal).toEqual([]);
  });

  it("ends the member when nobody can tell what is on the disk", async () => {
    const durable = await start();
    failSyncs("EIO");
    const told: unknown[] = [];
    durable.state.exportTo(join(directory.dir, "copy.db"), (result) => told.push(result));
    await expect.poll(() => fatal, patience).toHaveLength(1);
    expect(fatal[0]).toMatchObject({ name: "StorageFailure", reason: "io", exitCode: 70 });
    await close(durable);
    expect(told).toEqual([]);
  });
});
