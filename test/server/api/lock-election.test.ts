/** Locks and elections, which are layers on KV, Lease and Watch inside the server. */
import { afterEach, describe, expect, it } from "vitest";
import { Code, status } from "../../../proto/status.js";
import { bytes, del, like, next, open, put, range, text } from "./wire.js";
import { type ApiWorld, worlds } from "./world.js";

const world = worlds(afterEach);
const unknown = (wire: { readonly message: string }) => like({ code: Code.UNKNOWN, message: wire.message });

async function grant({ services, context }: ApiWorld, ID: bigint): Promise<void> {
  await services.lease.leaseGrant({ ID, TTL: 60n }, context());
}

async function keys({ services, context }: ApiWorld): Promise<string[]> {
  return (await services.kv.range(range("\0", open), context())).kvs.map(({ key }) => text(key));
}

/** Resolves when the key is there: the waiter has queued up. */
async function queued(one: ApiWorld, key: string): Promise<void> {
  await expect.poll(() => keys(one)).toContain(key);
}

describe("a lock", () => {
  it("is a key of name and lease in hex, held by the oldest", async () => {
    const one = world();
    const { services, context } = one;
    await grant(one, 0x77n);
    const { key, header } = await services.lock.lock({ name: bytes("L"), lease: 0x77n }, context());
    expect([text(key), header?.revision]).toEqual(["L/77", 2n]);
    const again = await services.lock.lock({ name: bytes("L"), lease: 0x77n }, context());
    expect(text(again.key)).toBe("L/77");
    expect((await services.kv.range(range("L/77"), context())).kvs[0]).toMatchObject({ lease: 0x77n, version: 1n });
  });

  it("works for an empty name and a negative lease", async () => {
    const one = world();
    await grant(one, -0x77n);
    const { key } = await one.services.lock.lock({ name: bytes(""), lease: -0x77n }, one.context());
    expect(text(key)).toBe("/-77");
  });

  it("grants a lease of 60 s to a caller without one", async () => {
    const { services, context, replica } = world();
    const { key } = await services.lock.lock({ name: bytes("L"), lease: 0n }, context());
    const [lease] = replica.state.leases();
    expect(lease?.ttlSeconds).toBe(60);
    expect(text(key)).toBe(`L/${lease?.id.toString(16)}`);
  });

  it("goes from one holder to the next in the order they came", async () => {
    const one = world();
    const { services, context } = one;
    const order: string[] = [];
    const take = async (lease: bigint): Promise<void> => {
      await services.lock.lock({ name: bytes("L"), lease }, context());
      order.push(lease.toString());
    };
    for (const lease of [1n, 2n, 3n]) await grant(one, lease);
    await take(1n);
    const second = take(2n);
    await queued(one, "L/2");
    const third = take(3n);
    await queued(one, "L/3");
    expect(order).toEqual(["1"]);
    await services.lock.unlock({ key: bytes("L/1") }, context());
    await second;
    expect(order).toEqual(["1", "2"]);
    await services.lock.unlock({ key: bytes("L/2") }, context());
    await third;
  });

  it("of a longer name is another lock", async () => {
    const one = world();
    for (const lease of [1n, 2n]) await grant(one, lease);
    await one.services.lock.lock({ name: bytes("L"), lease: 1n }, one.context());
    await one.services.lock.lock({ name: bytes("L2"), lease: 2n }, one.context());
  });

  it("is not held by a waiter whose lease has ended meanwhile", async () => {
    const one = world();
    const { services, context } = one;
    for (const lease of [1n, 2n]) await grant(one, lease);
    await services.lock.lock({ name: bytes("L"), lease: 1n }, context());
    const waiting = services.lock.lock({ name: bytes("L"), lease: 2n }, context());
    await queued(one, "L/2");
    await services.lease.leaseRevoke({ ID: 2n }, context());
    await services.lock.unlock({ key: bytes("L/1") }, context());
    await expect(waiting).rejects.toMatchObject(like(status.MutexSessionExpired));
  });

  it("is left by a waiter who gives up, and its watch with it", async () => {
    const one = world();
    const { services, context, hub } = one;
    for (const lease of [1n, 2n]) await grant(one, lease);
    await services.lock.lock({ name: bytes("L"), lease: 1n }, context());
    const abort = new AbortController();
    const waiting = services.lock.lock({ name: bytes("L"), lease: 2n }, context(abort.signal));
    await queued(one, "L/2");
    await expect.poll(() => hub.stats().watchers).toBe(1);
    abort.abort();
    await expect(waiting).rejects.toMatchObject(like(status.Canceled));
    expect(await keys(one)).toEqual(["L/1"]);
    expect(hub.stats().streams).toBe(0);
  });

  it("survives a compaction past what the waiter was watching from", async () => {
    const one = world({ watchLimits: { queueMessagesMax: 1 } });
    const { services, context } = one;
    for (const lease of [1n, 2n]) await grant(one, lease);
    await services.lock.lock({ name: bytes("L"), lease: 1n }, context());
    const waiting = services.lock.lock({ name: bytes("L"), lease: 2n }, context());
    await queued(one, "L/2");
    for (let n = 0; n < 5; n += 1) await services.kv.put(put("L/1"), context());
    await services.kv.compact({ revision: 7n, physical: true }, context());
    await services.kv.deleteRange(del("L/1"), context());
    expect(text((await waiting).key)).toBe("L/2");
  });

  it("fails with code UNKNOWN and the inner text", async () => {
    const { services, context } = world();
    const lock = services.lock.lock({ name: bytes("L"), lease: 99n }, context());
    await expect(lock).rejects.toMatchObject(unknown(status.LeaseNotFound));
    const unlock = services.lock.unlock({ key: bytes("") }, context());
    await expect(unlock).rejects.toMatchObject(unknown(status.EmptyKey));
    expect((await services.lock.unlock({ key: bytes("nobody") }, context())).header?.revision).toBe(1n);
  });
});

