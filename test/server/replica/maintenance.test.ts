/** Work on the state file beside applying: what it leaves behind, what it waits for, and how it ends. */
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Code, status } from "../../../proto/status.js";
import { snapshotFilesIn } from "../../../src/server/replica/files.js";
import { Maintenance, type MaintenanceOptions } from "../../../src/server/replica/maintenance.js";
import type { Durable } from "../../../src/server/replica/threads/open.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import { apply, close, command, modes, newDirectory, openDurable, puts } from "./threads-world.js";

let directory: ReturnType<typeof newDirectory>;
let fatal: unknown[];
let pauses: string[];
const open: Durable[] = [];

beforeEach(() => {
  directory = newDirectory();
  fatal = [];
  pauses = [];
});

afterEach(async () => {
  for (const durable of open.splice(0)) await close(durable);
  directory.remove();
});

async function start(mode: (typeof modes)[number]): Promise<Durable> {
  const durable = await openDurable({ mode, dir: directory.dir, onFatal: (error) => fatal.push(error) });
  open.push(durable);
  return durable;
}

function maintain(durable: Durable, more: Partial<MaintenanceOptions> = {}): Maintenance {
  return new Maintenance({
    ...durable,
    clock: systemClock,
    dataDir: directory.dir,
    files: snapshotFilesIn(directory.dir, silentLogger),
    limits: { compactionSleepMs: 1 },
    pauseApply: async () => {
      pauses.push("pause");
      return () => pauses.push("resume");
    },
    observer: undefined,
    ...more,
  });
}

/** Applies `count` writes of one key and a compaction that leaves only the last of them. */
async function overwrite(durable: Durable, first: number, count: number): Promise<number> {
  const revision = durable.state.reader.revision() + count;
  const same = puts(first, count, 500).map((entry) => ({ ...entry, data: puts(first, 1, 500)[0]?.data ?? entry.data }));
  const compaction = command(first + count, {
    $case: "compact",
    value: { revision: BigInt(revision), physical: true },
  });
  await apply(durable, [...same, compaction]);
  return revision;
}

function changesLeft({ state }: Durable): number {
  return state.reader.changesSince(Math.max(state.reader.compactRevision(), 0), 1_000_000).length;
}

