/** One test for each rule of an election. Sections of the thesis, or of the Raft notes where the rule is ours. */
import { describe, expect, it } from "vitest";
import { RaftCore } from "../../../src/server/raft/core.js";
import { Prng } from "../../../src/server/raft/prng.js";
import { RaftState } from "../../../src/server/raft/state.js";
import {
  config,
  durable,
  elected,
  from,
  leading,
  messages,
  restored,
  terms,
  threeMembers,
  ticks,
  turn,
} from "./support.js";

function draws(seed: number): number[] {
  const prng = new Prng(seed);
  return Array.from({ length: 20 }, () => prng.below(1000));
}

const withoutPreVote = { preVote: false };

describe("thesis 3.4, elections", () => {
  it("a follower that hears nothing stands after its timeout, which lies between one and two election timeouts", () => {
    const waits = Array.from({ length: 200 }, (_none, seed) => {
      const core = threeMembers({ seed });
      let waited = 0;
      while (core.role === "follower") {
        core.step({ kind: "tick" });
        waited += 1;
      }
      return waited;
    });
    expect(Math.min(...waits)).toBe(10);
    expect(Math.max(...waits)).toBe(19);
    expect(new Set(waits).size).toBe(10);
  });

  it("a timeout is drawn anew whenever the term changes", () => {
    const state = new RaftState(config(1n), restored([1n, 2n]));
    const drawn = new Set(Array.from({ length: 100 }, () => state.drawTimeout()));
    expect([...drawn].toSorted((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it("a leader's heartbeat starts the wait again", () => {
    const core = threeMembers();
    for (let beat = 0; beat < 10; beat += 1) {
      ticks(core, 9);
      core.step(from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 }));
    }
    expect(core).toMatchObject({ role: "follower", term: 1, leader: 2n });
  });

  it("a candidate raises its term, votes for itself and asks all voters", () => {
    const core = threeMembers({}, withoutPreVote);
    const effects = turn(core, { kind: "campaign" });
    expect(effects.role).toEqual({ role: "candidate", term: 1, leader: undefined });
    expect(effects.append?.hardState).toEqual({ term: 1, vote: 1n, commit: 0 });
    expect(messages(effects)).toMatchObject([
      { kind: "vote", to: 2n, term: 1, lastIndex: 0, lastTerm: 0, forced: false },
      { kind: "vote", to: 3n, term: 1, lastIndex: 0, lastTerm: 0, forced: false },
    ]);
  });

  it("a candidate wins with a majority and tells everybody at once", () => {
    const core = threeMembers();
    const effects = elected(core);
    expect(effects.role).toEqual({ role: "leader", term: 1, leader: 1n });
    expect(effects.send).toMatchObject([
      { kind: "append", to: 2n, previousIndex: 0, entries: [{ kind: "noop", term: 1 }] },
      { kind: "append", to: 3n, previousIndex: 0, entries: [{ kind: "noop", term: 1 }] },
    ]);
  });

  it("a candidate whose majority refuses becomes a follower", () => {
    const core = threeMembers({}, withoutPreVote);
    const vote = turn(core, { kind: "campaign" });
    core.step(durable(vote));
    core.step(from(2n, "voteReply", { term: 1, granted: false }));
    expect(core.role).toBe("candidate");
    core.step(from(3n, "voteReply", { term: 1, granted: false }));
    expect(core.role).toBe("follower");
  });

  it("a candidate that hears of a leader of its own term follows it", () => {
    const core = threeMembers({}, withoutPreVote);
    turn(core, { kind: "campaign" });
    core.step(from(3n, "heartbeat", { term: 1, commit: 0, readRound: 0 }));
    expect(core).toMatchObject({ role: "follower", term: 1, leader: 3n });
  });

  it("a candidate without an answer starts a new term after its timeout", () => {
    const core = threeMembers({}, withoutPreVote);
    core.step({ kind: "campaign" });
    ticks(core, 20);
    expect(core).toMatchObject({ role: "candidate", term: 2 });
  });

  it("a member votes once in a term, and again for the same candidate if asked again", () => {
    const core = threeMembers();
    const first = turn(core, from(2n, "vote", { term: 1, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(messages(first)).toMatchObject([{ kind: "voteReply", to: 2n, granted: true }]);
    core.step(durable(first));
    expect(messages(turn(core, from(3n, "vote", { term: 1, lastIndex: 9, lastTerm: 1, forced: false })))).toMatchObject(
      [{ kind: "voteReply", to: 3n, granted: false }],
    );
    expect(messages(turn(core, from(2n, "vote", { term: 1, lastIndex: 0, lastTerm: 0, forced: false })))).toMatchObject(
      [{ kind: "voteReply", to: 2n, granted: true }],
    );
  });

  it("a vote for a member that is no voter counts for nothing, nor does a voter's second answer", () => {
    const core = threeMembers({}, withoutPreVote);
    core.step(durable(turn(core, { kind: "campaign" })));
    core.step(from(9n, "voteReply", { term: 1, granted: true }));
    core.step(from(3n, "voteReply", { term: 1, granted: false }));
    core.step(from(3n, "voteReply", { term: 1, granted: true }));
    expect(core.role).toBe("candidate");
  });

  it("a late vote of an older term counts for nothing", () => {
    const core = threeMembers({}, withoutPreVote);
    core.step(durable(turn(core, { kind: "campaign" })));
    core.step(durable(turn(core, { kind: "campaign" })));
    core.step(from(2n, "voteReply", { term: 1, granted: true }));
    expect(core).toMatchObject({ role: "candidate", term: 2 });
  });
});

describe("thesis 3.6.1, who may be elected", () => {
  const log = { hardState: { term: 3, vote: undefined, commit: 0 }, entries: terms(1, 2, 2) };
  it.each([
    ["a log that ends in an older term", { lastIndex: 9, lastTerm: 1 }, false],
    ["a shorter log of the same term", { lastIndex: 2, lastTerm: 2 }, false],
    ["an equal log", { lastIndex: 3, lastTerm: 2 }, true],
    ["a longer log of the same term", { lastIndex: 4, lastTerm: 2 }, true],
    ["a shorter log that ends in a later term", { lastIndex: 1, lastTerm: 3 }, true],
  ])("%s", (_name, ends, granted) => {
    for (const kind of ["vote", "preVote"] as const) {
      const effects = turn(threeMembers(log), from(2n, kind, { term: 4, forced: false, ...ends }));
      expect(messages(effects)).toMatchObject([{ kind: `${kind}Reply`, granted }]);
    }
  });
});

describe("thesis 3.8, what must be durable before it is said", () => {
  it("a granted vote leaves only with the write that holds it", () => {
    const core = threeMembers();
    const effects = turn(core, from(2n, "vote", { term: 5, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(effects.send).toEqual([]);
    expect(effects.append).toMatchObject({
      hardState: { term: 5, vote: 2n, commit: 0 },
      sendAfter: [{ kind: "voteReply", term: 5, granted: true }],
    });
  });

  it("a vote given later in a term that is durable already is written too", () => {
    const core = threeMembers({ hardState: { term: 5, vote: undefined, commit: 0 } });
    const effects = turn(core, from(2n, "vote", { term: 5, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(effects.append?.hardState).toEqual({ term: 5, vote: 2n, commit: 0 });
  });

  it("the own vote counts when it is durable, and a request for votes leaves no sooner", () => {
    const core = threeMembers({}, withoutPreVote);
    const vote = turn(core, { kind: "campaign" });
    expect(vote.send).toEqual([]);
    expect(vote.append?.sendAfter.map(({ kind }) => kind)).toEqual(["vote", "vote"]);
    core.step(from(2n, "voteReply", { term: 1, granted: true }));
    expect(core.role).toBe("candidate");
    core.step(durable(vote));
    expect(core.role).toBe("leader");
  });

  it("a promise of an older term is not kept for later", () => {
    const core = threeMembers();
    // The first write is under way, so the answer to the heartbeat's term waits for the next.
    turn(core, from(2n, "vote", { term: 1, lastIndex: 0, lastTerm: 0, forced: false }));
    core.step(from(2n, "append", { term: 1, previousIndex: 0, previousTerm: 0, entries: terms(1), commit: 0 }));
    expect(core.take()?.append).toBeUndefined();
    core.step(from(3n, "append", { term: 2, previousIndex: 0, previousTerm: 0, entries: terms(2), commit: 0 }));
    const second = turn(core, { kind: "durable", appendId: 1 });
    expect(second.append).toMatchObject({
      entries: [{ term: 2 }],
      sendAfter: [{ kind: "appendReply", to: 3n, term: 2 }],
    });
  });

  it("a restarted member knows its term and vote", () => {
    const core = threeMembers({ hardState: { term: 5, vote: 3n, commit: 0 } });
    const effects = turn(core, from(2n, "vote", { term: 5, lastIndex: 9, lastTerm: 5, forced: false }));
    expect(effects.send).toMatchObject([{ kind: "voteReply", term: 5, granted: false }]);
  });
});

describe("thesis 9.6, pre-vote", () => {
  it("asks for the next term without entering it, and writes nothing", () => {
    const core = threeMembers({ hardState: { term: 4, vote: undefined, commit: 0 } });
    const effects = turn(core, { kind: "campaign" });
    expect(core).toMatchObject({ role: "preCandidate", term: 4 });
    expect(effects.append).toBeUndefined();
    expect(effects.send).toMatchObject([
      { kind: "preVote", to: 2n, term: 5 },
      { kind: "preVote", to: 3n, term: 5 },
    ]);
  });

  it("a grant changes neither term nor vote of the voter, and names the term that was asked for", () => {
    const core = threeMembers({ hardState: { term: 4, vote: 3n, commit: 0 } });
    const effects = turn(core, from(2n, "preVote", { term: 7, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(effects).toMatchObject({ append: undefined, role: undefined });
    expect(effects.send).toMatchObject([{ kind: "preVoteReply", term: 7, granted: true }]);
    expect(core.term).toBe(4);
  });

  it("several members may be encouraged at once", () => {
    const core = threeMembers();
    core.step(from(2n, "preVote", { term: 1, lastIndex: 0, lastTerm: 0, forced: false }));
    const effects = turn(core, from(3n, "preVote", { term: 1, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(effects.send.map((message) => "granted" in message && message.granted)).toEqual([true, true]);
  });

  it("a refusal names the voter's term, so that a member that is behind learns it", () => {
    const core = threeMembers({ hardState: { term: 4, vote: undefined, commit: 0 }, entries: terms(4) });
    const late = turn(core, from(2n, "preVote", { term: 3, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(late.send).toMatchObject([{ kind: "preVoteReply", term: 4, granted: false }]);

    const behind = threeMembers({ hardState: { term: 2, vote: undefined, commit: 0 } });
    behind.step({ kind: "campaign" });
    behind.step(from(2n, "preVoteReply", { term: 4, granted: false }));
    expect(behind).toMatchObject({ role: "follower", term: 4 });
  });

  it("with a majority the candidate stands for real", () => {
    const core = threeMembers();
    core.step({ kind: "campaign" });
    core.step(from(2n, "preVoteReply", { term: 1, granted: true }));
    expect(core).toMatchObject({ role: "candidate", term: 1 });
  });

  it("a late grant for another term counts for nothing", () => {
    const core = threeMembers({ hardState: { term: 4, vote: undefined, commit: 0 } });
    core.step({ kind: "campaign" });
    core.step(from(2n, "preVoteReply", { term: 4, granted: true }));
    core.step(from(3n, "preVoteReply", { term: 6, granted: true }));
    expect(core).toMatchObject({ role: "preCandidate", term: 4 });
  });
});

describe("thesis 4.2.3 and 6.2, a leader that is heard is not deposed, one that is not heard steps down", () => {
  const heard = from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 });

  it("a follower that hears a leader ignores votes and pre-votes, and does not adopt their term", () => {
    const core = threeMembers();
    turn(core, heard);
    core.step(from(3n, "vote", { term: 9, lastIndex: 9, lastTerm: 8, forced: false }));
    core.step(from(3n, "preVote", { term: 9, lastIndex: 9, lastTerm: 8, forced: false }));
    expect(core).toMatchObject({ term: 1, leader: 2n });
    expect(core.take()?.send ?? []).toEqual([]);
  });

  it("it does so for one election timeout only", () => {
    const core = threeMembers({ seed: 3 });
    core.step(heard);
    ticks(core, 9);
    core.step(from(3n, "vote", { term: 9, lastIndex: 9, lastTerm: 8, forced: false }));
    expect(core.term).toBe(1);
    ticks(core, 1);
    core.step(from(3n, "vote", { term: 9, lastIndex: 9, lastTerm: 8, forced: false }));
    expect(core.term).toBe(9);
  });

  it("a leader ignores them as well", () => {
    const core = leading(threeMembers());
    core.step(from(3n, "vote", { term: 9, lastIndex: 9, lastTerm: 8, forced: false }));
    expect(core).toMatchObject({ role: "leader", term: 1 });
  });

  it("a member in a later term answers a leader of an older one, which then steps down", () => {
    const ahead = threeMembers({ hardState: { term: 3, vote: 1n, commit: 0 } });
    const effects = turn(ahead, from(2n, "heartbeat", { term: 2, commit: 0, readRound: 0 }));
    expect(effects.send).toMatchObject([{ kind: "appendReply", to: 2n, term: 3 }]);

    const leader = leading(threeMembers());
    leader.step(from(3n, "appendReply", { term: 3, rejected: false, index: 0, hintIndex: 0, hintTerm: 0 }));
    expect(leader).toMatchObject({ role: "follower", term: 3, leader: undefined });
  });

  it("a leader that no majority answered for an election timeout steps down", () => {
    const core = leading(threeMembers());
    ticks(core, 10);
    expect(core.role).toBe("leader");
    ticks(core, 10);
    expect(core).toMatchObject({ role: "follower", term: 1, leader: undefined });
  });

  it("one answer in each election timeout keeps a leader of three in office", () => {
    const core = leading(threeMembers());
    for (let round = 0; round < 10; round += 1) {
      core.step(from(3n, "heartbeatReply", { term: 1, readRound: 0 }));
      ticks(core, 10);
    }
    expect(core.role).toBe("leader");
  });

  it("a learner's answer does not", () => {
    const membership = { voters: [1n, 2n], learners: [3n] };
    const core = leading(new RaftCore(config(1n), restored([], { membership })));
    ticks(core, 10);
    core.step(from(3n, "heartbeatReply", { term: 1, readRound: 0 }));
    ticks(core, 10);
    expect(core.role).toBe("follower");
  });
});

describe("thesis 4.2.1, learners", () => {
  const membership = { voters: [2n, 3n], learners: [1n] };
  const learner = (): RaftCore => new RaftCore(config(1n), restored([], { membership }));

  it("never stand", () => {
    const core = learner();
    ticks(core, 100);
    core.step({ kind: "campaign" });
    expect(core).toMatchObject({ role: "follower", term: 0 });
  });

  it("vote when they are asked, because they may not know yet that they were promoted", () => {
    const effects = turn(learner(), from(2n, "vote", { term: 1, lastIndex: 0, lastTerm: 0, forced: false }));
    expect(messages(effects)).toMatchObject([{ kind: "voteReply", granted: true }]);
  });
});

describe("notes 1.5, the leader's process is gone", () => {
  it("a follower that is told so forgets its leader and grants pre-votes at once", () => {
    const core = threeMembers({ hardState: { term: 1, vote: 2n, commit: 0 } });
    turn(core, from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 }));
    const hint = turn(
      core,
      { kind: "leaderUnreachable" },
      from(3n, "preVote", { term: 2, lastIndex: 0, lastTerm: 0, forced: false }),
    );
    expect(hint.role).toEqual({ role: "follower", term: 1, leader: undefined });
    expect(hint.send).toMatchObject([{ kind: "preVoteReply", granted: true }]);
  });

  it("a leader does not care", () => {
    const core = leading(threeMembers());
    core.step({ kind: "leaderUnreachable" });
    expect(core.role).toBe("leader");
  });
});

describe("notes 1.17, messages", () => {
  it("for somebody else are dropped", () => {
    const core = threeMembers();
    core.step(from(2n, "heartbeat", { to: 3n, term: 4, commit: 0, readRound: 0 }));
    expect(core.term).toBe(0);
  });
});

describe("the core's generator", () => {
  it("repeats from its seed and differs between seeds", () => {
    expect(draws(7)).toEqual(draws(7));
    expect(new Set([1, 2, 3, 2 ** 40, 2 ** 40 + 1].map((seed) => draws(seed).join())).size).toBe(5);
  });

  it("spreads its draws evenly", () => {
    const prng = new Prng(1);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let left = 100_000; left > 0; left -= 1) {
      const draw = prng.below(10);
      counts[draw] = (counts[draw] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(9000);
    expect(Math.max(...counts)).toBeLessThan(11_000);
  });
});
