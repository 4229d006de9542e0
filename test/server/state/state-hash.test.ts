/** The rolling hash: the same on every member that applied the same log, another one for any other history. */
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { Entry } from "../../../src/server/raft/types.js";
import type { CommandBody, StateMark } from "../../../src/server/state/types.js";
import { checkpoint, command } from "./commands.js";
import { memberId, put, World } from "./world.js";

const markIntervalEntries = 16;
const worlds: World[] = [];
afterEach(() => {
  for (const world of worlds.splice(0)) world.close();
});

function member(): World {
  const world = new World({ markIntervalEntries });
  worlds.push(world);
  return world;
}

/** A log with everything in it that changes a state. */
function history(seed: number, length: number): readonly Entry[] {
  const source = member();
  const others: readonly CommandBody[] = [
    { $case: "alarm", value: { action: 1, memberID: memberId, alarm: 1 } },
    { $case: "alarm", value: { action: 2, memberID: memberId, alarm: 1 } },
    { $case: "memberPublish", value: { id: memberId, name: "one", clientUrls: ["http://one:2379"] } },
    { $case: "clusterVersionSet", value: { version: "3.7.0" } },
    { $case: "downgrade", value: { action: 1, version: "3.6.0" } },
    { $case: "downgrade", value: { action: 2, version: "" } },
  ];
  const bodies = fc.sample(
    fc.oneof(
      { weight: 8, arbitrary: command },
      { weight: 1, arbitrary: checkpoint },
      { weight: 1, arbitrary: fc.constantFrom(...others) },
    ),
    { seed, numRuns: length },
  );
  return bodies.map((body, at) => {
    const entry = source.entry(body, at + 1);
    if (at % 11 === 3) return { ...entry, kind: "noop", data: new Uint8Array(0) };
    if (at % 17 !== 5) return entry;
    const add: CommandBody = { $case: "memberAdd", value: { id: BigInt(at), peerUrls: [], learner: true } };
    return source.changeEntry({ op: "addLearner", member: BigInt(at) }, add, at + 1);
  });
}

/** Applies entries in batches of the sizes that `sizes` goes round; `between` is done after each. */
function replay(world: World, entries: readonly Entry[], sizes: readonly number[], between = (): void => {}): void {
  let at = 0;
  for (let turn = 0; at < entries.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    world.state.apply(entries.slice(at, at + size));
    at += size;
    between();
  }
}

function noopAt(index: number): Entry {
  return { index, term: 1, kind: "noop", data: new Uint8Array(0) };
}

/** What a member marks that went through `entries`, with the one at `at` replaced. */
function marksWith(entries: readonly Entry[], at: number, body: CommandBody): readonly StateMark[] {
  const world = member();
  const replaced = entries.map((entry, position) => (position === at ? world.entry(body, at + 1) : entry));
  replay(world, replaced, [20]);
  return world.reader.stateMarks();
}

function hashOf(world: World): unknown {
  return world.rows("SELECT v FROM meta WHERE k = 'state_hash'");
}

describe("marks", () => {
  it("are the same whatever batches entries came in, however far compaction has come, over restarts", () => {
    const entries = history(1, 300);
    const [single, batched, restarted] = [member(), member(), member()];
    replay(single, entries, [1], () => single.state.compactStep(1));
    replay(batched, entries, [3, 40, 1, 7, 64]);
    replay(restarted, entries, [29], () => restarted.reopen({ markIntervalEntries }));
    expect(single.reader.stateMarks()).toHaveLength(8);
    expect(batched.reader.stateMarks()).toEqual(single.reader.stateMarks());
    expect(restarted.reader.stateMarks()).toEqual(single.reader.stateMarks());
    expect([hashOf(batched), hashOf(restarted)]).toEqual([hashOf(single), hashOf(single)]);
    expect(batched.reader.hashAll()).toBe(single.reader.hashAll());
  });

  it("stand at every interval, and the last eight are kept", () => {
    const world = member();
    replay(world, history(2, 200), [50]);
    expect(world.reader.stateMarks().map(({ index }) => index)).toEqual([80, 96, 112, 128, 144, 160, 176, 192]);
  });

  it("come 1024 entries after each other unless told otherwise", () => {
    const world = new World();
    worlds.push(world);
    world.state.apply(Array.from({ length: 2100 }, (_, at) => noopAt(at + 2)));
    expect(world.reader.stateMarks()).toEqual([
      { index: 1024, hash: 0 },
      { index: 2048, hash: 0 },
    ]);
  });

  it("travel with a copy of the file, and go on from there", () => {
    const entries = history(3, 120);
    const [sender, receiver] = [member(), member()];
    replay(sender, entries.slice(0, 70), [9]);
    sender.state.exportTo(join(receiver.dir, "state-2.db"));
    receiver.state.switchFile("state-2.db", () => undefined);
    expect(receiver.reader.stateMarks()).toEqual(sender.reader.stateMarks());
    replay(sender, entries.slice(70), [50]);
    replay(receiver, entries.slice(70), [1]);
    expect(receiver.reader.stateMarks()).toEqual(sender.reader.stateMarks());
    expect(receiver.reader.stateMarks()).toHaveLength(7);
  });
});

