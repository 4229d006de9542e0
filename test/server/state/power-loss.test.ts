/** A power cut may take from the state file what was not synced; the log brings it back. */
import { cpSync, mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Entry } from "../../../src/server/raft/types.js";
import { openState } from "../../../src/server/state/state.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { LogBatch, LogStore } from "../../../src/server/storage/types.js";
import { command } from "./commands.js";
import { clusterId, memberId, World } from "./world.js";

const nothing: LogBatch = {
  hardState: undefined,
  truncateFrom: undefined,
  entries: [],
  compact: undefined,
  install: undefined,
};

/** A member whose state is never synced unless it asks for it, and the same history on a member that never fails. */
class Member {
  readonly world = new World();
  readonly log: LogStore;
  /** Bytes of the state's write-ahead log that were on disk at the last sync. */
  syncedBytes = 0;

  constructor() {
    this.log = openLogStore({
      dir: this.world.dir,
      bootstrap: {
        kind: "found",
        identity: { clusterId, memberId },
        membership: { voters: [memberId], learners: [] },
      },
    });
    this.world.reopen({ unsafeNoFsync: false });
  }

  walBytes(): number {
    return statSync(join(this.world.dir, "state-1.db-wal")).size;
  }

  run(entries: readonly Entry[]): void {
    const last = entries.at(-1)?.index ?? 0;
    const hardState = { term: 1, vote: memberId, commit: last };
    this.log.append({ ...nothing, hardState, entries });
    this.world.state.apply(entries);
  }

  /** Syncs the state and drops the log up to there. */
  sync(): void {
    const to = this.world.state.makeDurable();
    this.syncedBytes = this.walBytes();
    this.log.append({ ...nothing, compact: { to, membership: { voters: [memberId], learners: [] } } });
  }

  close(): void {
    this.log.close();
    this.world.close();
  }
}

/** What a restart makes of a copy of the member whose state has lost `lost` of what was not synced (0 to 1). */
function hashAfterPowerCut(member: Member, lost: number): [hash: number, replayed: number] {
  const dir = mkdtempSync(join(tmpdir(), "litecd-power-"));
  try {
    cpSync(member.world.dir, dir, { recursive: true, filter: (path) => !path.endsWith("-shm") });
    const left = member.syncedBytes + Math.floor((member.walBytes() - member.syncedBytes) * (1 - lost));
    truncateSync(join(dir, "state-1.db-wal"), left);
    const log = openLogStore({ dir });
    const { stateFile, entries, firstIndex } = log.initial;
    const state = openState({ dir, file: stateFile, clusterId });
    const missing = entries.filter(({ index }) => index > state.reader.appliedIndex());
    expect(state.reader.appliedIndex()).toBeGreaterThanOrEqual(firstIndex - 1);
    state.apply(missing);
    const hash = state.reader.hashAll();
    state.close();
    log.close();
    return [hash, missing.length];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("a power cut", () => {
  it("loses nothing that the log holds, wherever it cuts the state's last writes", { timeout: 60_000 }, () => {
    const member = new Member();
    const commands = fc.sample(command, { seed: 4711, numRuns: 240 });
    let replayed = 0;
    for (let at = 0; at < commands.length; at += 12) {
      const bodies = commands.slice(at, at + 12);
      for (let from = 0; from < bodies.length; from += 3) {
        member.run(bodies.slice(from, from + 3).map((body, offset) => member.world.entry(body, offset + 1)));
      }
      for (const lost of [0, 0.3, 0.6, 1]) {
        const [hash, entries] = hashAfterPowerCut(member, lost);
        expect(hash).toBe(member.world.reader.hashAll());
        replayed += entries;
      }
      if (at % 48 === 0) member.sync();
    }
    member.close();
    expect(replayed).toBeGreaterThan(500);
  });
});