describe.each(modes)("maintenance of a state %s", (mode) => {
  it("deletes what a compaction leaves behind, in steps, and says when it is done", async () => {
    const durable = await start(mode);
    const maintenance = maintain(durable);
    await maintenance.compactionFinished();
    await overwrite(durable, 2, 2500);
    maintenance.compactionStarted();
    await maintenance.compactionFinished();
    expect(changesLeft(durable)).toBe(1);
    const before = durable.state.reader.size().inUseBytes;
    await overwrite(durable, 2503, 2500);
    maintenance.compactionStarted();
    await maintenance.compactionFinished();
    expect(durable.state.reader.size().inUseBytes).toBeLessThan(before * 2);
    maintenance.close();
  });

  it("goes on with a compaction that the last run did not finish", async () => {
    const first = await start(mode);
    await overwrite(first, 2, 3000);
    const size = first.state.reader.size().inUseBytes;
    await close(first);
    open.length = 0;
    const second = await start(mode);
    const maintenance = maintain(second);
    await maintenance.compactionFinished();
    expect(second.state.reader.size().inUseBytes).toBeLessThan(size / 2);
    maintenance.close();
  });

  it("writes a copy that says what it holds", async () => {
    const durable = await start(mode);
    const maintenance = maintain(durable);
    await apply(durable, puts(2, 100));
    const { path, sizeBytes, facts } = await maintenance.exportSnapshot();
    expect(facts).toMatchObject({ appliedIndex: 101, revision: 101, sizeBytes });
    expect(path).toContain(directory.dir);
    const second = await maintenance.exportSnapshot();
    expect(second.path).not.toBe(path);
    maintenance.close();
  });

  it("rewrites the state file without what is free, with applying paused meanwhile", async () => {
    const durable = await start(mode);
    const maintenance = maintain(durable);
    await overwrite(durable, 2, 2000);
    maintenance.compactionStarted();
    await maintenance.compactionFinished();
    const before = durable.state.reader.size().allocatedBytes;
    writeFileSync(join(directory.dir, "state-2.db"), "what an earlier attempt left");
    await maintenance.defragment();
    expect(pauses).toEqual(["pause", "resume"]);
    expect(durable.state.reader.size().allocatedBytes).toBeLessThan(before / 2);
    expect(existsSync(join(directory.dir, "state-1.db"))).toBe(false);
    expect(await apply(durable, puts(2003, 1))).toHaveLength(1);
    maintenance.close();
    await close(durable);
    open.length = 0;
    expect((await start(mode)).state).toMatchObject({ file: "state-2.db" });
  });

  it("rewrites one time after the other when asked twice at once", async () => {
    const durable = await start(mode);
    const maintenance = maintain(durable);
    await apply(durable, puts(2, 10));
    await Promise.all([maintenance.defragment(), maintenance.defragment()]);
    expect(pauses).toEqual(["pause", "resume", "pause", "resume"]);
    expect(durable.state.file).toBe("state-3.db");
    expect(durable.state.reader.revision()).toBe(11);
    maintenance.close();
  });

  it("finishes a compaction in the new file when the state is rewritten in the middle of it", async () => {
    const durable = await start(mode);
    await overwrite(durable, 2, 5000);
    const maintenance = maintain(durable);
    await maintenance.defragment();
    await maintenance.compactionFinished();
    await maintenance.defragment();
    expect(durable.state.reader.size().inUseBytes).toBeLessThan(200_000);
    maintenance.close();
  });

  it("resumes applying and keeps the old file when there is no place for the new one", async () => {
    const durable = await start(mode);
    const maintenance = maintain(durable, { files: { names: () => [], remove: () => undefined } });
    await apply(durable, puts(2, 10));
    writeFileSync(join(directory.dir, "state-2.db"), "in the way");
    await expect(maintenance.defragment()).rejects.toMatchObject({ code: Code.UNAVAILABLE });
    expect(pauses).toEqual(["pause", "resume"]);
    expect(durable.state.file).toBe("state-1.db");
    expect(await apply(durable, puts(12, 1))).toHaveLength(1);
    rmSync(join(directory.dir, "state-2.db"));
    await maintenance.defragment();
    expect(durable.state.file).toBe("state-2.db");
    expect(fatal).toEqual([]);
    maintenance.close();
  });
});

function never(): void {}

describe("maintenance", () => {
  it("sweeps copies of an earlier life, and nothing else", async () => {
    const durable = await start("inline");
    const leftovers = ["snapshot-1.db.tmp", "snapshot-12.db.tmp-journal"];
    for (const name of [...leftovers, "snapshot-mine.db"]) writeFileSync(join(directory.dir, name), "");
    maintain(durable).close();
    const names = readdirSync(directory.dir);
    expect(names).toContain("snapshot-mine.db");
    for (const name of leftovers) expect(names).not.toContain(name);
  });

  it("moves the log's pointer before the state goes over", async () => {
    const durable = await start("inline");
    const maintenance = maintain(durable, {
      state: {
        ...durable.state,
        file: durable.state.file,
        open: () => {
          pauses.push("open");
        },
      },
    });
    const rewriting = maintenance.defragment();
    await expect.poll(() => pauses).toEqual(["pause", "open"]);
    maintenance.close();
    await expect(rewriting).rejects.toMatchObject(status.Stopped);
    await close(durable);
    open.length = 0;
    const log = openLogStore({ dir: directory.dir });
    expect(log.initial.stateFile).toBe("state-2.db");
    log.close();
  });

  it("rejects what waits when the member ends, and everything after", async () => {
    const durable = await start("inline");
    const silent = { ...durable.state, file: "state-1.db", compactStep: never, exportTo: never };
    const maintenance = maintain(durable, { state: silent });
    const waiting = [maintenance.compactionFinished(), maintenance.exportSnapshot(), maintenance.defragment()];
    await expect.poll(() => pauses).toEqual(["pause"]);
    maintenance.close();
    for (const call of waiting) await expect(call).rejects.toMatchObject(status.Stopped);
    expect(pauses).toEqual(["pause", "resume"]);
    await expect(maintenance.compactionFinished()).rejects.toMatchObject(status.Stopped);
    await expect(maintenance.exportSnapshot()).rejects.toMatchObject(status.Stopped);
    await expect(maintenance.defragment()).rejects.toMatchObject(status.Stopped);
  });
});
