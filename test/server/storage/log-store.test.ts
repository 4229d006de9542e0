/** raft.db: what was appended is there, what is damaged is found, what is in use stays locked. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/server/invariant.js";
import type { Entry } from "../../../src/server/raft/types.js";
import { entryChecksum } from "../../../src/server/storage/checksum.js";
import { StorageFailure } from "../../../src/server/storage/failure.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import { Sentinel } from "../../../src/server/storage/sentinel.js";
import type { Bootstrap, LogBatch, LogStore } from "../../../src/server/storage/types.js";

const bootstrap: Bootstrap = {
  kind: "join",
  identity: { clusterId: 0xcdf818194e3a8c32n, memberId: 0x8e9e05c52164694dn },
  membership: { voters: [0x8e9e05c52164694dn], learners: [] },
  createdSeconds: 1_700_000_000,
};

const nothing: LogBatch = {
  hardState: undefined,
  truncateFrom: undefined,
  entries: [],
  compact: undefined,
  install: undefined,
};
const alone = bootstrap.membership;

function entry(index: number, term = 1, data = `entry ${index}`): Entry {
  return { index, term, kind: "command", data: Buffer.from(data) };
}

let dir: string;
let open: LogStore[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-log-"));
  open = [];
});
afterEach(() => {
  for (const store of open) store.close();
  rmSync(dir, { recursive: true, force: true });
});

function openStore(): LogStore {
  const store = openLogStore({ dir, bootstrap });
  open.push(store);
  return store;
}

function close(): void {
  open.pop()?.close();
}

function reopen(): LogStore {
  close();
  return openStore();
}

/** A store with entries 1 to 5: two of term 1, three of term 2. */
function filled(): LogStore {
  const store = openStore();
  store.append({ ...nothing, entries: [entry(1), entry(2), entry(3, 2), entry(4, 2), entry(5, 2)] });
  return store;
}

function positions({ initial }: LogStore): string[] {
  return initial.entries.map(({ index, term }) => `${index}@${term}`);
}

/** Changes a closed raft.db behind the store's back. */
function tamper(sql: string): void {
  const database = new BetterSqlite3(join(dir, "raft.db"));
  expect(database.prepare(sql).run().changes).toBeGreaterThan(0);
  database.close();
}

describe("a new log store", () => {
  it("starts from its bootstrap", () => {
    expect(openStore().initial).toEqual({
      identity: bootstrap.identity,
      hardState: { term: 0, vote: undefined, commit: 0 },
      membership: bootstrap.membership,
      firstIndex: 1,
      previousTerm: 0,
      entries: [],
      founders: [],
      stateFile: "state-1.db",
      bootCount: 1,
    });
  });

  it("of a founder starts after the entry that stands for the founding, and knows the founders", () => {
    const founders = [
      { id: 2n ** 64n - 1n, name: "", peerUrls: ["http://a:2380", "http://b:2380"], clientUrls: [], learner: false },
      { id: 1n, name: "", peerUrls: ["http://c:2380"], clientUrls: [], learner: false },
    ];
    const membership = { voters: [2n ** 64n - 1n, 1n], learners: [] };
    openLogStore({ dir, bootstrap: { ...bootstrap, kind: "found", membership, founders } }).close();
    expect(openStore().initial).toMatchObject({
      firstIndex: 2,
      previousTerm: 1,
      hardState: { term: 1, vote: undefined, commit: 1 },
      membership,
      founders,
      entries: [],
      bootCount: 2,
    });
  });

  it("ignores the bootstrap once there is a member", () => {
    openStore();
    close();
    const other = {
      ...bootstrap,
      identity: { clusterId: 1n, memberId: 2n },
      membership: { voters: [2n], learners: [] },
    };
    const store = openLogStore({ dir, bootstrap: other });
    open.push(store);
    expect(store.initial.identity).toEqual(bootstrap.identity);
    expect(store.initial.membership).toEqual(bootstrap.membership);
  });

  it("is not made without a bootstrap", () => {
    expect(() => openLogStore({ dir })).toThrow(`data directory ${dir} holds no member`);
  });

  it("keeps ids beyond 2^63 and learners", () => {
    const membership = { voters: [2n ** 64n - 1n, 1n], learners: [2n ** 63n] };
    const identity = { clusterId: 2n ** 64n - 2n, memberId: 2n ** 64n - 1n };
    openLogStore({ dir, bootstrap: { ...bootstrap, identity, membership } }).close();
    const { initial } = openStore();
    expect([initial.identity, initial.membership]).toEqual([identity, membership]);
  });

  it("can be read by its owner only", () => {
    openLogStore({ dir: join(dir, "deep", "member"), bootstrap }).close();
    const mode = (...path: string[]): number => statSync(join(dir, "deep", ...path)).mode & 0o777;
    expect([mode(), mode("member"), mode("member", "raft.db"), mode("member", "raft.sentinel")]).toEqual([
      0o700, 0o700, 0o600, 0o600,
    ]);
  });
});

