/** Waiting calls: answered once, by result, by failure or by the one deadline they share; kept while nobody leads. */
import { describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { Proposals, type Submission } from "../../../src/server/replica/proposals.js";
import type { Applied, CommandResult } from "../../../src/server/state/types.js";

const timeoutMs = 7000;
const healthy = { electionTimeoutMs: 1000, leaderElectedMs: undefined, connectionLost: () => false };

function applied(result: CommandResult): Applied {
  return { index: 9, term: 2, request: undefined, result, changes: undefined, leases: [] };
}

function world(heldBytesMax = 1000) {
  const given: number[] = [];
  const core = { term: 2 };
  const give = (requestId: number): void => void given.push(requestId);
  const proposals = new Proposals({ timeoutMs, heldBytesMax, term: () => core.term, give });
  const submit = (more: Partial<Submission> = {}, leaderKnown = true) => {
    const sequence = proposals.nextSequence();
    const submission = {
      data: new Uint8Array(100),
      startedMs: 0,
      signal: undefined,
      where: "anywhere",
      ...more,
    } as const;
    return { sequence, answer: proposals.submit(sequence, submission, leaderKnown) };
  };
  return { proposals, given, submit, core };
}

describe("proposals", () => {
  it("resolve with the response and revision of their own entry", async () => {
    const { proposals, submit } = world();
    const [first, second] = [submit(), submit()];
    const previous = undefined;
    proposals.settle(second.sequence, applied({ kind: "ok", revision: 3, response: { kind: "put", previous } }));
    proposals.settle(first.sequence, applied({ kind: "ok", revision: 2, response: { kind: "compact" } }));
    expect(await Promise.all([first.answer, second.answer])).toEqual([
      { revision: 2, response: { kind: "compact" } },
      { revision: 3, response: { kind: "put", previous } },
    ]);
    expect(proposals.pendingCount).toBe(0);
  });

  it("reject with the status that applying gave", async () => {
    const { proposals, submit } = world();
    const { sequence, answer } = submit();
    proposals.settle(sequence, applied({ kind: "failed", revision: 2, status: status.LeaseNotFound }));
    await expect(answer).rejects.toMatchObject(status.LeaseNotFound);
  });

  it("time out in the order they started, not a millisecond early", async () => {
    const { proposals, submit } = world();
    const first = submit({ startedMs: 100 });
    const second = submit({ startedMs: 101 });
    proposals.expire({ nowMs: 7100, ...healthy });
    await expect(first.answer).rejects.toMatchObject(status.Timeout);
    expect(proposals.pendingCount).toBe(1);
    proposals.fail(second.sequence, status.Stopped);
    await expect(second.answer).rejects.toMatchObject(status.Stopped);
  });

  it("end as canceled when their caller goes away", async () => {
    const { proposals, submit } = world();
    const controller = new AbortController();
    const { answer } = submit({ signal: controller.signal });
    controller.abort();
    proposals.expire({ nowMs: 1, ...healthy });
    await expect(answer).rejects.toMatchObject(status.Canceled);
  });

  it("say so when they never left this member", async () => {
    const { proposals, submit, given } = world();
    const { answer } = submit({}, false);
    proposals.expire({ nowMs: 7000, ...healthy });
    await expect(answer).rejects.toMatchObject(status.ContextDeadlineExceeded);
    expect(given).toEqual([]);
  });

  it.each([
    ["started two election timeouts before the new leader", 8001, status.TimeoutDueToLeaderFail],
    ["started longer before", 7999, status.Timeout],
    ["started under the present leader", 10_000, status.Timeout],
  ])("name the leader's failure only when they %s", async (_when, startedMs, expected) => {
    const { proposals, submit } = world();
    const { answer } = submit({ startedMs });
    proposals.expire({ ...healthy, nowMs: 20_000, leaderElectedMs: 10_000 });
    await expect(answer).rejects.toMatchObject(expected);
  });

  it("name a connection that was lost since they started", async () => {
    const { proposals, submit } = world();
    const early = submit({ startedMs: 100 });
    const late = submit({ startedMs: 200 });
    proposals.expire({ ...healthy, nowMs: 8000, connectionLost: (startedMs) => startedMs < 150 });
    await expect(early.answer).rejects.toMatchObject(status.TimeoutDueToConnectionLost);
    await expect(late.answer).rejects.toMatchObject(status.Timeout);
  });
});

describe("proposals that were not appended", () => {
  it("are handed over again under a new number when a leader is known", () => {
    const { proposals, submit, given } = world();
    void submit();
    void submit();
    expect(proposals.notAppended(2)).toBe(true);
    proposals.giveHeld();
    expect(given).toEqual([1, 2, 3]);
    proposals.giveHeld();
    expect(given).toEqual([1, 2, 3]);
  });

  it("are not handed over again because an old refusal comes twice", () => {
    const { proposals, submit, given } = world();
    void submit();
    proposals.notAppended(1);
    proposals.giveHeld();
    // The second copy of the first refusal: attempt 2 may have been appended by now.
    expect(proposals.notAppended(1)).toBe(true);
    proposals.giveHeld();
    expect(given).toEqual([1, 2]);
  });

  it("are answered by the entry whichever attempt brought it", async () => {
    const { proposals, submit } = world();
    const { sequence, answer } = submit();
    proposals.notAppended(sequence);
    proposals.giveHeld();
    proposals.settle(sequence, applied({ kind: "ok", revision: 2, response: { kind: "compact" } }));
    expect((await answer).revision).toBe(2);
    expect(proposals.notAppended(2)).toBe(false);
  });

  it("are refused beyond the bytes that may wait", async () => {
    const { submit, proposals } = world(250);
    void submit({}, false);
    void submit({}, false);
    await expect(submit({}, false).answer).rejects.toMatchObject(status.TooManyRequests);
    proposals.giveHeld();
    void submit({}, false);
    expect(proposals.pendingCount).toBe(3);
  });

  it("are dropped when they rest on being the leader", async () => {
    const { proposals, submit } = world();
    const { sequence, answer } = submit({ where: "here" });
    proposals.notAppended(sequence);
    await expect(answer).rejects.toMatchObject(status.RaftProposalDropped);
  });

  it("leave a number that is no proposal's to whoever it belongs to", () => {
    const { proposals } = world();
    expect(proposals.notAppended(proposals.nextSequence())).toBe(false);
  });
});

describe("a leader that is gone", () => {
  it("leaves commands that are known to be lost once a later term has begun, and these are handed over again", async () => {
    const { proposals, given, submit, core } = world();
    const [applies, lost] = [submit(), submit()];
    proposals.settle(applies.sequence, applied({ kind: "ok", revision: 2, response: { kind: "compact" } }));
    core.term = 3;
    const later = submit();
    proposals.termBegan(3);
    proposals.giveHeld();
    expect(given).toEqual([applies.sequence, lost.sequence, later.sequence, 4]);
    proposals.settle(lost.sequence, applied({ kind: "ok", revision: 3, response: { kind: "compact" } }));
    expect(await lost.answer).toMatchObject({ revision: 3 });
    // Lost once more, by the leader of the third term.
    core.term = 4;
    proposals.termBegan(4);
    proposals.giveHeld();
    expect(given).toHaveLength(5);
    proposals.fail(later.sequence, status.Stopped);
    await expect(later.answer).rejects.toMatchObject(status.Stopped);
    expect(proposals.pendingCount).toBe(0);
  });

  it("leaves those in doubt that a snapshot may hold: they wait for their deadline", async () => {
    const { proposals, given, submit, core } = world();
    const doubtful = submit();
    const held = submit({}, false);
    proposals.stateReplaced();
    core.term = 3;
    proposals.termBegan(3);
    proposals.giveHeld();
    expect(given).toEqual([doubtful.sequence, 3]);
    proposals.expire({ nowMs: timeoutMs, ...healthy });
    await expect(doubtful.answer).rejects.toMatchObject(status.Timeout);
    await expect(held.answer).rejects.toMatchObject(status.Timeout);
  });

  it("fails what only it could append", async () => {
    const { proposals, submit } = world();
    const { answer } = submit({ where: "here" });
    proposals.termBegan(3);
    await expect(answer).rejects.toMatchObject(status.RaftProposalDropped);
  });
});
