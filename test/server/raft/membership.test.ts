/** Changes of the membership, one rule at a time: notes 1.15 and 1.18, chapter 4 of the thesis. */
import { describe, expect, it } from "vitest";
import { decodeChange } from "../../../src/server/raft/change.js";
import { nextMembership } from "../../../src/server/raft/configuration.js";
import { RaftCore } from "../../../src/server/raft/core.js";
import type { Effects, MembershipChange, RestoredState } from "../../../src/server/raft/types.js";
import {
  accepted,
  aloneAndLeading,
  bytes,
  changeEntry,
  config,
  durable,
  echo,
  elected,
  entry,
  from,
  leading,
  messages,
  proposeChange,
  restored,
  terms,
  threeMembers,
  ticks,
  turn,
} from "./support.js";

/** Commits what a leader has proposed: durable here, acknowledged by member 2, applied. The effects of the commit. */
function commit(core: RaftCore, proposed: Effects, acknowledgedBy: readonly bigint[] = [2n]): Effects {
  core.step(durable(proposed));
  const effects = turn(core, ...acknowledgedBy.map((id) => accepted(id, core.term, core.lastIndex)));
  if (effects.append !== undefined) core.step(durable(effects));
  if (effects.apply !== undefined) core.step({ kind: "applied", index: effects.apply.last });
  return effects;
}

/** A leader of three after a committed change. */
function changed(op: MembershipChange["op"], member: bigint): RaftCore {
  const core = leading(threeMembers());
  commit(core, turn(core, proposeChange(op, member)));
  core.take();
  return core;
}

function follower(changes: Partial<RestoredState> = {}): RaftCore {
  return threeMembers({ hardState: { term: 1, vote: undefined, commit: 1 }, entries: terms(1), ...changes });
}

/** A leader that was removed, and member 2 is the one whose acknowledgement committed it. */
function removedLeader(): { readonly core: RaftCore; readonly effects: Effects } {
  const core = leading(threeMembers());
  core.step(accepted(3n, 1, 1));
  const proposed = turn(core, proposeChange("remove", 1n));
  core.step(durable(proposed));
  return { core, effects: turn(core, accepted(2n, 1, 2)) };
}

describe("one step from one configuration to the next", () => {
  const membership = { voters: [1n, 2n], learners: [3n] };
  it.each<[MembershipChange["op"], bigint, readonly bigint[], readonly bigint[]]>([
    ["addVoter", 4n, [1n, 2n, 4n], [3n]],
    ["addLearner", 4n, [1n, 2n], [3n, 4n]],
    ["promote", 3n, [1n, 2n, 3n], []],
    ["remove", 1n, [2n], [3n]],
    ["remove", 3n, [1n, 2n], []],
    ["update", 3n, [1n, 2n], [3n]],
  ])("%s %s", (op, member, voters, learners) => {
    expect(nextMembership(membership, { op, member })).toEqual({ voters, learners });
  });

  it.each<[MembershipChange["op"], bigint]>([
    ["addVoter", 1n],
    ["addVoter", 3n],
    ["addLearner", 2n],
    ["addLearner", 3n],
    ["promote", 1n],
    ["promote", 4n],
    ["remove", 4n],
    ["update", 4n],
  ])("%s %s does not fit", (op, member) => {
    expect(nextMembership(membership, { op, member })).toBeUndefined();
  });

  it("somebody is left to vote", () => {
    const change = { op: "remove", member: 1n } as const;
    expect(nextMembership({ voters: [1n], learners: [2n] }, change)).toBeUndefined();
  });
});