describe("a log store", () => {
  it("gives back entries and hard state after it was closed", () => {
    const hardState = { term: 2, vote: undefined, commit: 2 };
    openStore().append({
      ...nothing,
      hardState,
      entries: [entry(1), entry(2, 2), { ...entry(3, 2, ""), kind: "noop" }],
    });
    const { initial } = reopen();
    expect(initial.hardState).toEqual(hardState);
    expect(
      initial.entries.map(({ index, term, kind, data }) => [index, term, kind, Buffer.from(data).toString()]),
    ).toEqual([
      [1, 1, "command", "entry 1"],
      [2, 2, "command", "entry 2"],
      [3, 2, "noop", ""],
    ]);
  });

  it("counts its openings", () => {
    openStore();
    expect(reopen().initial.bootCount).toBe(2);
    expect(reopen().initial.bootCount).toBe(3);
  });

  it("replaces the end of the log", () => {
    filled().append({ ...nothing, truncateFrom: 3, entries: [entry(3, 4)] });
    expect(positions(reopen())).toEqual(["1@1", "2@1", "3@4"]);
  });

  it("only drops the end of the log", () => {
    filled().append({ ...nothing, truncateFrom: 2 });
    expect(positions(reopen())).toEqual(["1@1"]);
  });

  it("takes a truncation beyond its end as none", () => {
    filled().append({ ...nothing, truncateFrom: 6, entries: [entry(6, 2)] });
    expect(positions(reopen())).toHaveLength(6);
  });

  it("drops the start of the log and remembers the term before it", () => {
    const store = filled();
    store.append({ ...nothing, compact: { to: 2, membership: alone } });
    store.append({ ...nothing, compact: { to: 1, membership: alone } });
    store.append({ ...nothing, entries: [entry(6, 3)], compact: { to: 3, membership: alone } });
    const { initial } = reopen();
    expect([initial.firstIndex, initial.previousTerm, initial.entries.map(({ index }) => index)]).toEqual([
      4,
      2,
      [4, 5, 6],
    ]);
  });

  it("remembers the membership as of the last entry that it dropped", () => {
    const store = filled();
    const later = { voters: [1n, 2n ** 64n - 1n], learners: [3n] };
    store.append({ ...nothing, compact: { to: 2, membership: later } });
    expect(reopen().initial.membership).toEqual(later);
    // What is dropped already changes nothing.
    open[0]?.append({ ...nothing, compact: { to: 2, membership: alone } });
    expect(reopen().initial).toMatchObject({ firstIndex: 3, membership: later });
  });

  it("keeps changes of the membership as a kind of their own", () => {
    openStore().append({ ...nothing, entries: [{ ...entry(1), kind: "change" }] });
    expect(reopen().initial.entries[0]).toMatchObject({ kind: "change", data: Buffer.from("entry 1") });
  });

  it("may be compacted whole and goes on", () => {
    filled().append({ ...nothing, compact: { to: 5, membership: alone } });
    const store = reopen();
    expect([store.initial.firstIndex, store.initial.previousTerm, store.initial.entries]).toEqual([6, 2, []]);
    store.append({ ...nothing, entries: [entry(6, 3)] });
    expect(positions(reopen())).toEqual(["6@3"]);
  });

  it("points at another state file once it is told", () => {
    const store = filled();
    store.switchStateFile("state-2.db");
    store.append({ ...nothing, compact: { to: 1, membership: alone } });
    expect(reopen().initial.stateFile).toBe("state-2.db");
  });

  it("never points back at a file that a later one has replaced", () => {
    const store = filled();
    store.switchStateFile("state-3.db");
    for (const file of ["state-2.db", "state-3.db", "elsewhere.db"]) {
      expect(() => store.switchStateFile(file)).toThrow(InvariantError);
      const install = { index: 9, term: 2, membership: alone, file };
      expect(() => store.append({ ...nothing, install })).toThrow(InvariantError);
    }
    expect(reopen().initial).toMatchObject({ stateFile: "state-3.db", firstIndex: 1 });
  });

  it("keeps everything although the process ends without closing", () => {
    filled();
    const copy = mkdtempSync(join(tmpdir(), "litecd-log-copy-"));
    cpSync(dir, copy, { recursive: true });
    const store = openLogStore({ dir: copy });
    expect(store.initial.entries).toHaveLength(5);
    store.close();
    rmSync(copy, { recursive: true });
  });

  it("works without waiting for the disk if told so", () => {
    const store = openLogStore({ dir, bootstrap, unsafeNoFsync: true });
    store.append({ ...nothing, entries: [entry(1)] });
    store.close();
    expect(positions(openStore())).toEqual(["1@1"]);
  });

  it("is locked: a second opening is refused and names the directory", () => {
    openStore();
    expect(() => openLogStore({ dir, bootstrap })).toThrow(`data directory ${dir} is in use`);
    close();
    expect(openStore().initial.bootCount).toBe(2);
  });

  it.each([
    ["a gap", [entry(7, 2)]],
    ["an index that is there already", [entry(5, 2)]],
    ["a term that goes back", [entry(6, 1)]],
    ["a gap inside the batch", [entry(6, 2), entry(8, 2)]],
  ])("stops at %s", (_what, entries) => {
    const store = filled();
    expect(() => store.append({ ...nothing, entries })).toThrow(InvariantError);
    // And does nothing after that: the outcome of the failed write is not known.
    expect(() => store.append({ ...nothing, entries: [entry(6, 2)] })).toThrow(StorageFailure);
  });

  it("stops at a truncation of what is compacted, and at a compaction beyond the end", () => {
    const store = filled();
    store.append({ ...nothing, compact: { to: 3, membership: alone } });
    expect(() => store.append({ ...nothing, truncateFrom: 3 })).toThrow(InvariantError);
    expect(() => store.append({ ...nothing, compact: { to: 6, membership: alone } })).toThrow(InvariantError);
  });
});

