/** A snapshot takes the place of the log: all or nothing, whenever the process or the power ends. */
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/server/invariant.js";
import type { Entry, SnapshotMeta } from "../../../src/server/raft/types.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import { Sentinel } from "../../../src/server/storage/sentinel.js";
import type { InitialState, LogBatch, LogStore } from "../../../src/server/storage/types.js";

const nothing: LogBatch = {
  hardState: undefined,
  truncateFrom: undefined,
  entries: [],
  compact: undefined,
  install: undefined,
};
const founders = { voters: [1n, 2n, 3n], learners: [] };
const installed = { voters: [1n, 2n, 3n, 2n ** 64n - 1n], learners: [5n] };

function entry(index: number, term = 1): Entry {
  return { index, term, kind: "command", data: Buffer.from(`entry ${index}`) };
}

function snapshot(index: number, term: number): SnapshotMeta {
  return { index, term, membership: installed, file: "state-2.db" };
}

let dir: string;
let store: LogStore;
let copies: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-install-"));
  copies = [];
});
afterEach(() => {
  store.close();
  for (const path of [dir, ...copies]) rmSync(path, { recursive: true });
});

/** The directory as a crash at this moment would leave it. */
function crashed(): string {
  const copy = mkdtempSync(join(tmpdir(), "litecd-install-crash-"));
  copies.push(copy);
  cpSync(dir, copy, { recursive: true });
  return copy;
}

function wal(at: string): string {
  return join(at, "raft.db-wal");
}

/** What a restart finds in a directory; throws what it would refuse to start with. */
function restart(at: string): InitialState {
  const restarted = openLogStore({ dir: at });
  restarted.close();
  return restarted.initial;
}

function joined(): void {
  store = openLogStore({
    dir,
    bootstrap: {
      kind: "join",
      identity: { clusterId: 7n, memberId: 9n },
      membership: { voters: [], learners: [] },
    },
  });
}

/** Entries 2 to 10 of term 1, of which 5 are committed. */
function founded(): void {
  store = openLogStore({
    dir,
    bootstrap: { kind: "found", identity: { clusterId: 7n, memberId: 1n }, membership: founders },
  });
  const entries = Array.from({ length: 9 }, (_, at) => entry(at + 2));
  store.append({ ...nothing, entries, hardState: { term: 1, vote: undefined, commit: 5 } });
}

function install(meta: SnapshotMeta): void {
  const hardState = { term: Math.max(meta.term, 4), vote: undefined, commit: meta.index };
  store.append({ ...nothing, hardState, install: meta });
}

describe("an installation", () => {
  it("leaves an empty log after the snapshot, its membership, its file and the hard state", () => {
    founded();
    install(snapshot(40, 3));
    expect(restart(crashed())).toMatchObject({
      firstIndex: 41,
      previousTerm: 3,
      entries: [],
      membership: installed,
      stateFile: "state-2.db",
      hardState: { term: 4, vote: undefined, commit: 40 },
    });
  });

  it("is how a joiner gets its start", () => {
    joined();
    expect(store.initial).toMatchObject({ firstIndex: 1, previousTerm: 0, hardState: { term: 0, commit: 0 } });
    install(snapshot(12, 2));
    expect(restart(crashed())).toMatchObject({ firstIndex: 13, previousTerm: 2, membership: installed });
  });

  it("is followed by entries, compactions and further installations", () => {
    founded();
    install(snapshot(40, 3));
    store.append({ ...nothing, entries: [entry(41, 3), entry(42, 4)] });
    expect(restart(crashed()).entries.map(({ index, term }) => [index, term])).toEqual([
      [41, 3],
      [42, 4],
    ]);
    store.append({ ...nothing, compact: { to: 41, membership: founders } });
    expect(restart(crashed())).toMatchObject({ firstIndex: 42, previousTerm: 3, membership: founders });
    store.append({ ...nothing, install: { ...snapshot(50, 6), file: "state-3.db" } });
    expect(restart(crashed())).toMatchObject({ firstIndex: 51, previousTerm: 6, stateFile: "state-3.db" });
  });

  it("must be newer than the start of the log, alone in its write, and name a state file", () => {
    founded();
    store.append({ ...nothing, compact: { to: 4, membership: founders } });
    const refused = (more: Partial<LogBatch>): void => {
      expect(() => store.append({ ...nothing, install: snapshot(40, 3), ...more })).toThrow(InvariantError);
    };
    refused({ install: snapshot(4, 1) });
    refused({ entries: [entry(41, 3)] });
    refused({ truncateFrom: 6 });
    refused({ compact: { to: 6, membership: founders } });
    refused({ install: { ...snapshot(40, 3), file: "../elsewhere.db" } });
    // Nothing of that has reached the disk.
    expect(restart(crashed())).toMatchObject({ firstIndex: 5, membership: founders, stateFile: "state-1.db" });
  });
});

