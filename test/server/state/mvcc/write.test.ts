/** Puts and deletions, what they answer and what watchers are told (spec/server.md 3.3, 3.4, 4.4). */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../../proto/status.js";
import type { Change, RevisionChanges } from "../../../../src/server/state/types.js";
import { show as showPair } from "../model.js";
import { bytes, del, failure, none, op, put, range, text, toEnd, World } from "../world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

function show(change: Change): string {
  const { kind, kv } = change;
  const former = change.previous();
  return `${kind} ${text(kv.key)}=${text(kv.value)}${former === undefined ? "" : ` was ${text(former.value)}`}`;
}

function shown(revisions: readonly RevisionChanges[]): [number, string[]][] {
  return revisions.map(({ revision, changes }) => [revision, changes.map(show)]);
}

/** Kind and pair of each change, without what it replaced. */
function plain(revisions: readonly RevisionChanges[]): unknown {
  return revisions.map(({ revision, changes }) => [revision, changes.map(({ kind, kv }) => `${kind} ${showPair(kv)}`)]);
}

function numbers(revisions: readonly RevisionChanges[]): number[] {
  return revisions.map(({ revision }) => revision);
}

describe("a put", () => {
  it("counts versions from 1, and again after a deletion", () => {
    world.put("a", "1");
    world.put("a", "2");
    world.del("a");
    world.put("a", "3");
    const versions = [2n, 3n, 5n].map((revision) => world.reader.range(range("a", none, { revision })).kvs[0]);
    expect(versions.map((kv) => [kv?.createRevision, kv?.modRevision, kv?.version])).toEqual([
      [2n, 2n, 1n],
      [2n, 3n, 2n],
      [5n, 5n, 1n],
    ]);
  });

  it("takes a revision even if it changes nothing", () => {
    world.put("a", "1");
    expect(world.put("a", "1")).toBe(3);
  });

  it("returns the former pair if asked, and nothing for a new key", () => {
    const previous = (value: string): unknown =>
      world.ok<"put">({ $case: "put", value: put("a", value, { prevKv: true }) }).previous;
    expect(previous("1")).toBeUndefined();
    expect(previous("2")).toMatchObject({ value: Buffer.from("1"), modRevision: 2n });
    world.del("a");
    expect(previous("3")).toBeUndefined();
  });

  it("keeps the value or the lease if asked", () => {
    world.grant(7n);
    world.put("a", "1", { lease: 7n });
    world.put("a", "", { ignoreValue: true });
    expect(world.reader.range(range("a")).kvs[0]).toMatchObject({ value: Buffer.from("1"), lease: 0n, version: 2n });
    world.put("a", "2", { lease: 7n });
    world.put("a", "3", { ignoreLease: true });
    expect(world.reader.range(range("a")).kvs[0]).toMatchObject({ value: Buffer.from("3"), lease: 7n });
  });

  it("can not keep what does not exist, and checks the lease first", () => {
    const apply = (more: Parameters<typeof put>[2]): string | undefined =>
      failure(world.apply({ $case: "put", value: put("a", "", more) }));
    expect(apply({ ignoreValue: true })).toBe(status.KeyNotFound.message);
    expect(apply({ ignoreLease: true })).toBe(status.KeyNotFound.message);
    expect(apply({ ignoreValue: true, lease: 9n })).toBe(status.LeaseNotFound.message);
    world.put("a", "1");
    world.del("a");
    expect(apply({ ignoreValue: true })).toBe(status.KeyNotFound.message);
  });

  it("stores an empty value, and one of a mebibyte", () => {
    world.put("a", "");
    const large = "x".repeat(2 ** 20);
    world.put("b", large);
    expect(world.list("a", "c")).toEqual(["a=", `b=${large}`]);
  });
});

describe("a deletion", () => {
  it("counts what it deletes and returns it in key order if asked", () => {
    for (const key of ["b", "a", "c"]) world.put(key, key);
    const response = world.ok<"deleteRange">({ $case: "deleteRange", value: del("a", "c", true) });
    expect([response.deleted, response.previous.map(({ key }) => text(key))]).toEqual([2, ["a", "b"]]);
    expect(world.list("\0", toEnd)).toEqual(["c=c"]);
  });

  it("of nothing takes no revision and tells nobody", () => {
    world.put("a", "1");
    world.del("a");
    const applied = world.apply({ $case: "deleteRange", value: del("a", toEnd) });
    expect([applied.result.revision, applied.changes]).toEqual([3, undefined]);
  });

  it("detaches the lease: the key that comes after has none", () => {
    world.grant(7n);
    world.put("a", "1", { lease: 7n });
    world.del("a");
    world.put("a", "2");
    expect(world.reader.leaseKeys(7n)).toEqual([]);
  });
});