describe("thesis 4.1, a change", () => {
  it("is an entry of its own kind, which names the change and holds the command", () => {
    const core = leading(threeMembers());
    const [added] = turn(core, proposeChange("addVoter", 4n)).append?.entries ?? [];
    expect(added).toMatchObject({ index: 2, kind: "change" });
    expect(decodeChange(added?.data ?? bytes(""))).toEqual({
      change: { op: "addVoter", member: 4n },
      command: bytes("addVoter 4"),
    });
  });

  it("takes effect when it is committed and not before", () => {
    const core = leading(threeMembers());
    const proposed = turn(core, proposeChange("addVoter", 4n));
    expect(proposed.membership).toBeUndefined();
    expect(proposed.send.map(({ to }) => to)).not.toContain(4n);
    expect(core.membership.voters).toEqual([1n, 2n, 3n]);

    const effects = commit(core, proposed);
    expect(effects.membership).toEqual({ voters: [1n, 2n, 3n, 4n], learners: [] });
    expect(effects.send).toContainEqual(expect.objectContaining({ kind: "append", to: 4n }));
    expect(core.peer(4n)).toMatchObject({ state: "probe", active: true, lastActiveTicks: 0 });
  });

  it("is in force for everything that is committed after it", () => {
    const core = changed("addVoter", 4n);
    core.step(durable(turn(core, { kind: "propose", requestId: 2, data: bytes("a") })));
    core.step(accepted(2n, 1, 3));
    // Two of four are no majority.
    expect(core.commitIndex).toBe(2);
    core.step(accepted(4n, 1, 3));
    expect(core.commitIndex).toBe(3);
  });

  it("takes effect in a follower with its commit index, by an append as by a heartbeat", () => {
    const byAppend = follower();
    const add = changeEntry(2, 1, "addVoter", 4n);
    const held = turn(
      byAppend,
      from(2n, "append", { term: 1, previousIndex: 1, previousTerm: 1, entries: [add], commit: 1 }),
    );
    expect(held.membership).toBeUndefined();
    const known = turn(byAppend, from(2n, "heartbeat", { term: 1, commit: 2, readRound: 0 }));
    expect(known.membership?.voters).toEqual([1n, 2n, 3n, 4n]);

    const atOnce = follower();
    const both = turn(
      atOnce,
      from(2n, "append", { term: 1, previousIndex: 1, previousTerm: 1, entries: [add], commit: 2 }),
    );
    expect(both.membership?.voters).toEqual([1n, 2n, 3n, 4n]);
  });

  it("that goes with a conflict never was", () => {
    const core = follower({ entries: [...terms(1), changeEntry(2, 1, "addVoter", 4n)] });
    turn(core, from(2n, "append", { term: 2, previousIndex: 1, previousTerm: 1, entries: [entry(2, 2)], commit: 2 }));
    expect(core).toMatchObject({ commitIndex: 2, changePending: false, membership: { voters: [1n, 2n, 3n] } });
  });

  it("of a member's URLs leaves the configuration alone, and is a change all the same", () => {
    const core = leading(threeMembers());
    const proposed = turn(core, proposeChange("update", 3n));
    expect(turn(core, proposeChange("update", 2n, 7)).rejected).toEqual([{ requestId: 7, reason: "changePending" }]);
    expect(commit(core, proposed).membership).toBeUndefined();
    expect(core.changePending).toBe(false);
  });
});

describe("notes 1.15, which changes a leader refuses", () => {
  it("a second one until the first is applied", () => {
    const core = leading(threeMembers());
    const proposed = turn(core, proposeChange("addVoter", 4n));
    expect(core.changePending).toBe(true);
    core.step(durable(proposed));
    const committed = turn(core, accepted(2n, 1, 2));
    expect(turn(core, proposeChange("remove", 3n, 8)).rejected).toEqual([{ requestId: 8, reason: "changePending" }]);
    core.step({ kind: "applied", index: committed.apply?.last ?? 0 });
    expect(core.changePending).toBe(false);
    expect(turn(core, proposeChange("remove", 3n, 9)).rejected).toEqual([]);
  });

  it("any before its own empty entry is applied, for what it found in its log may be a change", () => {
    const core = threeMembers();
    const noop = elected(core);
    expect(turn(core, proposeChange("remove", 3n, 8)).rejected).toEqual([{ requestId: 8, reason: "changePending" }]);
    core.step(durable(noop));
    const committed = turn(core, accepted(2n, 1, 1));
    expect(turn(core, proposeChange("remove", 3n, 8)).rejected).toHaveLength(1);
    core.step({ kind: "applied", index: committed.apply?.last ?? 0 });
    expect(turn(core, proposeChange("remove", 3n, 9)).rejected).toEqual([]);
  });

  it("one that does not fit, and one under pressure", () => {
    const core = leading(threeMembers({}, { limits: { uncommittedBytesMax: 4 } }));
    expect(turn(core, proposeChange("promote", 3n, 8)).rejected).toEqual([{ requestId: 8, reason: "changeInvalid" }]);
    const refused = turn(core, { kind: "propose", requestId: 1, data: bytes("1234") }, proposeChange("remove", 3n, 9));
    expect(refused.rejected).toEqual([{ requestId: 9, reason: "tooManyUncommitted" }]);
  });

  it("all of them, if it is no leader", () => {
    const core = threeMembers();
    core.step(from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 }));
    expect(turn(core, proposeChange("remove", 3n, 8)).rejected).toEqual([{ requestId: 8, reason: "noLeader" }]);
  });
});

