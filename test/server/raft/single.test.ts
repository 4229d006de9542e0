/** A cluster of one: the same core, its own disk is the quorum, and no turn more than needed. */
import { describe, expect, it } from "vitest";
import { RaftCore } from "../../../src/server/raft/core.js";
import { aloneAndLeading, bytes, config, durable, restored, terms, turn } from "./support.js";

describe("a single voter", () => {
  it("leads as soon as its own vote is durable, and not before", () => {
    const core = new RaftCore(config(1n), restored([1n]));
    const vote = turn(core, { kind: "campaign" });
    expect(vote.append).toMatchObject({ hardState: { term: 1, vote: 1n, commit: 0 }, entries: [], sendAfter: [] });
    expect(vote.send).toEqual([]);
    expect(core.role).toBe("candidate");
    core.step({ kind: "tick" });
    expect(core.role).toBe("candidate");

    const noop = turn(core, durable(vote));
    expect(noop.role).toEqual({ role: "leader", term: 1, leader: 1n });
    expect(noop.append?.entries).toMatchObject([{ index: 1, term: 1, kind: "noop" }]);
  });

  it("commits and hands out a proposal in the turn in which it became durable", () => {
    const core = aloneAndLeading();
    const proposed = turn(core, { kind: "propose", requestId: 1, data: bytes("a") });
    expect(proposed).toMatchObject({ apply: undefined, send: [], append: { entries: [{ index: 2 }] } });
    expect(core.commitIndex).toBe(1);

    const done = turn(core, durable(proposed));
    expect(done).toMatchObject({ append: undefined, apply: { first: 2, last: 2 } });
    expect(core.commitIndex).toBe(2);
  });

  it("writes all proposals of a turn in one append, and those that come meanwhile in the next", () => {
    const core = aloneAndLeading();
    const first = turn(
      core,
      { kind: "propose", requestId: 1, data: bytes("a") },
      { kind: "propose", requestId: 2, data: bytes("b") },
    );
    expect(first.append?.entries.map(({ index }) => index)).toEqual([2, 3]);

    for (const requestId of [3, 4, 5]) core.step({ kind: "propose", requestId, data: bytes("c") });
    expect(core.take()).toBeUndefined();

    const second = turn(core, durable(first));
    expect(second.apply).toMatchObject({ first: 2, last: 3 });
    expect(second.append?.entries.map(({ index }) => index)).toEqual([4, 5, 6]);
  });

  it("hands out a second append while the first is under way, if it is allowed two", () => {
    const core = aloneAndLeading({ limits: { appendsInflightMax: 2 } });
    const first = turn(core, { kind: "propose", requestId: 1, data: bytes("a") });
    const second = turn(core, { kind: "propose", requestId: 2, data: bytes("b") });
    expect(second.append).toMatchObject({ id: (first.append?.id ?? 0) + 1, entries: [{ index: 3 }] });
    core.step({ kind: "propose", requestId: 3, data: bytes("c") });
    expect(core.take()).toBeUndefined();
  });

  it("stores the commit index along with every batch of entries", () => {
    const core = aloneAndLeading();
    const first = turn(core, { kind: "propose", requestId: 1, data: bytes("a") });
    expect(first.append?.hardState).toEqual({ term: 1, vote: 1n, commit: 1 });
    core.step(durable(first));
    const second = turn(core, { kind: "propose", requestId: 2, data: bytes("b") });
    expect(second.append?.hardState).toEqual({ term: 1, vote: 1n, commit: 2 });
  });

  it("confirms a read in its own turn once the empty entry of the term is committed, and holds it until then", () => {
    const core = new RaftCore(
      config(1n),
      restored([1n], { hardState: { term: 3, vote: 1n, commit: 2 }, entries: terms(1, 3) }),
    );
    const vote = turn(core, { kind: "campaign" });
    const noop = turn(core, durable(vote), { kind: "read", requestId: 7 });
    expect(noop.reads).toEqual([]);
    expect(turn(core, durable(noop)).reads).toEqual([{ requestId: 7, index: 3 }]);
    expect(turn(core, { kind: "read", requestId: 8 }).reads).toEqual([{ requestId: 8, index: 3 }]);
  });

  it("replays what is committed after a restart, and the rest once its own empty entry is durable", () => {
    const core = new RaftCore(
      config(1n),
      restored([1n], { hardState: { term: 2, vote: 1n, commit: 3 }, entries: terms(1, 1, 2, 2), applied: 1 }),
    );
    const replay = turn(core, { kind: "campaign" });
    expect(replay.apply).toMatchObject({ first: 2, last: 3 });
    const noop = turn(core, durable(replay), { kind: "applied", index: 3 });
    expect(noop.apply).toBeUndefined();
    expect(turn(core, durable(noop)).apply).toMatchObject({ first: 4, last: 5 });
  });

  it("drops compacted entries from memory and tells the disk with a write of its own", () => {
    const core = aloneAndLeading();
    const proposed = turn(core, { kind: "propose", requestId: 1, data: bytes("a") });
    turn(core, durable(proposed));
    const compacted = turn(core, { kind: "applied", index: 2 }, { kind: "compact", index: 1 });
    expect(compacted.append).toMatchObject({
      compact: { to: 1, membership: { voters: [1n], learners: [] } },
      entries: [],
      hardState: undefined,
    });
    expect(core).toMatchObject({ firstIndex: 2, lastIndex: 2, logBytes: 1 });
  });

  it("has nothing to do in a turn in which only time passed", () => {
    const core = aloneAndLeading();
    core.take();
    for (let count = 0; count < 100; count += 1) core.step({ kind: "tick" });
    expect(core.take()).toBeUndefined();
    expect(core.role).toBe("leader");
  });

  it("stands for election by itself when nobody tells it to", () => {
    const core = new RaftCore(config(1n), restored([1n]));
    for (let count = 0; count < 20; count += 1) core.step({ kind: "tick" });
    expect(core.role).toBe("candidate");
  });
});
