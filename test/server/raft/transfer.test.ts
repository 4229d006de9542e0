/** Leadership handed over on purpose, one rule at a time: thesis 3.10, notes 1.16. */
import { describe, expect, it } from "vitest";
import { RaftCore } from "../../../src/server/raft/core.js";
import type { Message, RaftEvent } from "../../../src/server/raft/types.js";
import {
  accepted,
  bytes,
  config,
  durable,
  echo,
  from,
  leading,
  messages,
  proposeChange,
  restored,
  threeMembers,
  ticks,
  turn,
} from "./support.js";

const transfer = (to: bigint): RaftEvent => ({ kind: "transfer", to });
const propose: RaftEvent = { kind: "propose", requestId: 7, data: bytes("a") };

function orders(core: RaftCore): readonly Message[] {
  return (core.take()?.send ?? []).filter(({ kind }) => kind === "timeoutNow");
}

describe("a leader that hands over", () => {
  it("tells a voter that has the whole log to campaign at once", () => {
    const core = leading(threeMembers());
    core.step(transfer(2n));
    expect(core).toMatchObject({ transferring: true, transferTarget: 2n, role: "leader" });
    expect(orders(core)).toEqual([{ kind: "timeoutNow", from: 1n, to: 2n, term: 1 }]);
    expect(orders(core)).toEqual([]);
  });

  it("brings the target up to date first", () => {
    const core = leading(threeMembers());
    turn(core, propose);
    core.step(transfer(2n));
    expect(orders(core)).toEqual([]);
    core.step(accepted(2n, 1, 2));
    expect(orders(core)).toHaveLength(1);
  });

  it("appends nothing meanwhile, for nobody", () => {
    const core = leading(threeMembers());
    core.step(transfer(3n));
    const refused = turn(core, propose, proposeChange("remove", 2n, 8));
    expect(refused.rejected).toEqual([
      { requestId: 7, reason: "transferring" },
      { requestId: 8, reason: "transferring" },
    ]);
    const forward = { term: 1, boot: 1, sequence: 1, requestId: 9, data: bytes("a") };
    expect(turn(core, from(2n, "proposeForward", forward)).send).toContainEqual(
      expect.objectContaining({ kind: "proposeRejected", to: 2n, requestId: 9, reason: "transferring" }),
    );
    expect(core.lastIndex).toBe(1);
  });

  it("still answers reads", () => {
    const core = leading(threeMembers());
    core.step(transfer(3n));
    turn(core, { kind: "read", requestId: 5 });
    expect(turn(core, echo(2n, 1, 1)).reads).toEqual([{ requestId: 5, index: 1 }]);
  });

  it("repeats the order with each heartbeat, since it may be lost", () => {
    const core = leading(threeMembers());
    core.step(transfer(2n));
    orders(core);
    core.step({ kind: "tick" });
    expect(orders(core)).toHaveLength(1);
  });

  it("gives up after an election timeout and goes on", () => {
    const core = leading(threeMembers());
    core.step(transfer(3n));
    ticks(core, 9);
    expect(core.transferring).toBe(true);
    core.step(echo(2n, 1));
    ticks(core, 1);
    expect(core).toMatchObject({ transferring: false, role: "leader" });
    expect(turn(core, propose).rejected).toEqual([]);
  });

  it("takes a new target instead of the old one, and the same target for nothing new", () => {
    const core = leading(threeMembers());
    core.step(transfer(3n));
    ticks(core, 8);
    core.step(transfer(3n));
    core.step(transfer(2n));
    expect(core.transferTarget).toBe(2n);
    core.step(echo(2n, 1));
    ticks(core, 9);
    expect(core.transferring).toBe(true);
  });

  it("stops when the target is removed", () => {
    const core = leading(threeMembers());
    core.step(durable(turn(core, proposeChange("remove", 3n))));
    core.step(transfer(3n));
    core.step(accepted(2n, 1, 2));
    expect(core.transferring).toBe(false);
  });

  it("ends it with its leadership", () => {
    const core = leading(threeMembers());
    core.step(transfer(3n));
    core.step(from(3n, "vote", { term: 2, lastIndex: 9, lastTerm: 1, forced: true }));
    expect(core).toMatchObject({ transferring: false, role: "follower", term: 2 });
  });

  it.each([1n, 4n, 9n])("does not hand over to %s: itself, a learner, a stranger", (to) => {
    const membership = { voters: [1n, 2n, 3n], learners: [4n] };
    const core = leading(new RaftCore(config(1n), restored([], { membership })));
    core.step(transfer(to));
    expect(core.transferring).toBe(false);
  });

  it("is the only one who can", () => {
    const core = threeMembers();
    core.step(transfer(2n));
    expect(core.transferring).toBe(false);
  });

  it("knows who would be best: of those who are heard, the one with the longest log", () => {
    const core = leading(threeMembers());
    expect(core.heir).toBe(2n);
    turn(core, propose);
    core.step(accepted(3n, 1, 2));
    expect(core.heir).toBe(3n);
    core.step(echo(2n, 1));
    ticks(core, 10);
    core.step(echo(2n, 1));
    expect(core.heir).toBe(2n);
    expect(threeMembers().heir).toBeUndefined();
  });
});

describe("a member that is told to campaign", () => {
  const order = from(2n, "timeoutNow", { term: 1 });
  const heard = from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 });

  it("does so in the next term, without a pre-vote, and its requests are forced", () => {
    const core = threeMembers();
    core.step(durable(turn(core, heard)));
    const effects = turn(core, order);
    expect(effects.role).toEqual({ role: "candidate", term: 2, leader: undefined });
    expect(messages(effects)).toMatchObject([
      { kind: "vote", to: 2n, term: 2, forced: true },
      { kind: "vote", to: 3n, term: 2, forced: true },
    ]);
  });

  it("obeys its leader only, in the leader's term", () => {
    const core = threeMembers();
    core.step(heard);
    core.step(from(3n, "timeoutNow", { term: 1 }));
    core.step(from(2n, "timeoutNow", { term: 0 }));
    expect(core).toMatchObject({ role: "follower", leader: 2n, term: 1 });
    core.step(from(2n, "timeoutNow", { term: 5 }));
    expect(core).toMatchObject({ role: "follower", leader: undefined, term: 5 });
  });

  it("does not obey as a learner", () => {
    const core = new RaftCore(config(1n), restored([], { membership: { voters: [2n, 3n], learners: [1n] } }));
    core.step(heard);
    core.step(order);
    expect(core).toMatchObject({ role: "follower", term: 1 });
  });

  it("obeys once, however often the order comes", () => {
    const core = threeMembers();
    core.step(heard);
    core.step(order);
    core.step(order);
    expect(core.term).toBe(2);
  });
});

describe("thesis 4.2.3, a forced request", () => {
  it("is heard by members that have a leader", () => {
    const core = threeMembers();
    core.step(durable(turn(core, from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 }))));
    const request = { term: 2, lastIndex: 0, lastTerm: 0 };
    core.step(from(3n, "vote", { ...request, forced: false }));
    expect(core.term).toBe(1);
    const effects = turn(core, from(3n, "vote", { ...request, forced: true }));
    expect(messages(effects)).toMatchObject([{ kind: "voteReply", to: 3n, term: 2, granted: true }]);
  });

  it("needs an up-to-date log like any other", () => {
    const core = leading(threeMembers());
    const effects = turn(core, from(3n, "vote", { term: 2, lastIndex: 0, lastTerm: 0, forced: true }));
    expect(messages(effects)).toMatchObject([{ kind: "voteReply", term: 2, granted: false }]);
  });
});
