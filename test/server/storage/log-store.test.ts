/** raft.db: what was appended is there, what is damaged is found, what is in use stays locked. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Entry } from "../../../src/server/raft/types.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { Bootstrap, LogBatch, LogStore } from "../../../src/server/storage/types.js";

const bootstrap: Bootstrap = {
  identity: { clusterId: 0xcdf818194e3a8c32n, memberId: 0x8e9e05c52164694dn },
  hardState: { term: 1, vote: 0x8e9e05c52164694dn, commit: 0 },
  membership: { voters: [0x8e9e05c52164694dn], learners: [] },
  createdSeconds: 1_700_000_000,
};

const nothing: LogBatch = { hardState: undefined, truncateFrom: undefined, entries: [], compactTo: undefined };

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

function reopen(): LogStore {
  open.pop()?.close();
  return openStore();
}

describe("a log store", () => {
  it("starts from its bootstrap", () => {
    expect(openStore().initial).toEqual({
      identity: bootstrap.identity,
      hardState: bootstrap.hardState,
      membership: bootstrap.membership,
      firstIndex: 1,
      previousTerm: 0,
      entries: [],
      stateFile: "state-1.db",
      bootCount: 1,
    });
  });

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

  it("refuses a second opening and names the directory", () => {
    openStore();
    expect(() => openLogStore({ dir, bootstrap })).toThrow(`data directory ${dir} is in use`);
  });
});
