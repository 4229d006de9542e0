/** The oracle of the random schedules finds what it is there for: each property is broken once, by hand. */
import { describe, expect, it } from "vitest";
import type { Append, Effects, Entry } from "../../../src/server/raft/types.js";
import { TestCluster } from "./cluster.js";
import type { TestMember } from "./member.js";
import { Oracle } from "./oracle.js";
import { bytes, changeEntry, config, entry, terms } from "./support.js";

const nothing: Effects = {
  send: [],
  append: undefined,
  apply: undefined,
  reads: [],
  rejected: [],
  role: undefined,
  needSnapshot: [],
  membership: undefined,
};
const leads: Effects = { ...nothing, role: { role: "leader", term: 5, leader: 1n } };

function writing(entries: readonly Entry[], vote?: bigint): Append {
  const hardState = { term: 5, vote, commit: 0 };
  return {
    id: 1,
    hardState,
    truncateFrom: undefined,
    entries,
    compact: undefined,
    install: undefined,
    sendAfter: [],
  };
}

/** Three members whose disks hold the given terms, started, watched by a new oracle. */
function watched(...logs: readonly (readonly number[])[]): { oracle: Oracle; members: readonly TestMember[] } {
  const oracle = new Oracle();
  const ids = logs.map((_log, offset) => BigInt(offset + 1));
  const cluster = new TestCluster(
    ids.map((id) => config(id)),
    { voters: ids, learners: [] },
    [oracle],
  );
  oracle.cluster = cluster;
  for (const [offset, log] of logs.entries()) {
    const member = cluster.member(BigInt(offset + 1));
    member.disk.entries = terms(...log);
    member.disk.hardState = { term: 5, vote: undefined, commit: 0 };
    member.start(1);
  }
  return { oracle, members: [...cluster.members.values()] };
}

/** Makes the member take entries up to `index` for committed. */
function commit(member: TestMember | undefined, index: number): void {
  if (member?.core === undefined) throw new Error("no such member");
  const message = { kind: "heartbeat", from: 2n, to: member.id, term: 5, commit: index, readRound: 0 } as const;
  member.core.step({ kind: "message", message });
}

function pair(members: readonly TestMember[]): readonly [TestMember, TestMember] {
  const [first, second] = members;
  if (first === undefined || second === undefined) throw new Error("two members are needed");
  return [first, second];
}

const tick = { kind: "tick" } as const;

