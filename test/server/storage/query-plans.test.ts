/** Query plans, pinned: a statement that starts to scan or to sort shows here and not in production. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keySql } from "../../../src/server/storage/keys.js";
import { revisionSql } from "../../../src/server/storage/revisions.js";
import { type Interval, type Scan, type ScanOrder, scanSql } from "../../../src/server/storage/scan.js";
import { stateSchema } from "../../../src/server/storage/state-schema.js";

let dir: string;
let database: BetterSqlite3.Database;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-plans-"));
  database = new BetterSqlite3(join(dir, "state.db"));
  database.exec(stateSchema);
});
afterAll(() => {
  database.close();
  rmSync(dir, { recursive: true });
});

function plan(sql: string): string[] {
  const named = Object.fromEntries([...sql.matchAll(/@(\w+)/g)].map(([, name]) => [name, 1n]));
  const anonymous = Array.from({ length: sql.split("?").length - 1 }, () => 1n);
  const parameters = Object.keys(named).length > 0 ? [...anonymous, named] : anonymous;
  const rows = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as { detail: string }[];
  return rows.map(({ detail }) => detail);
}

const key = Buffer.from("k");
const one: Interval = { kind: "one", key };
const between: Interval = { kind: "between", from: key, to: key };
const from: Interval = { kind: "from", from: key };
const filter = { modMin: 1n, modMax: 2n, createMin: 3n, createMax: 4n };

function scan(interval: Interval, order: ScanOrder = "keyAscending", filtered = false): Scan {
  return { interval, order, filter: filtered ? filter : undefined, rowsMax: 10 };
}

const byKey = "SEARCH c USING PRIMARY KEY (key>? AND key<?)";
const fromKey = "SEARCH c USING PRIMARY KEY (key>?)";
const exactKey = "SEARCH c USING PRIMARY KEY (key=?)";
const byId = "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)";
const sort = "USE TEMP B-TREE FOR ORDER BY";
const chain = [
  "CORRELATED SCALAR SUBQUERY 3",
  "CO-ROUTINE chain",
  "SETUP",
  "SEARCH rev USING INTEGER PRIMARY KEY (rowid=?)",
  "RECURSIVE STEP",
  "SCAN chain",
  "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
  "SCAN chain",
];

describe("reading the newest state", () => {
  it.each([
    ["get", scanSql.latestOne, [exactKey, byId]],
    ["one key", scanSql.latest(scan(one)), [exactKey, byId]],
    ["a range", scanSql.latest(scan(between)), [byKey, byId]],
    ["a range from a key on", scanSql.latest(scan(from)), [fromKey, byId]],
    ["a range in descending order", scanSql.latest(scan(between, "keyDescending")), [byKey, byId]],
    ["a filtered range", scanSql.latest(scan(between, "keyAscending", true)), [byKey, byId]],
    ["keys only", scanSql.latestKeys(scan(between)), [byKey]],
    ["what a deletion needs", scanSql.latestRefs(between), [byKey]],
    ["count", scanSql.countLatest(between), [byKey]],
    ["sorted ids", scanSql.latestIds(scan(between, "modDescending")), [byKey, sort]],
    ["sorted keys only", scanSql.latestKeys(scan(from, "createAscending")), [fromKey, sort]],
  ])("%s seeks, and sorts only what has to be sorted", (_what, sql, expected) => {
    expect(plan(sql)).toEqual(expected);
  });

  it("finds the keys of a lease by the partial index", () => {
    expect(plan(keySql.get)).toEqual(["SEARCH cur USING PRIMARY KEY (key=?)"]);
    expect(plan(keySql.ofLease)).toEqual(["SEARCH cur USING INDEX cur_lease (lease=?)"]);
  });
});

describe("reading an older state", () => {
  it.each([
    ["a range", scanSql.past(scan(between)), byKey],
    ["a range in descending order", scanSql.past(scan(between, "keyDescending")), byKey],
    ["count", scanSql.countPast(from), fromKey],
  ])("%s walks the keys and follows the links", (_what, sql, seek) => {
    const found = plan(sql);
    expect(found.slice(0, 2)).toEqual([seek, byId]);
    expect(found.slice(2)).toEqual(expect.arrayContaining(chain.slice(1)));
    expect(found).not.toContain(sort);
  });
});

describe("the history", () => {
  it.each([
    ["one change", revisionSql.get, [byId]],
    ["changes since", revisionSql.since, ["SEARCH r USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]],
    ["tombstones", revisionSql.tombstones, ["SEARCH r USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]],
    ["deleting tombstones", revisionSql.dropTombstones, ["SEARCH rev USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]],
    [
      "deleting predecessors",
      revisionSql.dropPrevious,
      [
        "SEARCH rev USING INTEGER PRIMARY KEY (rowid=?)",
        "LIST SUBQUERY 1",
        "SEARCH rev USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
      ],
    ],
  ])("%s seeks by id", (_what, sql, expected) => {
    expect(plan(sql)).toEqual(expected);
  });

  it("never scans a table to find what a change replaced, or where a compaction step ends", () => {
    for (const sql of [revisionSql.before, revisionSql.stepEnd]) {
      expect(plan(sql).filter((line) => /^SCAN (rev|r|o|cur|c)\b/.test(line))).toEqual([]);
    }
  });
});
