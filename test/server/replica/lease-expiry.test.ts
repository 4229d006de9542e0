/** Lease time on the leader: nothing expires early, nothing lives for ever, a paused clock revokes nobody. */
import { describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { LeaseExpiry } from "../../../src/server/replica/lease-expiry.js";

function leader(leases: { id: bigint; ttlSeconds: number; remainingSeconds?: number }[] = []) {
  const revoked: { id: bigint; done: () => void; fail: () => void }[] = [];
  let activeMs = 0;
  const advance = (stepMs: number) => {
    activeMs += stepMs;
  };
  const expiry = new LeaseExpiry({
    nowMs: () => activeMs,
    revoke: (id) =>
      new Promise((resolve, reject) => revoked.push({ id, done: resolve, fail: () => reject(new Error("no")) })),
    extendMs: 1000,
  });
  expiry.promote(leases.map((lease) => ({ remainingSeconds: 0, ...lease })));
  return { expiry, advance, revoked, ids: () => revoked.map(({ id }) => id) };
}

describe("lease expiry", () => {
  it("revokes a lease when its time is up and not before", () => {
    const { expiry, advance, ids } = leader();
    expiry.follow([{ kind: "granted", id: 7n, ttlSeconds: 3 }]);
    advance(2999);
    expiry.scan();
    expect(ids()).toEqual([]);
    advance(1);
    expiry.scan();
    expect(ids()).toEqual([7n]);
  });

  it("counts from the last renewal and reports whole seconds left", async () => {
    const { expiry, advance, ids } = leader();
    expiry.follow([{ kind: "granted", id: 7n, ttlSeconds: 3 }]);
    advance(2500);
    expect(await expiry.renew(7n)).toBe(3);
    advance(100);
    expect(expiry.remainingSeconds(7n)).toBe(2);
    advance(2899);
    expiry.scan();
    expect(ids()).toEqual([]);
    advance(1);
    expiry.scan();
    expect(ids()).toEqual([7n]);
  });

  it("gives every lease its full time and one election more after a leader change", () => {
    const { expiry, advance, ids } = leader([{ id: 1n, ttlSeconds: 10 }]);
    expect(expiry.remainingSeconds(1n)).toBe(11);
    advance(10_999);
    expiry.scan();
    expect(ids()).toEqual([]);
  });

  it("blocks the renewal of an expired lease until it is gone and then answers 0", async () => {
    const { expiry, advance } = leader();
    expiry.follow([{ kind: "granted", id: 7n, ttlSeconds: 2 }]);
    advance(2000);
    const renewal = expiry.renew(7n);
    expiry.scan();
    expiry.follow([{ kind: "revoked", id: 7n }]);
    expect(await renewal).toBe(0);
    expect(expiry.renew(7n)).toBeUndefined();
  });

  it("waits for a renewal that has come in time, and for none that came too late", async () => {
    const { expiry, advance, ids } = leader([
      { id: 1n, ttlSeconds: 2 },
      { id: 2n, ttlSeconds: 2 },
    ]);
    advance(2900);
    const [inTime, given] = [expiry.arrive(1n), expiry.arrive(2n)];
    advance(2000);
    expiry.scan();
    expect(ids()).toEqual([]);
    expect(await expiry.renew(1n)).toBe(2);
    inTime();
    given();
    expiry.arrive(2n);
    advance(500);
    expiry.scan();
    expect(ids()).toEqual([2n]);
    advance(2000);
    expiry.scan();
    expect(ids()).toEqual([2n, 1n]);
  });

  it("tries a failed revocation again, so that no key lives for ever", async () => {
    const { expiry, advance, revoked, ids } = leader();
    expiry.follow([{ kind: "granted", id: 7n, ttlSeconds: 2 }]);
    advance(2000);
    expiry.scan();
    revoked[0]?.fail();
    await Promise.resolve();
    await Promise.resolve();
    expiry.scan();
    expect(ids()).toEqual([7n, 7n]);
  });

  it("has at most sixteen revocations under way and goes on as they finish", async () => {
    const { expiry, advance, revoked } = leader();
    for (let id = 1n; id <= 40n; id += 1n) expiry.follow([{ kind: "granted", id, ttlSeconds: 2 }]);
    advance(2000);
    expiry.scan();
    expect(revoked).toHaveLength(16);
    for (const { id, done } of revoked.slice(0, 16)) {
      expiry.follow([{ kind: "revoked", id }]);
      done();
    }
    await new Promise(setImmediate);
    expect(revoked).toHaveLength(32);
  });

  it("expires nothing on a member that does not lead", () => {
    const { expiry, advance, ids } = leader([{ id: 1n, ttlSeconds: 2 }]);
    expiry.demote();
    advance(60_000);
    expiry.scan();
    expect(ids()).toEqual([]);
    expect(expiry.primary).toBe(false);
    expect(expiry.ordered()).toEqual([]);
  });

  it("ends a blocked renewal with not a primary lessor when this member leads no longer", async () => {
    const { expiry, advance } = leader();
    expiry.follow([{ kind: "granted", id: 7n, ttlSeconds: 2 }]);
    advance(2000);
    const renewal = expiry.renew(7n);
    expiry.demote();
    await expect(renewal).rejects.toMatchObject(status.NotPrimaryLessor);
  });

  it("starts a lease with what its checkpoint left of it", () => {
    const { expiry } = leader([{ id: 1n, ttlSeconds: 1000, remainingSeconds: 400 }]);
    expect(expiry.remainingSeconds(1n)).toBe(401);
  });

  it("lets at most 750 of a thousand leases end in one second, and none earlier than its time", () => {
    const { expiry, advance, revoked } = leader(
      Array.from({ length: 1000 }, (_, n) => ({ id: BigInt(n + 1), ttlSeconds: 10 })),
    );
    advance(10_999);
    expiry.scan();
    expect(revoked).toHaveLength(0);
    const ends = expiry.ordered().map((id) => expiry.remainingSeconds(id));
    expect(ends.filter((seconds) => seconds === 0)).toHaveLength(750);
    expect(ends.filter((seconds) => seconds === 1)).toHaveLength(250);
  });

  it("leaves fewer leases than that where they are", () => {
    const { expiry } = leader(Array.from({ length: 999 }, (_, n) => ({ id: BigInt(n + 1), ttlSeconds: 10 })));
    expect(new Set(expiry.ordered().map((id) => expiry.remainingSeconds(id)))).toEqual(new Set([11]));
  });

  it("checkpoints only leases with much time left, rounded up, and remembers it until it is taken back", () => {
    const { expiry, advance } = leader();
    expiry.follow([
      { kind: "granted", id: 1n, ttlSeconds: 600 },
      { kind: "granted", id: 2n, ttlSeconds: 300 },
    ]);
    advance(1500);
    expect(expiry.checkpoint(300)).toEqual([{ id: 1n, remainingSeconds: 599 }]);
    expect(expiry.standingCheckpoints(1n)).toBe(1);
    expect(expiry.standingCheckpoints(2n)).toBeUndefined();
    // Another checkpoint is asked for while the first one is taken back: it still stands.
    expiry.checkpoint(300);
    expiry.tookBack(1n, 1);
    expect(expiry.standingCheckpoints(1n)).toBe(2);
    expiry.tookBack(1n, 2);
    expect(expiry.standingCheckpoints(1n)).toBeUndefined();
  });

  it("lists leases by the time they have left", () => {
    const { expiry } = leader();
    expiry.follow([
      { kind: "granted", id: 1n, ttlSeconds: 30 },
      { kind: "granted", id: 2n, ttlSeconds: 10 },
      { kind: "granted", id: 3n, ttlSeconds: 20 },
    ]);
    expect(expiry.ordered()).toEqual([2n, 3n, 1n]);
  });
});
