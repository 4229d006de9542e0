/** What survives: crashes in the middle, copies, defragmentation, and damage that must not go unnoticed. */
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/server/invariant.js";
import { defragState, openState } from "../../../src/server/state/state.js";
import type { State } from "../../../src/server/state/types.js";
import { ExportFailed, type StorageFailure } from "../../../src/server/storage/failure.js";
import { removeStrayStateFiles } from "../../../src/server/storage/files.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { LogStore } from "../../../src/server/storage/types.js";
import { clusterId, memberId, op, put, range, text, toEnd, World } from "./world.js";

let world: World;
let copies: string[];
beforeEach(() => {
  world = new World();
  copies = [];
});
afterEach(() => {
  world.close();
  for (const copy of copies) rmSync(copy, { recursive: true });
});

/** The directory as a crash at this moment would leave it. */
function crashed(): string {
  const copy = mkdtempSync(join(tmpdir(), "litecd-crash-"));
  copies.push(copy);
  cpSync(world.dir, copy, { recursive: true });
  return copy;
}

function open(dir: string, file = "state-1.db"): State {
  return openState({ dir, file, clusterId, unsafeNoFsync: true });
}

function contents(state: State): string[] {
  return state.reader.range(range("\0", toEnd)).kvs.map(({ key, value }) => `${text(key)}=${text(value)}`);
}

describe("a crash", () => {
  it("after a batch keeps the whole batch together with its index", () => {
    world.applyBatch([
      { $case: "put", value: put("a", "1") },
      { $case: "put", value: put("b", "2") },
    ]);
    const state = open(crashed());
    expect([contents(state), state.reader.appliedIndex(), state.reader.revision()]).toEqual([["a=1", "b=2"], 3, 3]);
    state.close();
  });

  it("in the middle of a batch leaves nothing of it", () => {
    world.put("a", "1");
    const good = world.entry({ $case: "put", value: put("b", "2") });
    const gap = world.entry({ $case: "put", value: put("c", "3") }, 5);
    expect(() => world.state.apply([good, gap])).toThrow(InvariantError);
    const state = open(crashed());
    expect([contents(state), state.reader.appliedIndex()]).toEqual([["a=1"], 2]);
    state.close();
  });

  it("with an entry that is no command leaves nothing, and the state does nothing more", () => {
    const entry = { index: 2, term: 1, kind: "command" as const, data: Buffer.from([0x10, 0x01]) };
    expect(() => world.state.apply([entry])).toThrow("does not know");
    expect(() => world.put("a", "1")).toThrow("used after a failure");
    expect(() => world.reader.range(range("a"))).toThrow("used after a failure");
  });

  it("between two steps of a compaction does not harm", () => {
    for (let n = 0; n < 10; n++) world.put("a", String(n));
    world.compact(9);
    world.state.compactStep(3);
    const state = open(crashed());
    while (state.compactStep(3));
    expect(state.reader.compactRevision()).toBe(9);
    expect(state.reader.range({ ...range("a"), revision: 9n }).kvs[0]?.version).toBe(8n);
    state.close();
  });

  it("does not apply an entry again: the index is in the file with what it did", () => {
    world.put("a", "1");
    const again = world.entry({ $case: "put", value: put("a", "2") }, 0);
    const state = open(crashed());
    expect(() => state.apply([again])).toThrow("out of order");
  });
});

describe("durability on demand", () => {
  it("returns the applied index that a power cut can not undo", () => {
    world.put("a", "1");
    world.put("b", "2");
    expect(world.state.makeDurable()).toBe(3);
    expect(world.rows("SELECT v FROM meta WHERE k = 'durable_index'")).toEqual([[3]]);
    expect(world.put("c", "3")).toBe(4);
  });
});

describe("opening", () => {
  it("refuses the file of another cluster", () => {
    world.state.close();
    expect(() => openState({ dir: world.dir, file: "state-1.db", clusterId: 1n })).toThrow(
      "belongs to cluster cdf818194e3a8c32",
    );
  });

  it("refuses to start from nothing where there should be something", () => {
    expect(() => open(world.dir, "state-7.db")).toThrow("state-7.db is missing");
    expect(existsSync(join(world.dir, "state-7.db"))).toBe(false);
  });

  it("makes an unfinished file again if the log still starts at its beginning", () => {
    const empty = new BetterSqlite3(join(world.dir, "state-8.db"));
    empty.close();
    expect(() => open(world.dir, "state-8.db")).toThrow("is empty");
    const state = openState({ dir: world.dir, file: "state-8.db", clusterId, bootstrap: { kind: "join" } });
    expect(state.reader.revision()).toBe(1);
    state.close();
  });
});

