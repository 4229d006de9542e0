/** Automatic compaction: what is due when, by time and by number of revisions. */
import { describe, expect, it } from "vitest";
import { createAutoCompaction } from "../../../src/server/replica/auto-compaction.js";

describe("automatic compaction", () => {
  it("never runs when it is off", () => {
    expect(createAutoCompaction({ kind: "off" }, 0).due(1e9, 1000)).toBeUndefined();
  });

  it("compacts periodically to the revision of one retention ago, once an interval", () => {
    const compaction = createAutoCompaction({ kind: "periodic", retentionMs: 2000 }, 0);
    const runs: [number, number][] = [];
    for (let nowMs = 100; nowMs <= 8000; nowMs += 100) {
      const target = compaction.due(nowMs, nowMs);
      if (target !== undefined) runs.push([nowMs, target]);
    }
    expect(runs.map(([atMs]) => atMs)).toEqual([2000, 4000, 6000, 8000]);
    for (const [atMs, target] of runs) expect(atMs - target).toBe(1800);
  });

  it("skips a periodic run when nothing was written since the last", () => {
    const compaction = createAutoCompaction({ kind: "periodic", retentionMs: 2000 }, 0);
    const targets: number[] = [];
    for (let nowMs = 200; nowMs <= 10_000; nowMs += 200) {
      const target = compaction.due(nowMs, 42);
      if (target !== undefined) targets.push(target);
    }
    expect(targets).toEqual([42]);
  });

  it("keeps so many revisions, every five minutes, when there are more", () => {
    const compaction = createAutoCompaction({ kind: "revision", retentionRevisions: 100 }, 0);
    const minute = 60_000;
    expect(compaction.due(4 * minute, 500)).toBeUndefined();
    expect(compaction.due(5 * minute, 90)).toBeUndefined();
    expect(compaction.due(10 * minute, 500)).toBe(400);
    expect(compaction.due(15 * minute, 500)).toBeUndefined();
    expect(compaction.due(20 * minute, 501)).toBe(401);
  });
});