describe("the oracle objects to", () => {
  it("two leaders in one term", () => {
    const { oracle, members } = watched([1], [1], [1]);
    const [first, second] = pair(members);
    oracle.onEffects(first, leads);
    oracle.onEffects(first, leads);
    expect(() => oracle.onEffects(second, leads)).toThrow("two leaders in one term");
  });

  it("a leader that restarted and leads in the same term again", () => {
    const { oracle, members } = watched([1], [1], [1]);
    const [first] = pair(members);
    oracle.onEffects(first, leads);
    first.start(2);
    expect(() => oracle.onEffects(first, leads)).toThrow("two leaders in one term");
  });

  it("two votes in one term, and a term that goes back on disk", () => {
    const { oracle, members } = watched([1], [1], [1]);
    const [first] = pair(members);
    oracle.onWrite(first, writing([], 1n));
    expect(() => oracle.onWrite(first, writing([], 2n))).toThrow("two votes in one term");
    const older = { ...writing([]), hardState: { term: 4, vote: undefined, commit: 0 } };
    expect(() => oracle.onWrite(first, older)).toThrow("a durable term went back");
  });

  it("two entries with one index and term, and equal entries after different ones", () => {
    const { oracle, members } = watched([1, 1], [1, 2], [1]);
    const [first, second] = pair(members);
    oracle.onEffects(first, { ...nothing, append: writing([entry(3, 3)]) });
    expect(() => oracle.onEffects(first, { ...nothing, append: writing([entry(3, 3, "other")]) })).toThrow(
      "do not match",
    );
    expect(() => oracle.onEffects(second, { ...nothing, append: writing([entry(3, 3)]) })).toThrow("do not match");
  });

  it("a commit that is on no majority of disks", () => {
    const { oracle, members } = watched([1], [], []);
    const [first] = pair(members);
    commit(first, 1);
    expect(() => oracle.onStep(first, tick)).toThrow("committed without a durable majority");
  });

  it("two entries committed at one index", () => {
    const { oracle, members } = watched([1], [1], [2]);
    const [first] = pair(members);
    commit(first, 1);
    oracle.onStep(first, tick);
    const third = members[2];
    commit(third, 1);
    expect(() => third && oracle.onStep(third, tick)).toThrow("two entries committed at one index");
  });

  it("a leader that lacks what was committed", () => {
    const { oracle, members } = watched([1], [1], []);
    const [first] = pair(members);
    commit(first, 1);
    oracle.onStep(first, tick);
    expect(() => members[2] && oracle.onEffects(members[2], leads)).toThrow("a leader lacks a committed entry");
  });

  it("a leader that is no voter", () => {
    const { oracle } = watched([1], [1]);
    const stranger = oracle.cluster?.join(config(9n));
    stranger?.start(1);
    expect(() => stranger && oracle.onEffects(stranger, leads)).toThrow("a leader is no voter");
  });

  it("a member that uses another configuration than the committed one", () => {
    const { oracle, members } = watched([1], [1]);
    const [first, second] = pair(members);
    oracle.onStep(first, tick);
    second.disk = { ...second.disk, membership: { voters: [1n, 2n, 3n], learners: [] } };
    second.start(1);
    expect(() => oracle.onStep(second, tick)).toThrow("another configuration than the one it has committed");
  });

  it("two changes on a disk that does not know the first to be committed", () => {
    const { oracle, members } = watched([1], [1]);
    const [first] = pair(members);
    first.disk.entries = [changeEntry(1, 1, "addLearner", 3n), changeEntry(2, 1, "addLearner", 4n)];
    expect(() => oracle.onWrite(first, writing([]))).toThrow("two uncommitted changes on one disk");
    first.disk.hardState = { term: 5, vote: undefined, commit: 1 };
    expect(() => oracle.onWrite(first, writing([]))).not.toThrow();
  });

  it("a compaction that stores another configuration than the one at its index", () => {
    const { oracle, members } = watched([1], [1]);
    const [first] = pair(members);
    const compact = { to: 1, membership: { voters: [1n], learners: [] } };
    first.disk = { ...first.disk, membership: compact.membership };
    expect(() => oracle.onWrite(first, { ...writing([]), compact })).toThrow("a disk holds another configuration");
  });

  it("an entry that is applied without being committed, or differs from what others applied, or comes twice", () => {
    const { oracle, members } = watched([1, 1], [1, 1], [1, 1]);
    const [first, second] = pair(members);
    expect(() => oracle.onApply(first, { first: 1, last: 1, entries: terms(1) })).toThrow(
      "applied what is not committed",
    );
    commit(first, 2);
    oracle.onStep(first, tick);
    oracle.onApply(first, { first: 1, last: 1, entries: terms(1) });
    const other = [entry(1, 1, "other")];
    expect(() => oracle.onApply(second, { first: 1, last: 1, entries: other })).toThrow(
      "two entries applied at one index",
    );
    first.applied.push(...terms(1));
    expect(() => oracle.onApply(first, { first: 1, last: 1, entries: terms(1) })).toThrow("applied out of order");
    const again = [entry(2, 1, "1.1")];
    expect(() => oracle.onApply(first, { first: 2, last: 2, entries: again })).toThrow("a proposal was applied twice");
  });

  it("a read that missed a committed entry", () => {
    const { oracle, members } = watched([1], [1], [1]);
    const [first] = pair(members);
    commit(first, 1);
    oracle.onStep(first, { kind: "read", requestId: 3 });
    oracle.onStep(first, { kind: "read", requestId: 4 });
    oracle.onEffects(first, { ...nothing, reads: [{ requestId: 4, index: 1 }] });
    expect(() => oracle.onEffects(first, { ...nothing, reads: [{ requestId: 4, index: 0 }] })).toThrow("a read missed");
  });

  it("a refused proposal that is applied all the same", () => {
    const { oracle, members } = watched([1], [1], [1]);
    const [first] = pair(members);
    oracle.onStep(first, { kind: "propose", requestId: 3, data: bytes("1.1") });
    oracle.onEffects(first, { ...nothing, rejected: [{ requestId: 3, reason: "noLeader" }] });
    commit(first, 1);
    oracle.onStep(first, tick);
    expect(() => oracle.onApply(first, { first: 1, last: 1, entries: terms(1) })).toThrow("a refused proposal");
  });
});
