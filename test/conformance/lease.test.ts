/** Conformance: granting, revoking, asking about and listing leases. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { headerOf } from "./words.js";

const TTL_MAX = 9_000_000_000n;
/** etcd's own ticks, on which the smallest TTL is 2 s. */
const DEFAULT_TICKS = { "heartbeat-interval": "100", "election-timeout": "1000" };
const ID_MAX = 2n ** 63n - 1n;

conformance(
  "Lease grant",
  (test) => {
    test("without an id the server picks a positive one", async (t) => {
      const { ID, TTL, error } = await t.client.leaseGrant({ TTL: 60 });
      expect(ID).toBeGreaterThan(0n);
      expect({ TTL, error }).toEqual({ TTL: 60n, error: "" });
      await t.client.leaseRevoke({ ID });
    });

    test("ids the server picks are all different", async (t) => {
      const ids = await Promise.all(Array.from({ length: 50 }, () => t.grant()));
      expect(new Set(ids).size).toBe(50);
    });

    for (const id of [1n, 0x1234_5678_9abcn, ID_MAX, -1n, -77n, -(2n ** 63n)]) {
      test(`the id ${id} is used as given`, async (t) => {
        const { ID } = await t.client.leaseGrant({ TTL: 60, ID: id });
        expect(ID).toBe(id);
        expect(await t.client.leaseTimeToLive({ ID: id })).toMatchObject({ ID: id, grantedTTL: 60n });
        await t.client.leaseRevoke({ ID: id });
        expect((await t.client.leaseTimeToLive({ ID: id })).TTL).toBe(-1n);
      });
    }

    for (const asked of [1n, 0n, -1n, -(2n ** 63n)]) {
      test(`a TTL of ${asked} becomes the minimum of 2 s`, async (t) => {
        const { ID, TTL } = await t.client.leaseGrant({ TTL: asked });
        expect(TTL).toBe(2n);
        expect((await t.client.leaseTimeToLive({ ID })).grantedTTL).toBe(2n);
        await t.client.leaseRevoke({ ID });
      });
    }

    test("the largest TTL is granted, one more is refused", async (t) => {
      const { ID, TTL } = await t.client.leaseGrant({ TTL: TTL_MAX });
      expect(TTL).toBe(TTL_MAX);
      await t.client.leaseRevoke({ ID });
      await t.rejects(t.client.leaseGrant({ TTL: TTL_MAX + 1n }), status.LeaseTTLTooLarge);
      await t.rejects(t.client.leaseGrant({ TTL: ID_MAX }), status.LeaseTTLTooLarge);
    });

    test("an id in use is refused", async (t) => {
      const ID = await t.grant();
      await t.rejects(t.client.leaseGrant({ TTL: 60, ID }), status.LeaseExist);
      expect((await t.client.leaseTimeToLive({ ID })).grantedTTL).toBe(600n);
    });

    test("a TTL that is too large is complained about before the id", async (t) => {
      const ID = await t.grant();
      await t.rejects(t.client.leaseGrant({ TTL: TTL_MAX + 1n, ID }), status.LeaseTTLTooLarge);
    });

    test("an id may be granted again after it was revoked", async (t) => {
      const ID = await t.grant(600n, 4711n);
      await t.client.leaseRevoke({ ID });
      expect((await t.client.leaseGrant({ TTL: 60, ID })).TTL).toBe(60n);
    });

    test("granting takes no revision", async (t) => {
      const response = await t.client.leaseGrant({ TTL: 60 });
      expect(headerOf(response).revision).toBe(t.base);
      await t.client.leaseRevoke({ ID: response.ID });
    });

    test(
      "the minimum follows the election timeout: 3000 ms over 200 ms ticks make 5 s",
      async (t) => {
        expect((await t.client.leaseGrant({ TTL: 1 })).TTL).toBe(5n);
        expect((await t.client.leaseGrant({ TTL: 6 })).TTL).toBe(6n);
      },
      { fresh: { "election-timeout": "3000", "heartbeat-interval": "200" } },
    );
  },
  DEFAULT_TICKS,
);

