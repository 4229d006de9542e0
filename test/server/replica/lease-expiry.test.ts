/** Lease time on the leader: nothing expires early, nothing lives for ever, a paused clock revokes nobody. */
import { describe, expect, it } from "vitest";
import { LeaseExpiry } from "../../../src/server/replica/lease-expiry.js";

function leader(leases: { id: bigint; ttlSeconds: number }[] = []) {
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
  expiry.promote(leases);
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