describe("a member that drifts apart", () => {
  const base: CommandBody[] = [
    { $case: "leaseGrant", value: { id: 7n, ttlSeconds: 60n } },
    { $case: "put", value: put("a", "1") },
    { $case: "put", value: put("b", "1") },
    { $case: "compact", value: { revision: 2n, physical: false } },
  ];

  it.each<[string, number, CommandBody]>([
    ["a lease with another time", 0, { $case: "leaseGrant", value: { id: 7n, ttlSeconds: 61n } }],
    ["another value", 1, { $case: "put", value: put("a", "2") }],
    ["another key", 1, { $case: "put", value: put("c", "1") }],
    ["an attached lease", 1, { $case: "put", value: put("a", "1", { lease: 7n }) }],
    [
      "a deletion of nothing instead of a put",
      2,
      { $case: "deleteRange", value: { key: Buffer.from("z"), rangeEnd: Buffer.alloc(0), prevKv: false } },
    ],
    ["another compact revision", 3, { $case: "compact", value: { revision: 3n, physical: false } }],
    [
      "a checkpoint",
      3,
      { $case: "leaseCheckpoint", value: { leases: [{ id: 7n, remainingSeconds: 9n }], onlyInTerm: 0n } },
    ],
    ["an alarm", 3, { $case: "alarm", value: { action: 1, memberID: 1n, alarm: 2 } }],
    ["another name", 3, { $case: "memberPublish", value: { id: memberId, name: "two", clientUrls: [] } }],
    ["a version", 3, { $case: "clusterVersionSet", value: { version: "3.7.0" } }],
    ["a revocation", 3, { $case: "leaseRevoke", value: { id: 7n, onlyInTerm: 0n } }],
  ])("has another hash: %s", (_what, at, body) => {
    const source = member();
    const entries = base.map((one, position) => source.entry(one, position + 1));
    const filler = Array.from({ length: 20 }, (_, position) => noopAt(6 + position));
    const original = base[at];
    if (original === undefined) throw new Error("no such entry");
    const expected = marksWith([...entries, ...filler], at, original);
    expect(expected).toHaveLength(1);
    expect(marksWith([...entries, ...filler], at, body)).not.toEqual(expected);
  });

  it("has another hash for the same change at another index", () => {
    const [early, late] = [member(), member()];
    early.put("a", "1");
    early.state.apply([noopAt(3)]);
    late.state.apply([noopAt(2)]);
    late.put("a", "1");
    expect(early.reader.appliedIndex()).toBe(late.reader.appliedIndex());
    expect(hashOf(early)).not.toEqual(hashOf(late));
  });

  it("keeps its hash for a command that fails or changes nothing", () => {
    const world = member();
    world.put("a", "1");
    const before = hashOf(world);
    world.apply({ $case: "put", value: put("a", "2", { lease: 9n }) });
    world.del("missing");
    world.apply({ $case: "leaseRevoke", value: { id: 9n, onlyInTerm: 0n } });
    expect(hashOf(world)).toEqual(before);
  });
});