describe("damage", () => {
  beforeEach(() => {
    filled().append({ ...nothing, hardState: { term: 2, vote: 5n, commit: 4 } });
    close();
  });

  it.each([
    ["the data of an entry", "UPDATE log SET data = x'00' WHERE idx = 3", "log entry 3 has a wrong checksum"],
    ["the term of an entry", "UPDATE log SET term = 1 WHERE idx = 3", "log entry 3 has a wrong checksum"],
    ["the kind of an entry", "UPDATE log SET kind = 0 WHERE idx = 3", "log entry 3 has a wrong checksum"],
    ["an entry in the middle", "DELETE FROM log WHERE idx = 3", "entry 4 of term 2 follows entry 2 of term 1"],
    ["the first entry", "DELETE FROM log WHERE idx = 1", "entry 2 of term 1 follows entry 0 of term 0"],
    ["the vote", "UPDATE hard SET vote = x'0000000000000006'", "table hard"],
    ["the term", "UPDATE hard SET term = 1", "table hard"],
    ["the members", "UPDATE base SET members = '{}'", "table base"],
    ["the pointer", "UPDATE base SET state_file = 'state-9.db'", "table base"],
    ["a row that every member has", "DELETE FROM base", "lacks a row"],
  ])("to %s is found when the store is opened", (_what, sql, message) => {
    tamper(sql);
    expect(() => openStore()).toThrow(message);
  });

  it.each([
    ["the last entry", "DELETE FROM log WHERE idx = 5", "entry 5 of term 2 was written"],
    ["committed entries", "DELETE FROM log WHERE idx >= 4", "entry 4 was committed"],
  ])("loses %s: the member refuses to start", (_what, sql, message) => {
    tamper(sql);
    expect(() => openStore()).toThrow(message);
    expect(() => openStore()).toThrow(expect.objectContaining({ reason: "lostTail", exitCode: 70 }));
  });

  it("of one bit in the database file is found", () => {
    const path = join(dir, "raft.db");
    const content = readFileSync(path);
    const at = content.indexOf("entry 4");
    content.writeUInt8(content.readUInt8(at) ^ 1, at);
    writeFileSync(path, content);
    expect(() => openStore()).toThrow(expect.objectContaining({ reason: "corrupt" }));
  });

  it("of a file that is no database is found", () => {
    writeFileSync(join(dir, "raft.db"), Buffer.alloc(8192, 7));
    expect(() => openStore()).toThrow(expect.objectContaining({ name: "StorageFailure", reason: "corrupt" }));
  });
});

