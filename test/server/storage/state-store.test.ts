/** The state file: who may open it, how it is copied, switched and swept up. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExportFailed } from "../../../src/server/storage/failure.js";
import { firstStateFile, nextStateFile, removeStrayStateFiles } from "../../../src/server/storage/files.js";
import { revisionId, revisionOf } from "../../../src/server/storage/revisions.js";
import { StateStore, type StateStoreOptions } from "../../../src/server/storage/state-store.js";

let dir: string;
let open: StateStore[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-store-"));
  open = [];
});
afterEach(() => {
  for (const store of open) store.close();
  rmSync(dir, { recursive: true });
});

function openStore(more: Partial<StateStoreOptions> = {}): StateStore {
  const store = new StateStore({ dir, file: firstStateFile, mode: "create", ...more });
  open.push(store);
  return store;
}

function fill(store: StateStore, rows: number): void {
  store.write(() => {
    for (let n = 1; n <= rows; n++) {
      const kv = Buffer.alloc(3000, n);
      store.tables.revisions.insert({ id: revisionId(n, 0), previous: undefined, deleted: false, kv });
    }
  });
}

describe("a state store", () => {
  it("is made with pragmas for many writes and few syncs, for its owner only", () => {
    openStore();
    const path = join(dir, firstStateFile);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600);
  });

  it("is not made where one is expected", () => {
    expect(() => openStore({ mode: "existing" })).toThrow("state-1.db is missing; replace this member");
    expect(readdirSync(dir)).toEqual([]);
  });

  it("keeps ids that no JS number holds", () => {
    const store = openStore();
    const id = revisionId(2 ** 43 - 1, 2 ** 20 - 1);
    expect(id).toBe(2n ** 63n - 1n);
    store.write(() => store.tables.revisions.insert({ id, previous: id - 1n, deleted: true, kv: Buffer.from("kv") }));
    expect(store.read(() => store.tables.revisions.get(id))).toEqual({ id, deleted: true, kv: Buffer.from("kv") });
    expect(revisionOf(id)).toBe(2 ** 43 - 1);
  });

  it("refuses values of the wrong type instead of rounding them", () => {
    const store = openStore();
    expect(() =>
      store.write(() => store.tables.leases.insert({ id: 7n, ttlSeconds: 1.5, remainingSeconds: 0 })),
    ).toThrow("SQLITE_CONSTRAINT");
  });

  it.each([
    ["kv", "UPDATE rev SET kv = x'00' WHERE id >> 20 = 2"],
    ["prev", "UPDATE rev SET prev = 5 WHERE id >> 20 = 2"],
    ["del", "UPDATE rev SET del = 1 WHERE id >> 20 = 2"],
    ["crc", "UPDATE rev SET crc = crc + 1 WHERE id >> 20 = 2"],
    ["id", "UPDATE rev SET id = id + 1 WHERE id >> 20 = 2"],
  ])("notices a change of %s", (_column, sql) => {
    const store = openStore();
    fill(store, 3);
    const other = new BetterSqlite3(join(dir, firstStateFile));
    other.exec(sql);
    other.close();
    const read = (): unknown => store.read(() => [...store.tables.revisions.between(0n, revisionId(9, 0))]);
    expect(read).toThrow(expect.objectContaining({ name: "StorageFailure", reason: "corrupt" }));
  });

  it("tells its size: pages it has, pages in use", () => {
    const store = openStore();
    const empty = store.size();
    fill(store, 100);
    const full = store.size();
    expect(full.allocatedBytes).toBeGreaterThan(empty.allocatedBytes + 300_000);
    expect(full.inUseBytes).toBe(full.allocatedBytes);
    store.write(() => store.tables.revisions.dropPrevious(0n, 0n));
    const other = new BetterSqlite3(join(dir, firstStateFile));
    other.exec("DELETE FROM rev");
    other.close();
    expect(store.size().allocatedBytes).toBe(full.allocatedBytes);
    expect(store.size().inUseBytes).toBeLessThan(empty.inUseBytes + 10_000);
  });

  it("moves its write-ahead log into the file when enough waits there", () => {
    const store = openStore();
    const path = join(dir, firstStateFile);
    fill(store, 100);
    const before = statSync(path).size;
    store.checkpoint();
    expect(statSync(path).size).toBe(before);
    store.write(() => {
      for (let n = 1000; n < 3000; n++) {
        store.tables.revisions.insert({
          id: revisionId(n, 0),
          previous: undefined,
          deleted: false,
          kv: Buffer.alloc(3000),
        });
      }
    });
    store.checkpoint();
    expect(statSync(path).size).toBeGreaterThan(6_000_000);
  });
});

describe("a connection beside the one that writes", () => {
  it("leaves the write-ahead log as it is until it is asked, copies and checkpoints", () => {
    const store = openStore();
    fill(store, 1500);
    const path = join(dir, firstStateFile);
    const [file, log] = [statSync(path).size, statSync(`${path}-wal`).size];
    const beside = openStore({ mode: "beside" });
    expect([statSync(path).size, statSync(`${path}-wal`).size]).toEqual([file, log]);
    store.write(() => store.tables.meta.putNumber("applied_index", 7));
    beside.exportTo(join(dir, "state-2.db"));
    const copy = openStore({ file: "state-2.db", mode: "existing" });
    expect(copy.read(() => copy.tables.meta.number("applied_index"))).toBe(7);
    beside.checkpoint();
    expect(statSync(path).size).toBeGreaterThan(file + 4_000_000);
    store.write(() => store.tables.meta.putNumber("applied_index", 8));
    expect(beside.read(() => beside.tables.meta.number("applied_index"))).toBe(8);
  });

  it("is not made where there is no file", () => {
    expect(() => openStore({ mode: "beside" })).toThrow("state-1.db is missing");
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe("a copy", () => {
  it("is compact, readable by its owner only, and opens like the original", () => {
    const store = openStore();
    fill(store, 10);
    const path = join(dir, "state-2.db");
    store.exportTo(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const copy = openStore({ file: "state-2.db", mode: "existing" });
    expect(copy.read(() => [...copy.tables.revisions.between(0n, revisionId(99, 0))])).toHaveLength(10);
  });

  it("does not touch a file that is there", () => {
    const store = openStore();
    const path = join(dir, "precious");
    writeFileSync(path, "precious");
    expect(() => store.exportTo(path)).toThrow(ExportFailed);
    expect(statSync(path).size).toBe(8);
  });

  it("that can not be written leaves the store as it is", () => {
    const store = openStore();
    expect(() => store.exportTo(join(dir, "missing", "copy.db"))).toThrow(ExportFailed);
    fill(store, 1);
    expect(store.read(() => store.tables.revisions.get(revisionId(1, 0)).id)).toBe(revisionId(1, 0));
  });
});

describe("switching to another file", () => {
  it("uses the new one and deletes the old one after the change is known", () => {
    const store = openStore();
    fill(store, 3);
    store.exportTo(join(dir, "state-2.db"));
    let filesAtCommit: string[] = [];
    store.switchTo("state-2.db", () => {
      filesAtCommit = readdirSync(dir).filter((name) => name.endsWith(".db"));
    });
    expect(filesAtCommit.toSorted()).toEqual(["state-1.db", "state-2.db"]);
    expect(existsSync(join(dir, "state-1.db"))).toBe(false);
    expect(existsSync(join(dir, "state-1.db-wal"))).toBe(false);
    expect(store.file).toBe("state-2.db");
    expect(store.read(() => store.tables.revisions.get(revisionId(3, 0)).deleted)).toBe(false);
  });

  it("stays with the old one if the change does not become known", () => {
    const store = openStore();
    fill(store, 3);
    store.exportTo(join(dir, "state-2.db"));
    expect(() =>
      store.switchTo("state-2.db", () => {
        throw new Error("no pointer");
      }),
    ).toThrow("no pointer");
    expect(store.file).toBe("state-1.db");
    expect(store.read(() => store.tables.revisions.get(revisionId(3, 0)).deleted)).toBe(false);
  });
});

describe("file names", () => {
  it("count up", () => {
    expect([nextStateFile("state-1.db"), nextStateFile("state-9.db")]).toEqual(["state-2.db", "state-10.db"]);
    expect(() => nextStateFile("other.db")).toThrow("unexpected name");
  });

  it("that no pointer names are swept up, and nothing else", () => {
    const kept = ["raft.db", "raft.db-wal", "state-2.db", "state-2.db-wal", "state-x.db", "notes.txt"];
    const strays = ["state-1.db", "state-1.db-wal", "state-3.db", "state-3.db-shm", "state-12.db-journal"];
    for (const name of [...kept, ...strays]) writeFileSync(join(dir, name), "");
    expect([...removeStrayStateFiles(dir, "state-2.db")].toSorted()).toEqual(strays.toSorted());
    expect(readdirSync(dir).toSorted()).toEqual(kept.toSorted());
  });
});
