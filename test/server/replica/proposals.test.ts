/** Waiting calls: answered once, by result, by failure or by the one deadline they share. */
import { describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { Proposals } from "../../../src/server/replica/proposals.js";
import type { Applied, CommandResult } from "../../../src/server/state/types.js";

const timeoutMs = 7000;
const noLeader = { electionTimeoutMs: 1000, leaderSinceMs: undefined };

function applied(result: CommandResult): Applied {
  return { index: 9, term: 2, request: undefined, result, changes: undefined, leases: [] };
}

describe("proposals", () => {
  it("resolve with the response and revision of their own entry", async () => {
    const proposals = new Proposals({ timeoutMs });
    const first = proposals.nextSequence();
    const second = proposals.nextSequence();
    const answers = [proposals.wait(first, 0), proposals.wait(second, 0)];
    const previous = undefined;
    proposals.settle(second, applied({ kind: "ok", revision: 3, response: { kind: "put", previous } }));
    proposals.settle(first, applied({ kind: "ok", revision: 2, response: { kind: "compact" } }));
    expect(await Promise.all(answers)).toEqual([
      { revision: 2, response: { kind: "compact" } },
      { revision: 3, response: { kind: "put", previous } },
    ]);
    expect(proposals.pendingCount).toBe(0);
  });

  it("reject with the status that applying gave", async () => {
    const proposals = new Proposals({ timeoutMs });
    const sequence = proposals.nextSequence();
    const answer = proposals.wait(sequence, 0);
    proposals.settle(sequence, applied({ kind: "failed", revision: 2, status: status.LeaseNotFound }));
    await expect(answer).rejects.toMatchObject(status.LeaseNotFound);
  });

  it("time out in the order they started, not a millisecond early", async () => {
    const proposals = new Proposals({ timeoutMs });
    const first = proposals.wait(proposals.nextSequence(), 100);
    const later = proposals.nextSequence();
    const second = proposals.wait(later, 101);
    proposals.expire({ nowMs: 7100, ...noLeader }, new Set());
    await expect(first).rejects.toMatchObject(status.Timeout);
    expect(proposals.isWaiting(later)).toBe(true);
    proposals.fail(later, status.Stopped);
    await expect(second).rejects.toMatchObject(status.Stopped);
  });

  it("say so when they never left this member", async () => {
    const proposals = new Proposals({ timeoutMs });
    const sequence = proposals.nextSequence();
    const answer = proposals.wait(sequence, 0);
    proposals.expire({ nowMs: 7000, ...noLeader }, new Set([sequence]));
    await expect(answer).rejects.toMatchObject(status.ContextDeadlineExceeded);
  });

  it.each([
    ["started two election timeouts before the new leader", 8001, status.TimeoutDueToLeaderFail],
    ["started longer before", 7999, status.Timeout],
    ["started under the present leader", 10_000, status.Timeout],
  ])("name the leader's failure only when they %s", async (_when, startedMs, expected) => {
    const proposals = new Proposals({ timeoutMs });
    const answer = proposals.wait(proposals.nextSequence(), startedMs);
    proposals.expire({ nowMs: 20_000, electionTimeoutMs: 1000, leaderSinceMs: 10_000 }, new Set());
    await expect(answer).rejects.toMatchObject(expected);
  });
});