describe("damage", () => {
  it("of a stored pair ends the member instead of being served", () => {
    world.put("a", "good");
    world.state.close();
    const database = new BetterSqlite3(join(world.dir, "state-1.db"));
    database.exec("UPDATE rev SET kv = CAST(replace(CAST(kv AS TEXT), 'good', 'evil') AS BLOB)");
    database.close();
    const told: StorageFailure[] = [];
    world.reopen({ onFailure: (one) => told.push(one) });
    const failure = expect.objectContaining({ name: "StorageFailure", exitCode: 70, reason: "corrupt" });
    expect(() => world.list("a")).toThrow(failure);
    expect(() => world.list("a", "b", { revision: 2n })).toThrow(failure);
    expect(() => world.reader.changesSince(2, 1)).toThrow(failure);
    expect(() => world.reader.hashKv(0)).toThrow(failure);
    expect(told.map(({ reason }) => reason)).toEqual(["corrupt", "corrupt", "corrupt", "corrupt"]);
  });
});

describe("defragmentation", () => {
  let log: LogStore;
  beforeEach(() => {
    const identity = { clusterId, memberId };
    const membership = { voters: [memberId], learners: [] };
    log = openLogStore({ dir: world.dir, bootstrap: { kind: "found", identity, membership } });
    world.grant(7n);
    for (let n = 0; n < 200; n++) world.put(`k${n % 10}`, "x".repeat(5000), { lease: n % 2 === 0 ? 7n : 0n });
    world.compact(world.reader.revision());
    world.sweep(1000);
  });
  afterEach(() => {
    log.close();
  });

  it("makes the file smaller and changes nothing that can be read", () => {
    const { reader } = world;
    const facts = (): unknown => [
      reader.hashAll(),
      reader.revision(),
      reader.appliedIndex(),
      reader.leaseKeys(7n).length,
    ];
    const before = facts();
    const { allocatedBytes } = reader.size();
    defragState(world.state, log, world.dir);
    expect(facts()).toEqual(before);
    expect(reader.size().allocatedBytes).toBeLessThan(allocatedBytes / 2);
    expect(existsSync(join(world.dir, "state-1.db"))).toBe(false);
    world.txn({ success: [op.put("after", "1")] });
    log.close();
    log = openLogStore({ dir: world.dir });
    expect(log.initial.stateFile).toBe("state-2.db");
    world.reopen({ file: log.initial.stateFile, bootstrap: undefined });
    expect(world.list("after")).toEqual(["after=1"]);
  });

  it("that crashes before the pointer moves leaves the old file, and after it the new one", () => {
    const moments: string[] = [];
    const switching: LogStore = {
      initial: log.initial,
      releaseEntries: () => log.releaseEntries(),
      append: (batch) => log.append(batch),
      close: () => log.close(),
      switchStateFile: (file) => {
        moments.push(crashed());
        log.switchStateFile(file);
        moments.push(crashed());
      },
    };
    const hash = world.reader.hashAll();
    defragState(world.state, switching, world.dir);
    const files = moments.map((dir) => {
      const restarted = openLogStore({ dir });
      const { stateFile } = restarted.initial;
      restarted.close();
      expect(removeStrayStateFiles(dir, stateFile)).not.toEqual([]);
      const state = open(dir, stateFile);
      expect(state.reader.hashAll()).toBe(hash);
      state.close();
      return stateFile;
    });
    expect(files).toEqual(["state-1.db", "state-2.db"]);
  });

  it("clears away what a failed one has left", () => {
    world.state.exportTo(join(world.dir, "state-2.db"));
    defragState(world.state, log, world.dir);
    expect(world.state.file).toBe("state-2.db");
  });

  it("that can not write its copy leaves the member at work", () => {
    expect(() => defragState(world.state, log, join(world.dir, "missing"))).toThrow(ExportFailed);
    expect(world.put("a", "1")).toBeGreaterThan(200);
  });
});