/** Where a snapshot may lie beside the log that it replaces; all of it conflicts with the entries after the commit index. */
const places: readonly (readonly [what: string, meta: SnapshotMeta])[] = [
  ["after the end of the log", snapshot(40, 3)],
  ["at its last entry, in another term", snapshot(10, 3)],
  ["in the middle of it", snapshot(7, 3)],
];

describe.each(places)("a crash around an installation %s", (_what, meta) => {
  it("before it leaves the old log; after it, the new one", () => {
    founded();
    const before = crashed();
    install(meta);
    expect(restart(before)).toMatchObject({ firstIndex: 2, entries: { length: 9 }, stateFile: "state-1.db" });
    expect(restart(crashed())).toMatchObject({ firstIndex: meta.index + 1, entries: [], stateFile: "state-2.db" });
  });

  it("in the middle of the transaction leaves one of the two, whole, at whatever byte it ends", () => {
    founded();
    const start = readFileSync(wal(dir)).length;
    const template = crashed();
    install(meta);
    const written = crashed();
    const end = readFileSync(wal(written)).length;
    expect(end).toBeGreaterThan(start);
    // The sentinel is lowered before the transaction begins.
    const lowered = new Sentinel(join(template, "raft.sentinel"));
    lowered.write({ index: 1, term: 1 });
    lowered.close();
    const outcomes: string[] = [];
    for (let length = start; length <= end; length += 1030) {
      const torn = mkdtempSync(join(tmpdir(), "litecd-install-torn-"));
      copies.push(torn);
      cpSync(template, torn, { recursive: true });
      cpSync(wal(written), wal(torn));
      truncateSync(wal(torn), Math.min(length, end));
      const { firstIndex, entries, stateFile, membership } = restart(torn);
      const now = `${firstIndex} ${entries.length} ${stateFile} ${membership.voters.length}`;
      if (outcomes.at(-1) !== now) outcomes.push(now);
    }
    expect(outcomes).toEqual(["2 9 state-1.db 3", `${meta.index + 1} 0 state-2.db 4`]);
  });

  it("right after the transaction, with the sentinel as it was before, leaves the new log", () => {
    founded();
    const template = crashed();
    install(meta);
    const late = crashed();
    // As low as the installation puts it before it begins.
    const sentinel = new Sentinel(join(late, "raft.sentinel"));
    sentinel.write({ index: 1, term: 1 });
    sentinel.close();
    expect(restart(late)).toMatchObject({ firstIndex: meta.index + 1, stateFile: "state-2.db" });
    // And with the old log as well: the position is the one that its first entry follows.
    cpSync(join(late, "raft.sentinel"), join(template, "raft.sentinel"));
    const again = new Sentinel(join(template, "raft.sentinel"));
    again.write({ index: 1, term: 1 });
    again.close();
    expect(restart(template)).toMatchObject({ firstIndex: 2, entries: { length: 9 } });
  });
});

describe("the sentinel of an installation", () => {
  it("is lowered to the start of the old log before the transaction", () => {
    founded();
    store.append({ ...nothing, compact: { to: 4, membership: founders } });
    const before = readFileSync(join(dir, "raft.sentinel"));
    // A hard state that does not fit its column stops the transaction in the middle.
    const hardState = { term: 4.5, vote: undefined, commit: 40 };
    expect(() => store.append({ ...nothing, hardState, install: snapshot(40, 3) })).toThrow("SQLITE_CONSTRAINT");
    const sentinel = new Sentinel(join(dir, "raft.sentinel"));
    expect(sentinel.read()).toEqual({ index: 4, term: 1 });
    sentinel.close();
    const crashedHere = crashed();
    expect(restart(crashedHere)).toMatchObject({ firstIndex: 5, entries: { length: 6 }, stateFile: "state-1.db" });
    // Had it not been lowered, the log in the middle of which the snapshot lies would look as if it had lost its tail.
    expect(before).not.toEqual(readFileSync(join(dir, "raft.sentinel")));
  });

  it("follows the log afterwards, so that a lost entry is noticed", () => {
    founded();
    install(snapshot(40, 3));
    store.append({ ...nothing, entries: [entry(41, 4)] });
    store.close();
    const kept = readFileSync(join(dir, "raft.sentinel"));
    store = openLogStore({ dir });
    store.append({ ...nothing, truncateFrom: 41 });
    store.close();
    writeFileSync(join(dir, "raft.sentinel"), kept);
    expect(() => restart(dir)).toThrow("ends at entry 40 of term 3, but entry 41 of term 4 was written");
    rmSync(join(dir, "raft.sentinel"));
    store = openLogStore({ dir });
  });
});
