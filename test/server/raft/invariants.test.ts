/** A broken invariant stops the member and hands out the last events: notes 1.18. */
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/server/invariant.js";
import { RaftCore } from "../../../src/server/raft/core.js";
import { checkPeers, StepCheck } from "../../../src/server/raft/invariants.js";
import { RaftState } from "../../../src/server/raft/state.js";
import type { Membership, RestoredState } from "../../../src/server/raft/types.js";
import { bytes, config, from, leading, proposeChange, restored, terms, threeMembers, ticks } from "./support.js";

function caught(work: () => unknown): InvariantError {
  try {
    work();
  } catch (error) {
    if (error instanceof InvariantError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("the dump", () => {
  it("holds the last events, oldest first, and the message holds only the numbers", () => {
    const core = leading(threeMembers());
    core.step({ kind: "propose", requestId: 3, data: bytes("secret") });
    const error = caught(() =>
      core.step(from(2n, "append", { term: 1, previousIndex: 0, previousTerm: 0, entries: [], commit: 0 })),
    );
    expect(error.message).toBe('two leaders in one term {"term":1,"leader":"2"}');
    const events = error.details["events"] as readonly string[];
    expect(events.slice(-2)).toEqual([
      expect.stringMatching(/^\d+ propose index=3 size=6$/),
      expect.stringMatching(/^\d+ append from=2 term=1 index=0 size=0$/),
    ]);
    expect(events[0]).toBe("0 campaign index=0 size=0");
    expect(error.details).toHaveProperty("prng");
    expect(JSON.stringify(events)).not.toContain("secret");
  });

  it("holds a thousand events and no more", () => {
    const core = new RaftCore(config(1n), restored([2n]));
    ticks(core, 2500);
    core.step({ kind: "read", requestId: 77 });
    const events = caught(() => core.step({ kind: "durable", appendId: 9 })).details["events"] as readonly string[];
    expect(events).toHaveLength(1000);
    expect(events[0]).toMatch(/^1502 tick/);
    expect(events.slice(-2)).toEqual(["2500 read index=77 size=0", "2501 durable index=9 size=0"]);
  });

  it("is made when a turn ends badly, too", () => {
    const core = new RaftCore(config(1n), restored([1n]));
    core.step({ kind: "campaign" });
    core.take();
    expect(caught(() => core.step({ kind: "applied", index: 4 })).details).toHaveProperty("events");
  });

  it.each([
    from(2n, "heartbeatReply", { term: 0, readRound: 4 }),
    from(2n, "voteReply", { term: 0, granted: true }),
    from(2n, "appendReply", { term: 0, rejected: true, index: 4, hintIndex: 0, hintTerm: 0 }),
    from(2n, "readReply", { term: 0, boot: 0, requestId: 4, index: 1 }),
    { kind: "peerUnreachable", peer: 2n } as const,
    { kind: "leaderUnreachable" } as const,
    { kind: "compact", index: 0 } as const,
    { kind: "transfer", to: 2n } as const,
    { kind: "snapshotSent", peer: 2n, ok: false } as const,
    proposeChange("remove", 2n),
    from(2n, "timeoutNow", { term: 0 }),
    {
      kind: "snapshotReceived",
      from: 2n,
      term: 0,
      snapshot: { index: 0, term: 0, membership: { voters: [], learners: [] }, file: "state" },
    } as const,
  ])("has a line for every kind of event: %s", (event) => {
    const core = threeMembers();
    core.step(event);
    const events = caught(() => core.step({ kind: "durable", appendId: 9 })).details["events"] as readonly string[];
    expect(events[0]).toMatch(/^0 \w+/);
    expect(events).toHaveLength(2);
  });
});

function lead(state: RaftState, membership: Membership): void {
  Object.assign(state, { role: "leader", leader: 1n, vote: 1n, membership });
}

describe("after every step", () => {
  const voters = [1n, 2n, 3n];
  const spoil: readonly (readonly [string, (state: RaftState) => void])[] = [
    ["a term that goes back", (state) => void (state.term = 1)],
    ["a log of a later term", (state) => state.log.append({ index: 3, term: 9, kind: "noop", data: bytes("") })],
    ["a leader that does not follow itself", (state) => void (state.role = "leader")],
    ["a leader that was not removed and is no voter", (state) => lead(state, { voters: [2n], learners: [] })],
    ["a follower that leads", (state) => void (state.leader = 1n)],
    ["a candidate with a leader", (state) => Object.assign(state, { role: "preCandidate", leader: 2n })],
    ["a candidate that voted for another", (state) => Object.assign(state, { role: "candidate", vote: 2n })],
  ];
  it.each(spoil)("%s stops the member", (_name, change) => {
    const hardState = { term: 2, vote: undefined, commit: 1 };
    const state = new RaftState(config(1n), restored(voters, { hardState, entries: terms(1, 2) }));
    const check = new StepCheck(state);
    check.check(state);
    change(state);
    expect(() => check.check(state)).toThrow("impossible state");
  });

  it("a peer that is ahead of what it was sent stops the leader", () => {
    const state = new RaftState(config(1n), restored(voters));
    state.resetPeers();
    checkPeers(state);
    const peer = state.peers.get(2n);
    if (peer !== undefined) peer.match = 5;
    expect(() => checkPeers(state)).toThrow("a peer's progress is out of order");
  });

  it("an acknowledgement of what was never sent stops the leader", () => {
    const core = leading(threeMembers());
    const reply = { term: 1, rejected: false, index: 9, hintIndex: 0, hintTerm: 0 };
    expect(() => core.step(from(2n, "appendReply", reply))).toThrow("never sent");
  });
});

describe("at boot", () => {
  it.each<[string, Partial<RestoredState>, string]>([
    ["a log of a later term than the hard state", { entries: terms(1) }, "later term"],
    ["a voter that is a learner too", { membership: { voters: [1n], learners: [1n] } }, "a learner too"],
    ["a state that is ahead of the log", { applied: 1 }, "more is applied"],
  ])("%s stops the member", (_name, changes, message) => {
    expect(() => new RaftCore(config(1n), restored([1n], changes))).toThrow(message);
  });

  it("heartbeats rarer than the election timeout stop the member", () => {
    const slow = config(1n, { electionTicks: 3, heartbeatTicks: 3 });
    expect(() => new RaftCore(slow, restored([1n]))).toThrow("heartbeats are too rare");
  });
});
