/** Hashes: known values, and what they depend on. Equality with etcd: see real-etcd.test.ts. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../../proto/status.js";
import { crc32c } from "../../../../src/server/state/mvcc/crc32c.js";
import { World } from "../world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

describe("CRC-32C", () => {
  it.each([
    ["", 0],
    ["a", 0xc1d04330],
    ["123456789", 0xe3069283],
  ])("of %j is %i", (text, expected) => {
    expect(crc32c(Buffer.from(text))).toBe(expected);
  });

  it("goes on where it stopped", () => {
    expect(crc32c(Buffer.from("56789"), crc32c(Buffer.from("1234")))).toBe(0xe3069283);
  });
});

describe("HashKV", () => {
  it("of an empty store is that of the word key", () => {
    const hash = crc32c(Buffer.from("key"));
    expect(world.reader.hashKv(0)).toEqual({ hash, compactRevision: -1, hashRevision: 1, revision: 1 });
  });

  it("at 0 is that of the newest revision", () => {
    world.put("a", "1");
    world.put("a", "2");
    expect(world.reader.hashKv(0)).toEqual(world.reader.hashKv(3));
    expect(world.reader.hashKv(2).hash).not.toBe(world.reader.hashKv(3).hash);
  });

  it("can not be had of the future, of what is compacted, and of negative revisions", () => {
    world.put("a", "1");
    world.put("a", "2");
    world.compact(3);
    expect(() => world.reader.hashKv(4)).toThrow(status.FutureRev.message);
    expect(() => world.reader.hashKv(2)).toThrow(status.Compacted.message);
    expect(() => world.reader.hashKv(-1)).toThrow(status.Compacted.message);
  });

  it("does not depend on how far the file is swept, nor on where a member was restarted", () => {
    for (let n = 0; n < 12; n++) world.put(`k${n % 4}`, String(n));
    world.del("k1");
    world.put("k2", "after");
    world.compact(10);
    const before = [10, 12, 14, 15].map((revision) => world.reader.hashKv(revision).hash);
    world.state.compactStep(3);
    world.reopen();
    const between = [10, 12, 14, 15].map((revision) => world.reader.hashKv(revision).hash);
    world.sweep();
    const after = [10, 12, 14, 15].map((revision) => world.reader.hashKv(revision).hash);
    expect([between, after]).toEqual([before, before]);
  });

  it("of revision 0 after a compaction at 0 is not poisoned by it, as it is in etcd", () => {
    world.put("a", "1");
    const before = world.reader.hashKv(0).hash;
    world.compact(0);
    world.sweep();
    expect(world.reader.hashKv(0)).toMatchObject({ hash: before, hashRevision: 2 });
  });
});

describe("the hash of everything", () => {
  it("is the same for the same history and differs for what HashKV does not see", () => {
    const other = new World();
    for (const one of [world, other]) one.put("a", "1");
    expect(world.reader.hashAll()).toBe(other.reader.hashAll());
    const seen = new Set([world.reader.hashAll()]);
    world.grant(7n);
    seen.add(world.reader.hashAll());
    world.ok({ $case: "alarm", value: { action: 1, memberID: 5n, alarm: 1 } });
    seen.add(world.reader.hashAll());
    world.ok({ $case: "clusterVersionSet", value: { version: "3.7.0" } });
    seen.add(world.reader.hashAll());
    world.compact(2);
    seen.add(world.reader.hashAll());
    other.close();
    expect(seen.size).toBe(5);
  });
});
