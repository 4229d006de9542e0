/** Reading beside the thread that writes: as fresh as the last commit, and never half of it. */
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import BetterSqlite3 from "better-sqlite3";
import { buildSync } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WireError } from "../../../proto/status.js";
import { InvariantError } from "../../../src/server/invariant.js";
import { openStateReader, type StateReaderHandle } from "../../../src/server/state/open-reader.js";
import type { StorageFailure } from "../../../src/server/storage/failure.js";
import { clusterId, memberId, op, range, text, toEnd, txn, World } from "./world.js";
import type { WriterData } from "./writer-thread.js";

let world: World;
let handle: StateReaderHandle;
beforeEach(() => {
  world = new World();
  handle = openStateReader({ dir: world.dir, file: "state-1.db" });
});
afterEach(() => {
  handle.close();
  world.close();
});

function values(prefix = "\0"): string[] {
  return handle.reader.range(range(prefix, toEnd)).kvs.map(({ key, value }) => `${text(key)}=${text(value)}`);
}

/** Everything that a reader answers. */
function facts({ reader }: Pick<StateReaderHandle, "reader">): unknown {
  return [
    reader.range(range("a", toEnd)),
    reader.readTxn(txn({ success: [op.range("a")] })),
    reader.changesSince(2, 10).map(({ revision, changes }) => [revision, changes.map((one) => [one.kind, one.kv])]),
    [reader.leases(), reader.lease(7n), reader.leaseKeys(7n)],
    [reader.members(), reader.membership(), reader.isRemoved(5n), reader.isRemoved(memberId)],
    [reader.alarms(), reader.clusterVersion(), reader.downgradeTarget()],
    [reader.hashKv(0), reader.hashAll(), reader.stateMarks(), reader.size()],
    [reader.revision(), reader.compactRevision(), reader.appliedIndex(), reader.appliedTerm()],
  ];
}

function alarm(action: 1 | 2): void {
  world.apply({ $case: "alarm", value: { action, memberID: memberId, alarm: 1 } });
}

describe("a reader with a connection of its own", () => {
  it("sees every commit at once, rows and counters alike", () => {
    const { reader } = handle;
    expect([reader.revision(), reader.appliedIndex(), values()]).toEqual([1, 1, []]);
    world.put("a", "1");
    expect(values()).toEqual(["a=1"]);
    expect([reader.revision(), reader.appliedIndex(), reader.appliedTerm()]).toEqual([2, 2, 1]);
    world.put("b", "1");
    // Counters alone are those of the last look.
    expect(reader.revision()).toBe(2);
    handle.outdated("no auth");
    expect([reader.revision(), reader.appliedIndex()]).toEqual([3, 3]);
  });

  it("answers everything that the writer's own reader answers", () => {
    world.grant(7n, 30);
    world.put("a", "1", { lease: 7n });
    world.put("a", "2", { lease: 7n });
    alarm(1);
    world.apply({ $case: "clusterVersionSet", value: { version: "3.7.0" } });
    world.apply({ $case: "downgrade", value: { action: 1, version: "3.6.0" } });
    world.change("addLearner", 5n, { $case: "memberAdd", value: { id: 5n, peerUrls: ["http://b:1"], learner: true } });
    world.change("remove", 5n, { $case: "memberRemove", value: { id: 5n } });
    world.compact(2);
    expect(facts(handle)).toEqual(facts({ reader: world.reader }));
  });

  it("forgets alarms that it knew when they are disarmed", () => {
    expect(handle.reader.alarms()).toEqual([]);
    alarm(1);
    expect(handle.reader.alarms()).toEqual([{ memberId, type: "NOSPACE" }]);
    alarm(2);
    expect(handle.reader.alarms()).toEqual([]);
  });

  it("stays usable after a read that is refused", () => {
    world.put("a", "1");
    expect(() => handle.reader.range(range("a", "", { revision: 9n }))).toThrow(WireError);
    expect(values()).toEqual(["a=1"]);
  });

  it("holds nothing up between reads: the write-ahead log can be emptied", () => {
    for (let n = 0; n < 50; n++) world.put("a", "x".repeat(1000));
    expect(values()).toHaveLength(1);
    const other = new BetterSqlite3(join(world.dir, "state-1.db"));
    expect(other.pragma("wal_checkpoint(TRUNCATE)")).toEqual([{ busy: 0, log: 0, checkpointed: 0 }]);
    other.close();
    expect(statSync(join(world.dir, "state-1.db-wal")).size).toBe(0);
    expect(values()).toHaveLength(1);
  });

  it("does not write, and leaves the file alone when it closes last", () => {
    world.put("a", "1");
    const path = join(world.dir, "state-1.db");
    const before = statSync(path).size;
    world.state.close();
    const wal = new BetterSqlite3(path);
    wal.pragma("wal_autocheckpoint = 0");
    wal.exec("CREATE TABLE probe(n)");
    const late = openStateReader({ dir: world.dir, file: "state-1.db" });
    // Its writer goes without having moved anything into the file.
    wal.pragma("query_only = 1");
    expect(late.reader.revision()).toBe(2);
    handle.close();
    late.close();
    expect(existsSync(`${path}-wal`)).toBe(true);
    wal.close();
    expect(statSync(path).size).toBeGreaterThanOrEqual(before);
    world.reopen();
    handle = openStateReader({ dir: world.dir, file: "state-1.db" });
  });

  it("goes over to another file, and stops at one that is older", () => {
    world.put("a", "1");
    world.state.exportTo(join(world.dir, "state-2.db"));
    world.put("a", "2");
    expect(values()).toEqual(["a=2"]);
    expect(() => handle.switchFile("state-2.db")).toThrow(InvariantError);
    handle.close();
    handle = openStateReader({ dir: world.dir, file: "state-1.db" });
    world.state.exportTo(join(world.dir, "state-3.db"));
    handle.switchFile("state-3.db");
    expect([values(), handle.reader.revision()]).toEqual([["a=2"], 3]);
  });

  it("tells about damage that it finds", () => {
    const told: StorageFailure[] = [];
    world.put("a", "good");
    const watching = openStateReader({ dir: world.dir, file: "state-1.db", onFailure: (one) => told.push(one) });
    const database = new BetterSqlite3(join(world.dir, "state-1.db"));
    database.exec("UPDATE rev SET crc = crc + 1");
    database.close();
    expect(() => watching.reader.range(range("a"))).toThrow(expect.objectContaining({ reason: "corrupt" }));
    expect(told).toHaveLength(1);
    watching.close();
  });

  it("refuses a file that is not there instead of making one", () => {
    expect(() => openStateReader({ dir: world.dir, file: "state-9.db" })).toThrow("SQLITE_CANTOPEN");
    expect(existsSync(join(world.dir, "state-9.db"))).toBe(false);
  });
});

