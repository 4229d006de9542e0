/** The Lease service over a real state. Time is kept elsewhere: here a lease has its TTL less one second left. */
import { afterEach, describe, expect, it } from "vitest";
import type { LeaseKeepAliveRequest } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import { all, Inbox, like, next, put, range, text } from "./wire.js";
import { worlds } from "./world.js";

const world = worlds(afterEach);

describe("a grant", () => {
  it("keeps the id it is given, also a negative one, and raises a short time to live to the minimum", async () => {
    const { services, context } = world();
    for (const [ID, TTL, granted] of [
      [77n, 30n, 30n],
      [-5n, 1n, 2n],
      [6n, 0n, 2n],
      [7n, -9n, 2n],
      [8n, 9_000_000_000n, 9_000_000_000n],
    ] as const) {
      const { ID: id, TTL: ttl, error } = await services.lease.leaseGrant({ ID, TTL }, context());
      expect([id, ttl, error]).toEqual([ID, granted, ""]);
    }
  });

  it("without an id gets one before it is proposed", async () => {
    const { services, context, replica } = world();
    const { ID } = await services.lease.leaseGrant({ ID: 0n, TTL: 10n }, context());
    expect(ID).toBeGreaterThan(0n);
    expect(replica.proposed).toEqual([{ $case: "leaseGrant", value: { id: ID, ttlSeconds: 10n } }]);
  });

  it("is refused for too long a time before the id is looked at, and for an id in use", async () => {
    const { services, context } = world();
    await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
    const tooLong = services.lease.leaseGrant({ ID: 7n, TTL: 9_000_000_001n }, context());
    await expect(tooLong).rejects.toMatchObject(like(status.LeaseTTLTooLarge));
    await expect(services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context())).rejects.toMatchObject(
      like(status.LeaseExist),
    );
  });
});

describe("a revocation", () => {
  it("deletes the keys in one revision, which its header shows", async () => {
    const { services, context } = world();
    await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
    for (const key of ["b", "a"]) await services.kv.put(put(key, "v", { lease: 7n }), context());
    const { header } = await services.lease.leaseRevoke({ ID: 7n }, context());
    expect(header?.revision).toBe(4n);
    expect((await services.kv.range(range("a", "z"), context())).count).toBe(0n);
  });

  it("of an unknown lease is not found", async () => {
    const { services, context } = world();
    for (const ID of [0n, 5n]) {
      await expect(services.lease.leaseRevoke({ ID }, context())).rejects.toMatchObject(like(status.LeaseNotFound));
    }
  });
});

describe("keeping alive", () => {
  it("answers each request in order, TTL 0 for an unknown lease, and ends with its requests", async () => {
    const { services, context, calls } = world();
    await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
    const requests = new Inbox<LeaseKeepAliveRequest>();
    requests.send({ ID: 7n }, { ID: 5n }, { ID: 7n });
    requests.close();
    const answers = await all(services.lease.leaseKeepAlive(requests, context()));
    expect(answers.map(({ ID, TTL }) => [ID, TTL])).toEqual([
      [7n, 10n],
      [5n, 0n],
      [7n, 10n],
    ]);
    expect(calls).toEqual(["leaseGrant", "leaseRenew", "leaseRenew"]);
  });

  it("shows the revision from before the renewal", async () => {
    const { services, context, replica } = world();
    Object.assign(replica.leases, {
      renew: async () => {
        await services.kv.put(put("a"), context());
        return 10;
      },
    });
    const requests = new Inbox<LeaseKeepAliveRequest>();
    requests.send({ ID: 7n });
    const stream = services.lease.leaseKeepAlive(requests, context())[Symbol.asyncIterator]();
    expect((await next(stream)).header?.revision).toBe(1n);
    requests.close();
  });

  it("ends with the error of a renewal", async () => {
    const { WireError } = await import("../../../proto/status.js");
    const { services, context, replica } = world();
    Object.assign(replica.leases, { renew: () => Promise.reject(new WireError(status.NotPrimaryLessor)) });
    const requests = new Inbox<LeaseKeepAliveRequest>();
    requests.send({ ID: 7n });
    const answers = all(services.lease.leaseKeepAlive(requests, context()));
    await expect(answers).rejects.toMatchObject(like(status.NotPrimaryLessor));
  });
});

describe("the time left", () => {
  it("comes with what was granted, and with the keys if asked for", async () => {
    const { services, context } = world();
    await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
    await services.kv.put(put("a", "v", { lease: 7n }), context());
    const asked = await services.lease.leaseTimeToLive({ ID: 7n, keys: true }, context());
    expect([asked.ID, asked.TTL, asked.grantedTTL, asked.keys.map(text)]).toEqual([7n, 9n, 10n, ["a"]]);
    expect((await services.lease.leaseTimeToLive({ ID: 7n, keys: false }, context())).keys).toEqual([]);
  });

  it("is -1 for an unknown lease", async () => {
    const { services, context } = world();
    const answer = await services.lease.leaseTimeToLive({ ID: 7n, keys: true }, context());
    expect(answer).toMatchObject({ ID: 7n, TTL: -1n, grantedTTL: 0n, keys: [] });
  });

  it("is never made up: it fails as the leader's clock does", async () => {
    const { services, context, replica } = world();
    await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
    replica.refusal = status.LeaderChanged;
    const ask = services.lease.leaseTimeToLive({ ID: 7n, keys: false }, context());
    await expect(ask).rejects.toMatchObject(like(status.LeaderChanged));
  });

  it("comes with keys only behind a barrier", async () => {
    const { services, context, replica } = world();
    await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
    await services.lease.leaseTimeToLive({ ID: 7n, keys: false }, context());
    expect(replica.barriers).toBe(0);
    await services.lease.leaseTimeToLive({ ID: 7n, keys: true }, context());
    expect(replica.barriers).toBe(1);
  });
});

it("leases are listed as stored by a member that keeps no time", async () => {
  const { services, context, replica } = world();
  await services.lease.leaseGrant({ ID: 7n, TTL: 10n }, context());
  Object.assign(replica.leases, { ordered: () => [] });
  expect((await services.lease.leaseLeases({}, context())).leases).toEqual([{ ID: 7n }]);
});
