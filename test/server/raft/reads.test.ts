/** Linearizable reads: thesis 6.4 and notes 1.6, 1.7. */
import { describe, expect, it } from "vitest";
import { accepted, durable, elected, from, leading, threeMembers, ticks, turn } from "./support.js";

const read = (requestId: number): { readonly kind: "read"; readonly requestId: number } => ({
  kind: "read",
  requestId,
});
const echo = (sender: bigint, readRound: number): ReturnType<typeof from> =>
  from(sender, "heartbeatReply", { term: 1, readRound });
const heard = from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 });

describe("a leader", () => {
  it("asks all peers once for all reads of a turn, and answers when a majority has answered", () => {
    const core = leading(threeMembers());
    const asked = turn(core, read(1), read(2));
    expect(asked.reads).toEqual([]);
    expect(asked.send).toMatchObject([
      { kind: "heartbeat", to: 2n, readRound: 1 },
      { kind: "heartbeat", to: 3n, readRound: 1 },
    ]);
    expect(turn(core, echo(3n, 1)).reads).toEqual([
      { requestId: 1, index: 1 },
      { requestId: 2, index: 1 },
    ]);
    core.step(echo(2n, 1));
    expect(core.take()?.reads ?? []).toEqual([]);
  });

  it("lets a read that comes after the question wait for the next round", () => {
    const core = leading(threeMembers());
    turn(core, read(1));
    core.step(read(2));
    expect(core.take()).toBeUndefined();
    const next = turn(core, echo(2n, 1));
    expect(next.reads).toEqual([{ requestId: 1, index: 1 }]);
    expect(next.send).toMatchObject([{ readRound: 2 }, { readRound: 2 }]);
    expect(turn(core, echo(2n, 2)).reads).toEqual([{ requestId: 2, index: 1 }]);
  });

  it("takes the echo of an older round for nothing", () => {
    const core = leading(threeMembers());
    turn(core, read(1));
    turn(core, echo(2n, 1), read(2));
    core.step(echo(3n, 1));
    expect(core.take()?.reads ?? []).toEqual([]);
  });

  it("asks again with the next heartbeat, since any question may be lost", () => {
    const core = leading(threeMembers());
    turn(core, read(1));
    expect(turn(core, { kind: "tick" }).send).toMatchObject([{ readRound: 1 }, { readRound: 1 }]);
  });

  it("answers nothing before an entry of its own term is committed", () => {
    const core = threeMembers();
    const noop = elected(core);
    core.step(read(1));
    core.step(echo(2n, 1));
    core.step(durable(noop));
    core.take();
    const committed = turn(core, accepted(2n, 1, 1));
    expect(committed.reads).toEqual([]);
    expect(committed.send).toContainEqual(expect.objectContaining({ kind: "heartbeat", readRound: 1 }));
    expect(turn(core, echo(2n, 1)).reads).toEqual([{ requestId: 1, index: 1 }]);
  });

  it("refuses all waiting reads when it steps down", () => {
    const core = leading(threeMembers());
    turn(core, read(1));
    core.step(read(2));
    const effects = turn(core, from(2n, "heartbeat", { term: 2, commit: 0, readRound: 0 }));
    expect(effects.rejected).toEqual([
      { requestId: 1, reason: "leaderChanged" },
      { requestId: 2, reason: "leaderChanged" },
    ]);
    core.step(echo(3n, 1));
    expect(core.take()?.reads ?? []).toEqual([]);
  });

  it("answers a follower's question like a read of its own", () => {
    const core = leading(threeMembers());
    turn(core, from(3n, "readForward", { term: 1, boot: 4, requestId: 9 }));
    const effects = turn(core, echo(2n, 1));
    expect(effects.reads).toEqual([]);
    expect(effects.send).toContainEqual({
      kind: "readReply",
      from: 1n,
      to: 3n,
      term: 1,
      boot: 4,
      requestId: 9,
      index: 1,
    });
  });
});

describe("a follower", () => {
  it("asks its leader once for all reads of a turn, under a new number each time", () => {
    const core = threeMembers({ bootCount: 4 });
    turn(core, heard);
    const first = turn(core, read(11), read(12));
    expect(first.send).toEqual([{ kind: "readForward", from: 1n, to: 2n, term: 1, boot: 4, requestId: 1 }]);
    expect(turn(core, read(13)).send).toMatchObject([{ kind: "readForward", requestId: 2 }]);
    expect(turn(core, from(2n, "readReply", { term: 1, boot: 4, requestId: 1, index: 7 })).reads).toEqual([
      { requestId: 11, index: 7 },
      { requestId: 12, index: 7 },
    ]);
  });

  it("drops answers to another life, from another member, and answers that come twice", () => {
    const core = threeMembers({ bootCount: 4 });
    turn(core, heard);
    turn(core, read(11));
    core.step(from(2n, "readReply", { term: 1, boot: 3, requestId: 1, index: 2 }));
    core.step(from(3n, "readReply", { term: 1, boot: 4, requestId: 1, index: 2 }));
    expect(core.take()?.reads ?? []).toEqual([]);
    const answer = from(2n, "readReply", { term: 1, boot: 4, requestId: 1, index: 7 });
    expect(turn(core, answer, answer).reads).toEqual([{ requestId: 11, index: 7 }]);
  });

  it("asks again under a new number after an election timeout without an answer", () => {
    const core = threeMembers();
    turn(core, heard);
    turn(core, read(11));
    ticks(core, 5);
    core.step(heard);
    core.take();
    ticks(core, 5);
    expect(core.take()?.send).toMatchObject([{ kind: "readForward", requestId: 2 }]);
    core.step(from(2n, "readReply", { term: 1, boot: 0, requestId: 1, index: 7 }));
    expect(core.take()?.reads ?? []).toEqual([]);
  });

  it("refuses waiting reads when the leader changes, and new ones while there is none", () => {
    const core = threeMembers();
    turn(core, heard);
    turn(core, read(11));
    const changed = turn(core, from(3n, "heartbeat", { term: 2, commit: 0, readRound: 0 }));
    expect(changed.rejected).toEqual([{ requestId: 11, reason: "leaderChanged" }]);
    core.step({ kind: "leaderUnreachable" });
    expect(turn(core, read(12)).rejected).toEqual([{ requestId: 12, reason: "noLeader" }]);
  });
});