describe("the sentinel", () => {
  it("finds entries that a damaged write-ahead log has lost in silence", () => {
    filled();
    const copy = mkdtempSync(join(tmpdir(), "litecd-log-copy-"));
    open[0]?.append({ ...nothing, entries: [entry(6, 2, "the last one")] });
    cpSync(dir, copy, { recursive: true });
    const wal = readFileSync(join(copy, "raft.db-wal"));
    const at = wal.lastIndexOf("the last one");
    wal.writeUInt8(wal.readUInt8(at) ^ 1, at);
    writeFileSync(join(copy, "raft.db-wal"), wal);
    expect(() => openLogStore({ dir: copy })).toThrow(/ends at entry 5 of term 2, but entry 6 of term 2 was written/);
    rmSync(copy, { recursive: true });
  });

  it("finds a database that was put back from an older copy", () => {
    filled();
    close();
    cpSync(join(dir, "raft.db"), join(dir, "copy"));
    openStore().append({ ...nothing, truncateFrom: 5, entries: [entry(5, 3)] });
    close();
    cpSync(join(dir, "copy"), join(dir, "raft.db"));
    expect(() => openStore()).toThrow("entry 5 of term 3 was written");
  });

  it("finds a lost entry also where everything before it is compacted", () => {
    const store = filled();
    store.append({ ...nothing, entries: [entry(6, 3)], compact: { to: 5, membership: alone } });
    close();
    tamper("DELETE FROM log WHERE idx = 6");
    expect(() => openStore()).toThrow("ends at entry 5 of term 2, but entry 6 of term 3 was written");
  });

  it("does not mind a log that was shortened, nor one that is ahead of it", () => {
    const before = join(dir, "before");
    const store = filled();
    cpSync(join(dir, "raft.sentinel"), before);
    store.append({ ...nothing, entries: [entry(6, 2)] });
    close();
    cpSync(before, join(dir, "raft.sentinel"));
    openStore().append({ ...nothing, truncateFrom: 2, entries: [entry(2, 3)] });
    expect(positions(reopen())).toEqual(["1@1", "2@3"]);
  });

  it("is lowered before the log is shortened, so that a crash in between is not taken for damage", () => {
    const store = filled();
    expect(() => store.append({ ...nothing, truncateFrom: 2, entries: [entry(9, 3)] })).toThrow(InvariantError);
    const sentinel = new Sentinel(join(dir, "raft.sentinel"));
    expect(sentinel.read()).toEqual({ index: 1, term: 1 });
    sentinel.close();
  });

  it("may be missing, as after a copy of the database alone", () => {
    filled();
    close();
    rmSync(join(dir, "raft.sentinel"));
    expect(positions(openStore())).toHaveLength(5);
  });

  it("that cannot be opened stops the member like any other file", () => {
    filled();
    close();
    rmSync(join(dir, "raft.sentinel"));
    mkdirSync(join(dir, "raft.sentinel"));
    expect(() => openStore()).toThrow(expect.objectContaining({ name: "StorageFailure", reason: "io" }));
  });

  it("finds a flipped bit in itself", () => {
    filled();
    close();
    const path = join(dir, "raft.sentinel");
    const content = readFileSync(path);
    expect(content).toHaveLength(16);
    for (let at = 0; at < content.length * 8; at += 11) {
      const damaged = Buffer.from(content);
      damaged.writeUInt8(damaged.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
      writeFileSync(path, damaged);
      expect(() => openStore()).toThrow("raft.sentinel is damaged");
    }
    writeFileSync(path, content.subarray(0, 9));
    expect(() => openStore()).toThrow("raft.sentinel is damaged");
    writeFileSync(path, content);
    expect(positions(openStore())).toHaveLength(5);
  });
});

describe("a version that is not known", () => {
  beforeEach(() => {
    filled();
    close();
  });

  it("of the schema is refused", () => {
    const database = new BetterSqlite3(join(dir, "raft.db"));
    database.pragma("user_version = 9");
    database.close();
    expect(() => openStore()).toThrow(
      expect.objectContaining({ name: "StorageRefused", reason: "unsupportedVersion" }),
    );
  });

  it("of an entry is refused", () => {
    const data = Buffer.from("entry 5");
    tamper(`UPDATE log SET kind = 7, crc = ${entryChecksum(5, 2, 7, data)} WHERE idx = 5`);
    expect(() => openStore()).toThrow("log entry 5 is of kind 7, which this litecd does not know");
  });
});
