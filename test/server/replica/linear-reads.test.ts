/** The read barrier: one round for all that arrived, fresh ids on retry, leaders that change. */
import { describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { LinearReads } from "../../../src/server/replica/linear-reads.js";

function barrier() {
  const asked: number[] = [];
  let next = 0;
  const nextRequestId = () => {
    next += 1;
    return next;
  };
  const reads = new LinearReads({ timeoutMs: 7000, nextRequestId, ask: (id) => asked.push(id) });
  return { reads, asked };
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  return (await Promise.race([promise.catch(() => undefined), Promise.resolve(pending)])) !== pending;
}

describe("linear reads", () => {
  it("serve every read that arrived before the round with one request", async () => {
    const { reads, asked } = barrier();
    const all = [reads.wait(0), reads.wait(0), reads.wait(0)];
    reads.startRound(0);
    expect(asked).toEqual([1]);
    reads.confirmed(1, 5);
    reads.applied(5);
    await Promise.all(all);
  });

  it("keep a read waiting until its index is applied", async () => {
    const { reads } = barrier();
    const read = reads.wait(0);
    reads.startRound(0);
    reads.confirmed(1, 5);
    reads.applied(4);
    expect(await settled(read)).toBe(false);
    reads.applied(5);
    await read;
  });

  it("do not let a read join a round that has already started", async () => {
    const { reads, asked } = barrier();
    const early = reads.wait(0);
    reads.startRound(0);
    const late = reads.wait(1);
    reads.confirmed(1, 5);
    reads.applied(5);
    await early;
    expect(await settled(late)).toBe(false);
    reads.startRound(1);
    expect(asked).toEqual([1, 2]);
    reads.confirmed(2, 5);
    reads.applied(5);
    await late;
  });

  it("retry with a new id after 500 ms and accept an answer to any id of the round", async () => {
    const { reads, asked } = barrier();
    const read = reads.wait(0);
    reads.startRound(0);
    reads.tick(499);
    expect(asked).toEqual([1]);
    reads.tick(500);
    expect(asked).toEqual([1, 2]);
    reads.confirmed(1, 3);
    reads.applied(3);
    await read;
  });

  it("ask again at once when a leader becomes known", () => {
    const { reads, asked } = barrier();
    void reads.wait(0);
    reads.startRound(0);
    reads.leaderKnown(20);
    expect(asked).toEqual([1, 2]);
  });

  it("fail with leader changed, and with request timed out after the deadline", async () => {
    const { reads } = barrier();
    const changed = reads.wait(0);
    reads.startRound(0);
    reads.leaderChanged(1);
    await expect(changed).rejects.toMatchObject(status.LeaderChanged);
    const late = reads.wait(10);
    reads.startRound(10);
    reads.tick(7009);
    expect(await settled(late)).toBe(false);
    reads.tick(7010);
    await expect(late).rejects.toMatchObject(status.Timeout);
    expect(reads.failedCount).toBe(2);
  });

  it("end as canceled when their caller goes away, and are not asked for any more", async () => {
    const { reads, asked } = barrier();
    const controller = new AbortController();
    const read = reads.wait(0, controller.signal);
    reads.startRound(0);
    controller.abort();
    reads.tick(100);
    await expect(read).rejects.toMatchObject(status.Canceled);
    reads.tick(700);
    expect(asked).toEqual([1]);
  });
});