describe("thesis 4.2.1, members that are new", () => {
  it("a cluster of one keeps its leader while the second member has not come yet", () => {
    const core = aloneAndLeading();
    const proposed = turn(core, proposeChange("addVoter", 2n));
    const committed = turn(core, durable(proposed));
    expect(committed.membership?.voters).toEqual([1n, 2n]);
    core.step({ kind: "applied", index: 2 });
    ticks(core, 10);
    expect(core.role).toBe("leader");
    ticks(core, 10);
    expect(core.role).toBe("follower");
  });

  it("a learner gets the log, counts for nothing, and counts once it is promoted", () => {
    const core = changed("addLearner", 4n);
    core.step(accepted(4n, 1, 2));
    const write = turn(core, { kind: "propose", requestId: 2, data: bytes("a") });
    expect(write.send).toContainEqual(expect.objectContaining({ to: 4n, entries: [expect.anything()] }));
    core.step(durable(write));
    core.step(accepted(4n, 1, 3));
    expect(core.commitIndex).toBe(2);
    core.step(accepted(2n, 1, 3));
    expect(core.commitIndex).toBe(3);

    core.step({ kind: "applied", index: turn(core).apply?.last ?? 0 });
    commit(core, turn(core, proposeChange("promote", 4n)));
    core.step(durable(turn(core, { kind: "propose", requestId: 3, data: bytes("b") })));
    core.step(accepted(4n, 1, 5));
    expect(core.commitIndex).toBe(4);
    core.step(accepted(2n, 1, 5));
    expect(core.commitIndex).toBe(5);
  });

  it("a member that learns of its promotion may stand", () => {
    const membership = { voters: [2n, 3n], learners: [1n] };
    const core = new RaftCore(config(1n), restored([], { membership }));
    const promote = changeEntry(1, 1, "promote", 1n);
    turn(core, from(2n, "append", { term: 1, previousIndex: 0, previousTerm: 0, entries: [promote], commit: 1 }));
    core.step({ kind: "campaign" });
    expect(core.role).toBe("preCandidate");
  });
});

describe("notes 1.15, a peer that is removed", () => {
  it("is told when a majority of the others has it on disk, and gets nothing before", () => {
    const core = leading(threeMembers());
    core.step(accepted(3n, 1, 1));
    const proposed = turn(core, proposeChange("remove", 3n));
    core.step(durable(proposed));
    const effects = turn(core, accepted(2n, 1, 2));
    expect(effects.membership?.voters).toEqual([1n, 2n]);
    expect(core.peer(3n)).toBeUndefined();
    expect(effects.send.filter(({ to }) => to === 3n)).toEqual([]);
    // Its own disk shall know, although nothing else is to be written.
    expect(effects.append).toMatchObject({ hardState: { commit: 2 }, entries: [] });
    expect(effects.send).toContainEqual(
      expect.objectContaining({ kind: "heartbeat", to: 2n, commit: 2, readRound: 1 }),
    );

    core.step(durable(effects));
    core.step({ kind: "applied", index: 2 });
    expect(messages(core.take() ?? effects).filter(({ to }) => to === 3n)).toEqual([]);
    expect(turn(core, echo(2n, 1, 1)).send).toMatchObject([{ kind: "append", to: 3n, commit: 2 }]);
  });

  it("that leaves a single voter commits what waited for its acknowledgement", () => {
    const core = leading(new RaftCore(config(1n), restored([1n, 2n])));
    core.step(durable(turn(core, proposeChange("remove", 2n), { kind: "propose", requestId: 2, data: bytes("a") })));
    core.step(accepted(2n, 1, 2));
    expect(core.commitIndex).toBe(3);
  });

  it("can not end the leadership with an answer of a later term", () => {
    const core = changed("remove", 3n);
    core.step(from(3n, "appendReply", { term: 9, rejected: false, index: 0, hintIndex: 0, hintTerm: 0 }));
    core.step(echo(3n, 9));
    expect(core).toMatchObject({ role: "leader", term: 1 });
  });

  it("may go when a leader tells it, does not stand any more, and still answers", () => {
    const core = follower();
    const remove = changeEntry(2, 1, "remove", 1n);
    const append = { term: 1, previousIndex: 1, previousTerm: 1, entries: [remove], commit: 1 };
    core.step(durable(turn(core, from(2n, "append", append))));
    expect(core.removed).toBe(false);
    const told = turn(core, from(2n, "append", { term: 1, previousIndex: 2, previousTerm: 1, entries: [], commit: 2 }));
    expect(core.removed).toBe(true);
    expect(told.append).toMatchObject({ hardState: { commit: 2 } });
    core.step(durable(told));
    core.step({ kind: "campaign" });
    ticks(core, 40);
    expect(core).toMatchObject({ role: "follower", leader: undefined });
    const asked = turn(core, from(3n, "vote", { term: 2, lastIndex: 2, lastTerm: 1, forced: false }));
    expect(messages(asked)).toMatchObject([{ kind: "voteReply", granted: true, committed: { index: 2, term: 1 } }]);
  });
});