describe("an election", () => {
  const name = bytes("E");

  it("is won by the first, and its leader can proclaim and resign", async () => {
    const one = world();
    const { election } = one.services;
    await grant(one, 0xabn);
    const { leader } = await election.campaign({ name, lease: 0xabn, value: bytes("one") }, one.context());
    expect(leader).toMatchObject({ name, rev: 2n, lease: 0xabn });
    expect(text(leader?.key)).toBe("E/ab");
    await election.proclaim({ leader, value: bytes("two") }, one.context());
    const now = await election.leader({ name }, one.context());
    expect([text(now.kv?.value), now.kv?.lease, now.header?.revision]).toEqual(["two", 0xabn, 3n]);
    await election.resign({ leader }, one.context());
    await expect(election.leader({ name }, one.context())).rejects.toMatchObject(like(status.ElectionNoLeader));
  });

  it("lets a candidate change its value by standing again", async () => {
    const one = world();
    const { election } = one.services;
    await grant(one, 1n);
    await election.campaign({ name, lease: 1n, value: bytes("one") }, one.context());
    const again = await election.campaign({ name, lease: 1n, value: bytes("two") }, one.context());
    expect([again.leader?.rev, again.header?.revision]).toEqual([2n, 3n]);
    expect(text((await election.leader({ name }, one.context())).kv?.value)).toBe("two");
  });

  it("passes to the next candidate when the leader resigns", async () => {
    const one = world();
    const { election } = one.services;
    for (const lease of [1n, 2n]) await grant(one, lease);
    const first = await election.campaign({ name, lease: 1n, value: bytes("one") }, one.context());
    const second = election.campaign({ name, lease: 2n, value: bytes("two") }, one.context());
    await queued(one, "E/2");
    await election.resign({ leader: first.leader }, one.context());
    expect((await second).leader?.rev).toBe(3n);
  });

  it("knows who leads no more: proclaiming fails, resigning does nothing", async () => {
    const one = world();
    const { election } = one.services;
    const stale = { name, key: bytes("E/1"), rev: 99n, lease: 0n };
    const proclaim = election.proclaim({ leader: stale, value: bytes("v") }, one.context());
    await expect(proclaim).rejects.toMatchObject(like(status.ElectionNotLeader));
    expect((await election.resign({ leader: stale }, one.context())).header?.revision).toBe(1n);
    for (const call of [
      election.proclaim({ leader: undefined, value: bytes("v") }, one.context()),
      election.resign({ leader: undefined }, one.context()),
    ]) {
      await expect(call).rejects.toMatchObject(like(status.ElectionLeaderMissing));
    }
  });

  it("is left by a candidate who gives up, and lost by one whose lease has ended", async () => {
    const one = world();
    const { election, lease: leases } = one.services;
    for (const lease of [1n, 2n, 3n]) await grant(one, lease);
    const first = await election.campaign({ name, lease: 1n, value: bytes("one") }, one.context());
    const abort = new AbortController();
    const second = election.campaign({ name, lease: 2n, value: bytes("two") }, one.context(abort.signal));
    await queued(one, "E/2");
    const third = election.campaign({ name, lease: 3n, value: bytes("three") }, one.context());
    await queued(one, "E/3");
    abort.abort();
    await expect(second).rejects.toMatchObject(like(status.Canceled));
    await leases.leaseRevoke({ ID: 3n }, one.context());
    await election.resign({ leader: first.leader }, one.context());
    await expect(third).rejects.toMatchObject(like(status.ElectionNotLeader));
    expect(await keys(one)).toEqual([]);
  });

  it("is observed: nothing until there is a leader, then each value and each leader", async () => {
    const one = world();
    const { election } = one.services;
    for (const lease of [1n, 2n]) await grant(one, lease);
    const abort = new AbortController();
    const seen = election.observe({ name }, one.context(abort.signal))[Symbol.asyncIterator]();
    const first = next(seen);
    const { leader } = await election.campaign({ name, lease: 1n, value: bytes("one") }, one.context());
    expect(text((await first).kv?.value)).toBe("one");
    await election.proclaim({ leader, value: bytes("uno") }, one.context());
    const changed = await next(seen);
    expect([text(changed.kv?.value), changed.header?.revision]).toEqual(["uno", 3n]);
    await election.resign({ leader }, one.context());
    const second = next(seen);
    await election.campaign({ name, lease: 2n, value: bytes("two") }, one.context());
    expect(text((await second).kv?.value)).toBe("two");
    const ending = seen.next();
    abort.abort();
    await expect(ending).rejects.toMatchObject(like(status.Canceled));
    expect(one.hub.stats().streams).toBe(0);
  });

  it("fails with code UNKNOWN and the inner text", async () => {
    const { services, context, replica } = world();
    const campaign = services.election.campaign({ name, lease: 99n, value: bytes("v") }, context());
    await expect(campaign).rejects.toMatchObject(unknown(status.LeaseNotFound));
    replica.refusal = status.Timeout;
    await expect(services.election.leader({ name }, context())).rejects.toMatchObject(unknown(status.Timeout));
    const observed = services.election.observe({ name }, context())[Symbol.asyncIterator]();
    await expect(observed.next()).rejects.toMatchObject(unknown(status.Timeout));
  });
});
