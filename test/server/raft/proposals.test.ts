/** Proposals under pressure and by way of a follower: notes 1.7 and 1.11. */
import { describe, expect, it } from "vitest";
import type { RaftCore } from "../../../src/server/raft/core.js";
import type { RaftEvent } from "../../../src/server/raft/types.js";
import { aloneAndLeading, bytes, durable, from, leading, threeMembers, turn } from "./support.js";

const propose = (requestId: number, value: string): RaftEvent => ({ kind: "propose", requestId, data: bytes(value) });
const forward = (sequence: number, boot = 1): RaftEvent =>
  from(3n, "proposeForward", { term: 1, boot, sequence, requestId: 7, data: bytes("a") });
const heard = from(2n, "heartbeat", { term: 1, commit: 0, readRound: 0 });

/** Commits what is written, but does not apply it. */
function commitAll(core: RaftCore): void {
  for (let effects = core.take(); effects?.append !== undefined; effects = core.take()) core.step(durable(effects));
}

describe("a leader under pressure", () => {
  it("refuses what would pass the limit of uncommitted bytes, and takes it when the others are committed", () => {
    const core = leading(threeMembers({}, { limits: { uncommittedBytesMax: 10 } }));
    const effects = turn(core, propose(1, "123456"), propose(2, "12345"), propose(3, "1234"));
    expect(effects.rejected).toEqual([{ requestId: 2, reason: "tooManyUncommitted" }]);
    expect(core.lastIndex).toBe(3);
    core.step(durable(effects));
    core.step(from(2n, "appendReply", { term: 1, rejected: false, index: 3, hintIndex: 0, hintTerm: 0 }));
    expect(turn(core, propose(4, "12345")).rejected).toEqual([]);
  });

  it("takes one proposal of any size when nothing is uncommitted", () => {
    const core = leading(threeMembers({}, { limits: { uncommittedBytesMax: 10 } }));
    expect(turn(core, propose(1, "far above the limit")).rejected).toEqual([]);
  });

  it("refuses while the state machine is too many entries behind", () => {
    const core = aloneAndLeading({ limits: { appliedLagEntriesMax: 2 } });
    for (const requestId of [1, 2, 3]) {
      core.step(propose(requestId, "a"));
      commitAll(core);
    }
    expect(core.commitIndex - core.appliedIndex).toBe(3);
    expect(turn(core, propose(4, "a")).rejected).toEqual([{ requestId: 4, reason: "tooManyUnapplied" }]);
    core.step({ kind: "applied", index: 2 });
    expect(turn(core, propose(5, "a")).rejected).toEqual([]);
  });

  it("refuses while the state machine is too many bytes behind", () => {
    const core = aloneAndLeading({ limits: { appliedLagBytesMax: 10 } });
    core.step(propose(1, "123456789ab"));
    commitAll(core);
    expect(turn(core, propose(2, "a")).rejected).toEqual([{ requestId: 2, reason: "tooManyUnapplied" }]);
  });
});

describe("a member that does not lead", () => {
  it("refuses without a leader", () => {
    expect(turn(threeMembers(), propose(1, "a")).rejected).toEqual([{ requestId: 1, reason: "noLeader" }]);
  });

  it("passes a proposal on to its leader, and a refusal back", () => {
    const core = threeMembers({ bootCount: 2 });
    turn(core, heard);
    expect(turn(core, propose(7, "a")).send).toMatchObject([
      { kind: "proposeForward", to: 2n, boot: 2, sequence: 1, requestId: 7, data: bytes("a") },
    ]);
    const refusal = { term: 1, requestId: 7, reason: "tooManyUnapplied" } as const;
    core.step(from(2n, "proposeRejected", { ...refusal, boot: 1 }));
    expect(core.take()?.rejected ?? []).toEqual([]);
    expect(turn(core, from(2n, "proposeRejected", { ...refusal, boot: 2 })).rejected).toEqual([
      { requestId: 7, reason: "tooManyUnapplied" },
    ]);
  });

  it("stays silent when somebody takes it for the leader", () => {
    const core = threeMembers();
    core.step(heard);
    core.take();
    core.step(from(3n, "proposeForward", { term: 1, boot: 1, sequence: 1, requestId: 1, data: bytes("a") }));
    expect(core.take()).toBeUndefined();
    expect(core.lastIndex).toBe(0);
  });
});

describe("a leader that gets a follower's proposal", () => {
  it("appends it once, however often the message comes", () => {
    const core = leading(threeMembers());
    for (const event of [forward(1), forward(1), forward(2), forward(1)]) core.step(event);
    expect(core.lastIndex).toBe(3);
  });

  it("takes a new life of the follower for a new beginning", () => {
    const core = leading(threeMembers());
    for (const event of [forward(5), forward(1, 2), forward(6)]) core.step(event);
    expect(core.lastIndex).toBe(3);
  });

  it("says so when it refuses", () => {
    const core = leading(threeMembers({}, { limits: { uncommittedBytesMax: 1 } }));
    const effects = turn(core, propose(1, "x"), forward(1));
    expect(effects.send).toContainEqual({
      kind: "proposeRejected",
      from: 1n,
      to: 3n,
      term: 1,
      boot: 1,
      requestId: 7,
      reason: "tooManyUncommitted",
    });
  });
});