describe("thesis 4.2.2, a leader that is removed", () => {
  it("stays until a majority of the others knows, then has the most caught-up of them campaign", () => {
    const { core, effects } = removedLeader();
    expect(core).toMatchObject({ role: "leader", transferring: true, removed: false });
    expect(effects.send).toContainEqual(
      expect.objectContaining({ kind: "heartbeat", to: 2n, commit: 2, readRound: 1 }),
    );
    expect(effects.send).toContainEqual(expect.objectContaining({ kind: "append", to: 3n, commit: 2 }));
    core.step(echo(2n, 1, 1));
    expect(core.take()?.send ?? []).toEqual([]);

    core.step(accepted(3n, 1, 2));
    const beat = turn(core, { kind: "tick" });
    expect(beat.send).toContainEqual(expect.objectContaining({ kind: "heartbeat", to: 3n, commit: 2, readRound: 2 }));
    const last = turn(core, echo(3n, 1, 2));
    expect(last.send).toContainEqual({ kind: "timeoutNow", from: 1n, to: 2n, term: 1 });
    expect(last.role).toEqual({ role: "follower", term: 1, leader: undefined });
    expect(core.removed).toBe(true);
  });

  it("takes the echo of a heartbeat that did not bring the removal for nothing", () => {
    const { core } = removedLeader();
    core.step(echo(2n, 1, 1));
    // Member 3 had not acknowledged the removal when round 1 left.
    core.step(echo(3n, 1, 1));
    core.take();
    expect(core.role).toBe("leader");
  });

  it("refuses proposals, also of others, and takes no orders to hand over", () => {
    const { core } = removedLeader();
    const refused = turn(core, { kind: "propose", requestId: 5, data: bytes("a") }, proposeChange("remove", 2n, 6));
    expect(refused.rejected.map(({ reason }) => reason)).toEqual(["transferring", "transferring"]);
    core.step({ kind: "transfer", to: 2n });
    expect(core.transferTarget).toBeUndefined();
  });

  it("does not count itself any more", () => {
    const core = leading(threeMembers());
    core.step(accepted(3n, 1, 1));
    core.step(durable(turn(core, proposeChange("remove", 1n), { kind: "propose", requestId: 2, data: bytes("a") })));
    core.step(accepted(2n, 1, 2));
    core.step(accepted(2n, 1, 3));
    expect(core.commitIndex).toBe(2);
    core.step(accepted(3n, 1, 3));
    expect(core.commitIndex).toBe(3);
  });

  it("steps down like any other if nobody answers, and is still needed", () => {
    const { core } = removedLeader();
    ticks(core, 20);
    expect(core).toMatchObject({ role: "follower", removed: false });
  });

  it("hands over to the best it has if the whole log reaches nobody for an election timeout", () => {
    const core = leading(new RaftCore(config(1n), restored([1n, 2n])));
    core.step(durable(turn(core, proposeChange("remove", 1n), { kind: "propose", requestId: 2, data: bytes("a") })));
    turn(core, accepted(2n, 1, 2));
    for (let round = 1; round <= 9; round += 1) {
      core.step(echo(2n, 1, round));
      turn(core, { kind: "tick" });
      expect(core.role).toBe("leader");
    }
    core.step({ kind: "tick" });
    expect(core.take()?.send).toContainEqual(expect.objectContaining({ kind: "timeoutNow", to: 2n }));
  });
});