/** The writer's code in one piece, so that a thread can run it without a build. */
function startWriter(data: WriterData): Worker {
  const source = new URL("writer-thread.ts", import.meta.url);
  const [bundle] = buildSync({
    entryPoints: [source.pathname],
    bundle: true,
    platform: "node",
    format: "cjs",
    packages: "external",
    write: false,
    // The driver is found from here.
    define: { "import.meta.url": JSON.stringify(pathToFileURL(join(process.cwd(), "package.json")).href) },
  }).outputFiles;
  if (bundle === undefined) throw new Error("nothing was bundled");
  return new Worker(bundle.text, { eval: true, workerData: data });
}

const rows = 10;

/** What one look at the state shows; it must all come from one commit. */
function look(): { revision: number; newest: number; values: Set<string>; count: number } {
  const { kvs, revision, count } = handle.reader.range(range("row/", "row0"));
  const newest = Math.max(...kvs.map(({ modRevision }) => Number(modRevision)));
  return { revision, newest, values: new Set(kvs.map(({ value }) => text(value))), count };
}

/** Two keys of one transaction, read in another one: their revisions, and that of the read. */
function lookInTxn(): number[] {
  const { response, revision } = handle.reader.readTxn(txn({ success: [op.range("row/1"), op.range("row/7")] }));
  const found = response.responses.flatMap(({ response: one }) =>
    one?.$case === "responseRange" ? one.value.kvs.map(({ modRevision }) => Number(modRevision)) : [],
  );
  return [...found, revision];
}

/** The changes of one revision and what each replaced, by version; undefined where that is compacted by now. */
function versionsOf(revision: number): [number, number | undefined][] | undefined {
  try {
    const [found] = handle.reader.changesSince(revision, 1);
    return found?.changes.map((change) => [Number(change.kv.version), toNumber(change.previous()?.version)]);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function toNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

describe("beside a thread that writes, checkpoints and compacts", () => {
  it("every read is of one commit, and counters only grow", { timeout: 60_000 }, async () => {
    world.state.close();
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const writer = startWriter({ dir: world.dir, clusterId, rows, stop });
    const ended = once(writer, "message");
    const { reader } = handle;
    let before = [0, 0, -1];
    let replaced = 0;
    const seen = new Set<number>();
    while (seen.size < 300 || reader.compactRevision() < 1) {
      handle.outdated("no auth");
      if (reader.revision() === 1) continue;
      const { revision, newest, values: distinct, count } = look();
      // The transaction is the last thing in a batch, so the newest revision is its own.
      expect([newest, distinct.size, count]).toEqual([revision, 1, rows]);
      const got = reader.range(range("row/3"));
      expect(Number(got.kvs[0]?.modRevision)).toBe(got.revision);
      const revisions = lookInTxn();
      expect(new Set(revisions).size).toBe(1);
      for (const [version, former] of versionsOf(got.revision) ?? []) {
        if (former === undefined) continue;
        expect(former).toBe(version - 1);
        replaced += 1;
      }
      const now = [reader.revision(), reader.appliedIndex(), reader.compactRevision()];
      expect(now[0]).toBeGreaterThanOrEqual(Math.max(revision, got.revision, ...revisions));
      for (const [at, value] of now.entries()) expect(value).toBeGreaterThanOrEqual(before[at] ?? Number.NaN);
      before = now;
      seen.add(revision);
    }
    Atomics.store(stop, 0, 1);
    const [rounds] = (await ended) as [number];
    expect(rounds).toBeGreaterThan(300);
    expect(replaced).toBeGreaterThan(1000);
    world.reopen({ bootstrap: undefined });
  });
});
