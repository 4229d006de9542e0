/** Compaction: what stays readable, what leaves the file, and what a restart in the middle does. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../../proto/status.js";
import { failure, none, range, World } from "../world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

/** `revision.position` of every change in the file. */
function changesLeft(): string[] {
  return world
    .rows("SELECT (id >> 20) || '.' || (id & 1048575) FROM rev ORDER BY id")
    .map((row) => (row as string[])[0] ?? "");
}

describe("a compaction", () => {
  it("answers with the current revision and takes none", () => {
    world.put("a", "1");
    world.put("a", "2");
    const applied = world.compact(2);
    expect(applied.result).toEqual({ kind: "ok", revision: 3, response: { kind: "compact" } });
    expect([world.reader.compactRevision(), applied.changes]).toEqual([2, undefined]);
  });

  it("refuses the future, and what is compacted already", () => {
    world.put("a", "1");
    expect(failure(world.compact(3))).toBe(status.FutureRev.message);
    expect(failure(world.compact(2))).toBeUndefined();
    expect(failure(world.compact(2))).toBe(status.Compacted.message);
    expect(failure(world.compact(1))).toBe(status.Compacted.message);
  });

  it("may name revision 0 once, as etcd allows, and never a negative one", () => {
    expect(world.reader.compactRevision()).toBe(-1);
    expect(failure(world.compact(-5))).toBe(status.Compacted.message);
    expect(failure(world.compact(0))).toBeUndefined();
    expect(failure(world.compact(0))).toBe(status.Compacted.message);
  });

  it("hides the past at once, before anything is deleted", () => {
    world.put("a", "1");
    world.put("a", "2");
    world.compact(3);
    expect(changesLeft()).toEqual(["2.0", "3.0"]);
    expect(() => world.list("a", none, { revision: 2n })).toThrow(status.Compacted.message);
  });

  it("leaves of each key the newest change up to its revision, and everything later", () => {
    world.put("a", "1"); // 2
    world.put("a", "2"); // 3
    world.put("b", "1"); // 4
    world.put("a", "3"); // 5
    world.compact(4);
    world.sweep();
    expect(changesLeft()).toEqual(["3.0", "4.0", "5.0"]);
    expect(world.list("a", "c", { revision: 4n })).toEqual(["a=2", "b=1"]);
  });

  it("deletes a tombstone before its revision together with the key, and keeps one at its revision until the next", () => {
    world.put("a", "1"); // 2
    world.del("a"); // 3
    world.put("b", "1"); // 4
    world.del("b"); // 5
    world.compact(5);
    world.sweep();
    expect(changesLeft()).toEqual(["5.0"]);
    expect(world.rows("SELECT count(*) FROM cur")).toEqual([[1]]);
    world.put("c", "1"); // 6
    world.compact(6);
    world.sweep();
    expect(changesLeft()).toEqual(["6.0"]);
    expect(world.rows("SELECT count(*) FROM cur")).toEqual([[1]]);
  });

  it("does not forget a key that was put again after its tombstone", () => {
    world.put("a", "1"); // 2
    world.del("a"); // 3
    world.put("a", "2"); // 4
    world.compact(4);
    world.sweep();
    expect(changesLeft()).toEqual(["4.0"]);
    expect(world.list("a")).toEqual(["a=2"]);
    expect(world.put("a", "3")).toBe(5);
    expect(world.reader.range(range("a")).kvs[0]?.version).toBe(2n);
  });

  it("never takes the revision back, even if it deletes the newest change", () => {
    world.put("a", "1"); // 2
    world.del("a"); // 3
    world.put("b", "1"); // 4
    world.del("b"); // 5
    world.compact(5);
    world.sweep();
    world.txn({}); // an index without a revision
    world.reopen();
    expect(world.reader.revision()).toBe(5);
    expect(world.put("c", "1")).toBe(6);
  });

  it("goes on after a restart where it stood, also when a second one came meanwhile", () => {
    for (let n = 0; n < 20; n++) world.put("a", String(n));
    world.compact(10);
    expect(world.state.compactStep(4)).toBe(true);
    world.compact(20);
    world.reopen();
    expect(world.reader.compactRevision()).toBe(20);
    world.sweep();
    expect(changesLeft()).toEqual(["20.0", "21.0"]);
    expect(world.state.compactStep()).toBe(false);
  });

  it("works in bounded steps: each looks at so many rows, and at a whole revision only in parts", () => {
    for (let n = 0; n < 9; n++) world.put(`k${n}`, "1");
    world.del("k", "l"); // 11: nine tombstones
    world.put("z", "1"); // 12
    world.compact(12);
    let steps = 0;
    while (world.state.compactStep(4)) steps += 1;
    expect(steps).toBe(5);
    expect(changesLeft()).toEqual(["12.0"]);
  });
});