describe("what watchers are told", () => {
  it("is the new pair, or key and revision of a deletion, in the order of the steps", () => {
    world.put("a", "1");
    const { changes } = world.txn({ success: [op.put("b", "2"), op.del("a")] });
    expect(changes).toMatchObject({
      revision: 3,
      changes: [
        { kind: "put", kv: { key: bytes("b"), createRevision: 3n, modRevision: 3n, version: 1n, value: bytes("2") } },
        {
          kind: "delete",
          kv: { key: bytes("a"), createRevision: 0n, modRevision: 3n, version: 0n, value: none, lease: 0n },
        },
      ],
    });
  });

  it("is the same when it is read again later", () => {
    world.grant(7n);
    const live = [
      world.apply({ $case: "put", value: put("a", "1", { lease: 7n }) }).changes,
      world.apply({ $case: "put", value: put("a", "2") }).changes,
      world.txn({ success: [op.put("b", "1"), op.del("a", toEnd)] }).changes,
    ].flatMap((changes) => changes ?? []);
    const later = world.reader.changesSince(2, 100);
    expect(plain(later)).toEqual(plain(live));
    expect(shown(later)).toEqual(shown(live));
  });

  it("has the pair before, as of the revision before", () => {
    world.put("a", "1");
    const { changes } = world.txn({
      success: [op.txn({ success: [op.put("a", "2")] }), op.txn({ success: [op.del("a")] })],
    });
    expect(shown(changes === undefined ? [] : [changes])).toEqual([[3, ["put a=2 was 1", "delete a= was 1"]]]);
  });

  it("has no pair before for a key that the same revision made", () => {
    const { changes } = world.txn({
      success: [op.txn({ success: [op.put("a", "2")] }), op.txn({ success: [op.del("a")] })],
    });
    expect(shown(changes === undefined ? [] : [changes])).toEqual([[2, ["put a=2", "delete a="]]]);
  });

  it("has no pair before if that is compacted by then, whether it is still in the file or not", () => {
    world.put("a", "1"); // 2
    const change = world.apply({ $case: "put", value: put("a", "2") }).changes?.changes[0]; // 3
    world.put("a", "3"); // 4
    expect(change?.previous()?.modRevision).toBe(2n);
    world.compact(2);
    expect(change?.previous()?.modRevision).toBe(2n);
    world.compact(3);
    expect(change?.previous()).toBeUndefined();
    expect(shown(world.reader.changesSince(3, 100))).toEqual([
      [3, ["put a=2"]],
      [4, ["put a=3 was 2"]],
    ]);
  });

  it("comes in whole revisions, bounded by their number and their bytes", () => {
    for (let n = 0; n < 5; n++) world.txn({ success: [op.put("a", "x".repeat(100)), op.put("b", "y".repeat(100))] });
    expect(numbers(world.reader.changesSince(3, 2))).toEqual([3, 4]);
    expect(numbers(world.reader.changesSince(2, 100, 1))).toEqual([2]);
    expect(numbers(world.reader.changesSince(2, 100, 300))).toEqual([2, 3]);
    expect(numbers(world.reader.changesSince(2, 100))).toEqual([2, 3, 4, 5, 6]);
    expect(world.reader.changesSince(2, 1)[0]?.changes).toHaveLength(2);
    expect(world.reader.changesSince(7, 10)).toEqual([]);
  });

  it("can not be had from before the compact revision, but from it on", () => {
    world.put("a", "1");
    world.del("a"); // 3
    world.put("b", "1");
    world.compact(3);
    world.sweep();
    expect(() => world.reader.changesSince(2, 10)).toThrow(status.Compacted.message);
    expect(shown(world.reader.changesSince(3, 10))).toEqual([
      [3, ["delete a="]],
      [4, ["put b=1"]],
    ]);
  });
});
