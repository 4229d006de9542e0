/** Files from elsewhere: what they say of themselves, and which of them are refused. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inspectStateFile, readStateFacts } from "../../../src/server/storage/inspect.js";
import { revisionId } from "../../../src/server/storage/revisions.js";
import { StateStore } from "../../../src/server/storage/state-store.js";

let dir: string;
let store: StateStore;
let copy: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "litecd-inspect-"));
  store = new StateStore({ dir, file: "state-1.db", mode: "create" });
  store.write(() => {
    const { meta, members, revisions } = store.tables;
    meta.putClusterId(2n ** 64n - 1n);
    meta.putNumber("applied_index", 77);
    meta.putNumber("applied_term", 5);
    meta.putNumber("revision", 2001);
    for (const id of [1n, 2n ** 63n]) {
      members.put({ id, name: "", peerUrls: [], clientUrls: [], learner: id !== 1n });
    }
    for (let n = 2; n <= 2001; n++) {
      const kv = Buffer.from(`pair ${n} ${"x".repeat(100)}`);
      revisions.insert({ id: revisionId(n, 0), previous: undefined, deleted: false, kv });
    }
  });
  copy = join(dir, "copy.db");
  store.exportTo(copy);
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

/** Flips the lowest bit of one byte. */
function damage(at: number): void {
  const content = readFileSync(copy);
  content.writeUInt8(content.readUInt8(at) ^ 1, at);
  writeFileSync(copy, content);
}

function change(sql: string): void {
  const database = new BetterSqlite3(copy);
  database.exec(sql);
  database.close();
}

describe("a copy", () => {
  it("says which cluster it is of, how far it has applied, and who is a member", () => {
    const facts = {
      clusterId: 2n ** 64n - 1n,
      appliedIndex: 77,
      appliedTerm: 5,
      revision: 2001,
      membership: { voters: [1n], learners: [2n ** 63n] },
      sizeBytes: readFileSync(copy).length,
    };
    expect(inspectStateFile(copy)).toEqual(facts);
    expect(readStateFacts(copy)).toEqual(facts);
  });

  it("is not changed by looking at it, and nothing is left beside it", () => {
    const before = readFileSync(copy);
    inspectStateFile(copy);
    readStateFacts(copy);
    expect(readFileSync(copy)).toEqual(before);
    // As after a copy of a file that a member has closed.
    store.close();
    copyFileSync(join(dir, "state-1.db"), join(dir, "closed.db"));
    expect(inspectStateFile(join(dir, "closed.db"))?.appliedIndex).toBe(77);
    expect(readdirSync(dir).toSorted()).toEqual(["closed.db", "copy.db", "state-1.db"]);
  });
});

describe("is refused: a file", () => {
  it("that is missing, empty, cut short, or no database", () => {
    expect(inspectStateFile(join(dir, "missing.db"))).toBeUndefined();
    writeFileSync(join(dir, "empty.db"), "");
    expect(inspectStateFile(join(dir, "empty.db"))).toBeUndefined();
    writeFileSync(join(dir, "text.db"), "x".repeat(100_000));
    expect(inspectStateFile(join(dir, "text.db"))).toBeUndefined();
    truncateSync(copy, readFileSync(copy).length - 4096);
    expect(inspectStateFile(copy)).toBeUndefined();
  });

  it("of another program, another version, or without a cluster", () => {
    change("PRAGMA user_version = 99");
    expect(inspectStateFile(copy)).toBeUndefined();
    change("PRAGMA user_version = 1; PRAGMA application_id = 7");
    expect(inspectStateFile(copy)).toBeUndefined();
    rmSync(copy);
    store.write(() => store.tables.meta.putNumber("revision", 2002));
    store.exportTo(copy);
    expect(inspectStateFile(copy)?.revision).toBe(2002);
    change("DELETE FROM meta WHERE k = 'cluster_id'");
    expect(inspectStateFile(copy)).toBeUndefined();
  });

  it("with a flipped bit in a pair, which SQLite does not notice", () => {
    damage(readFileSync(copy).indexOf("pair 1234 "));
    const database = new BetterSqlite3(copy, { readonly: true });
    expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
    database.close();
    expect(inspectStateFile(copy)).toBeUndefined();
    // Just written from a sound file, it would not have been looked at so closely.
    expect(readStateFacts(copy)?.appliedIndex).toBe(77);
  });

  it("with a damaged page", () => {
    damage(4096 * 3 + 3);
    expect(inspectStateFile(copy)).toBeUndefined();
  });

  it("that is too large to be verified whole, with damage all over it", () => {
    change("UPDATE rev SET crc = crc + 1 WHERE (id >> 20) % 3 = 0");
    expect(inspectStateFile(copy, 600)).toBeUndefined();
    expect(inspectStateFile(copy, 600_000)).toBeUndefined();
  });
});

describe("a file that is too large to be verified whole", () => {
  it("is looked at in many places, from its first change to its last", () => {
    const found = [2, 3, 700, 1500, 2001].map((revision) => {
      change(`UPDATE rev SET crc = crc + 1 WHERE id >> 20 = ${revision}`);
      const facts = inspectStateFile(copy, 1000);
      change(`UPDATE rev SET crc = crc - 1 WHERE id >> 20 = ${revision}`);
      return facts === undefined;
    });
    // One of two rows is read, so some of the damage is found and some is not.
    expect(found[0]).toBe(true);
    expect(inspectStateFile(copy, 1000)?.revision).toBe(2001);
    expect(inspectStateFile(copy, 2000)?.revision).toBe(2001);
  });
});