describe("notes 1.15, who must not forget", () => {
  it("a follower writes a change down before it echoes the heartbeat that committed it", () => {
    const core = follower({ entries: [...terms(1), changeEntry(2, 1, "remove", 3n)] });
    const effects = turn(core, from(2n, "heartbeat", { term: 1, commit: 2, readRound: 4 }));
    expect(effects.send).toEqual([]);
    expect(effects.append).toMatchObject({
      hardState: { commit: 2 },
      sendAfter: [{ kind: "heartbeatReply", to: 2n, readRound: 4 }],
    });
    core.step(durable(effects));
    const next = turn(core, from(2n, "heartbeat", { term: 1, commit: 2, readRound: 5 }));
    expect(next).toMatchObject({ append: undefined, send: [{ kind: "heartbeatReply", readRound: 5 }] });
  });

  it("a restarted member has the changes up to its commit index on top of what is stored, and says so once", () => {
    const entries = [...terms(1), changeEntry(2, 1, "addVoter", 4n), changeEntry(3, 1, "remove", 3n)];
    const core = follower({ hardState: { term: 1, vote: undefined, commit: 2 }, entries });
    expect(turn(core).membership).toEqual({ voters: [1n, 2n, 3n, 4n], learners: [] });
    expect(core.membership.voters).toEqual([1n, 2n, 3n, 4n]);
    core.step({ kind: "applied", index: 2 });
    expect(core.take()?.membership).toBeUndefined();
    expect(core.changePending).toBe(true);
  });

  it("a compaction hands out the configuration as of its index", () => {
    const entries = [...terms(1), changeEntry(2, 1, "addVoter", 4n), changeEntry(3, 1, "remove", 3n)];
    const core = follower({ hardState: { term: 1, vote: undefined, commit: 3 }, entries, applied: 3 });
    core.take();
    const compacted = turn(core, { kind: "compact", index: 2 });
    expect(compacted.append?.compact).toEqual({ to: 2, membership: { voters: [1n, 2n, 3n, 4n], learners: [] } });
    expect(core.membership.voters).toEqual([1n, 2n, 4n]);
  });

  it("a candidate learns from a refusal what is committed, and does without those who were removed", () => {
    const core = new RaftCore(
      config(1n),
      restored([1n, 2n], {
        hardState: { term: 1, vote: undefined, commit: 1 },
        entries: [...terms(1), changeEntry(2, 1, "remove", 2n)],
      }),
    );
    turn(core, { kind: "campaign" });
    const denial = { term: 1, granted: false, committed: { index: 2, term: 1 } };
    const effects = turn(core, from(2n, "preVoteReply", denial));
    expect(effects).toMatchObject({ membership: { voters: [1n] }, role: { role: "candidate", term: 2 } });
    expect(turn(core, durable(effects)).role?.role).toBe("leader");
  });

  it("a candidate that learns of its own removal stands no more, and other entries teach it nothing", () => {
    const core = follower({ entries: [...terms(1), changeEntry(2, 1, "remove", 1n)] });
    turn(core, { kind: "campaign" });
    core.step(from(3n, "preVoteReply", { term: 1, granted: false, committed: { index: 2, term: 2 } }));
    expect(core).toMatchObject({ role: "preCandidate", commitIndex: 1 });
    core.step(from(3n, "preVoteReply", { term: 1, granted: false, committed: { index: 2, term: 1 } }));
    expect(core).toMatchObject({ role: "follower", commitIndex: 2, removed: false });
  });
});

describe("notes 1.18, what cannot happen", () => {
  it("two changes above the commit index stop the member, at boot as later", () => {
    const entries = [changeEntry(1, 1, "addVoter", 4n), changeEntry(2, 1, "addVoter", 5n)];
    const hardState = { term: 1, vote: undefined, commit: 0 };
    expect(() => threeMembers({ hardState, entries })).toThrow("impossible state");
    const core = threeMembers();
    const both = from(2n, "append", { term: 1, previousIndex: 0, previousTerm: 0, entries, commit: 0 });
    expect(() => core.step(both)).toThrow("impossible state");
  });

  it("a committed change that does not fit stops the member", () => {
    const hardState = { term: 1, vote: undefined, commit: 1 };
    const entries = [changeEntry(1, 1, "addVoter", 2n)];
    expect(() => threeMembers({ hardState, entries })).toThrow("does not fit");
  });
});