conformance("Lease revoke", (test) => {
  test("deletes every key of the lease in one revision", async (t) => {
    const ID = await t.grant();
    for (const name of ["a", "b", "c"]) await t.put(name, "v", { lease: ID });
    await t.put("d", "v");
    const response = await t.client.leaseRevoke({ ID });
    expect(t.since(headerOf(response).revision)).toBe(5);
    expect(t.names((await t.list()).kvs)).toEqual(["d"]);
    expect(await t.revision()).toBe(t.base + 5n);
  });

  test("of a lease without keys takes no revision", async (t) => {
    const ID = await t.grant();
    expect(headerOf(await t.client.leaseRevoke({ ID })).revision).toBe(t.base);
  });

  test("leaves a key alone that moved to another lease", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    await t.put("a", "v", { lease: first });
    await t.put("a", "v", { lease: second });
    await t.client.leaseRevoke({ ID: first });
    expect((await t.get("a")).count).toBe(1n);
  });

  test("leaves a key alone that was detached", async (t) => {
    const ID = await t.grant();
    await t.put("a", "v", { lease: ID });
    await t.put("a", "w");
    await t.client.leaseRevoke({ ID });
    expect(t.facts((await t.get("a")).kvs[0])?.value).toBe("w");
  });

  for (const id of [0n, 4242n, -4242n]) {
    test(`an unknown id (${id}) is refused`, async (t) => {
      await t.rejects(t.client.leaseRevoke({ ID: id }), status.LeaseNotFound);
    });
  }

  test("a second revoke is refused", async (t) => {
    const ID = await t.grant();
    await t.client.leaseRevoke({ ID });
    await t.rejects(t.client.leaseRevoke({ ID }), status.LeaseNotFound);
  });

  test("a put under a revoked lease is refused", async (t) => {
    const ID = await t.grant();
    await t.client.leaseRevoke({ ID });
    await t.rejects(t.put("a", "v", { lease: ID }), status.LeaseNotFound);
  });

  test("a lease with 1000 keys goes at once", async (t) => {
    const ID = await t.grant();
    await Promise.all(Array.from({ length: 1000 }, (_, index) => t.put(`k${index}`, "v", { lease: ID })));
    expect(t.since(headerOf(await t.client.leaseRevoke({ ID })).revision)).toBe(1001);
    expect((await t.list()).count).toBe(0n);
  });
});

conformance("Lease time to live", (test) => {
  test("gives the remaining whole seconds, truncated, and the granted TTL", async (t) => {
    const ID = await t.grant(600n);
    const { TTL, grantedTTL, ID: id } = await t.client.leaseTimeToLive({ ID });
    expect(id).toBe(ID);
    expect(grantedTTL).toBe(600n);
    expect(TTL).toBe(599n);
  });

  test("gives the keys only when asked", async (t) => {
    const ID = await t.grant();
    for (const name of ["b", "a"]) await t.put(name, "v", { lease: ID });
    expect((await t.client.leaseTimeToLive({ ID })).keys).toEqual([]);
    const { keys } = await t.client.leaseTimeToLive({ ID, keys: true });
    expect(keys.map((key) => t.name(key)).toSorted()).toEqual(["a", "b"]);
  });

  test("a lease without keys has none", async (t) => {
    const ID = await t.grant();
    expect((await t.client.leaseTimeToLive({ ID, keys: true })).keys).toEqual([]);
  });

  for (const id of [0n, 4242n, -4242n]) {
    test(`an unknown id (${id}) has TTL -1 and is no error`, async (t) => {
      const { TTL, grantedTTL, keys, ID } = await t.client.leaseTimeToLive({ ID: id, keys: true });
      expect({ TTL, grantedTTL, keys, ID }).toEqual({ TTL: -1n, grantedTTL: 0n, keys: [], ID: id });
    });
  }

  test("the header holds the current revision", async (t) => {
    const ID = await t.grant();
    await t.put("a", "v");
    expect(t.since(headerOf(await t.client.leaseTimeToLive({ ID })).revision)).toBe(1);
  });

  test("the largest TTL does not overflow", async (t) => {
    const ID = await t.grant(TTL_MAX);
    const { TTL, grantedTTL } = await t.client.leaseTimeToLive({ ID });
    expect(grantedTTL).toBe(TTL_MAX);
    expect(TTL).toBe(TTL_MAX - 1n);
  });
});

conformance("Lease list", (test) => {
  test(
    "is empty on a fresh member",
    async (t) => {
      expect((await t.client.leaseLeases()).leases).toEqual([]);
    },
    { fresh: true },
  );

  test(
    "is ordered by the time that remains",
    async (t) => {
      const grants: readonly [bigint, bigint][] = [
        [600n, 11n],
        [300n, 12n],
        [900n, 13n],
        [100n, -14n],
      ];
      for (const [TTL, ID] of grants) await t.client.leaseGrant({ TTL, ID });
      expect((await t.client.leaseLeases()).leases.map(({ ID }) => ID)).toEqual([-14n, 12n, 11n, 13n]);
    },
    { fresh: true },
  );

  test(
    "loses a lease that was revoked",
    async (t) => {
      await t.client.leaseGrant({ TTL: 60, ID: 1 });
      await t.client.leaseGrant({ TTL: 61, ID: 2 });
      await t.client.leaseRevoke({ ID: 1 });
      expect((await t.client.leaseLeases()).leases).toEqual([{ ID: 2n }]);
    },
    { fresh: true },
  );
});
