/** Conformance: keeping leases alive, and what happens when nobody does. */

import { expect } from "vitest";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { headerOf } from "./words.js";

/** Ticks so short that the smallest TTL is 1 s. */
const QUICK = { "heartbeat-interval": "20", "election-timeout": "200" };

/** Asks again until the remaining time of the lease is `ttl` (-1: the lease is gone). */
async function untilTtl(t: Context, ID: bigint, ttl: bigint): Promise<void> {
  await t.eventually(async () => {
    expect((await t.client.leaseTimeToLive({ ID })).TTL).toBe(ttl);
  });
}

conformance("Lease keep alive", (test) => {
  test("answers each request with the id and the full TTL", async (t) => {
    const [first, second] = [await t.grant(60n), await t.grant(90n)];
    const stream = t.client.leaseKeepAlive();
    for (const ID of [first, second, first]) stream.send({ ID });
    const replies = await stream.take(3);
    expect(replies.map(({ ID, TTL }) => [ID, TTL])).toEqual([
      [first, 60n],
      [second, 90n],
      [first, 60n],
    ]);
    stream.cancel();
  });

  for (const id of [0n, 4242n, -4242n]) {
    test(`an unknown id (${id}) gets TTL 0 and the stream stays open`, async (t) => {
      const ID = await t.grant();
      const stream = t.client.leaseKeepAlive();
      stream.send({ ID: id });
      const reply = await stream.next();
      expect([reply.ID, reply.TTL]).toEqual([id, 0n]);
      stream.send({ ID });
      expect((await stream.next()).TTL).toBe(600n);
      stream.cancel();
    });
  }

  test("a half-close ends the stream cleanly after the answers", async (t) => {
    const ID = await t.grant();
    const stream = t.client.leaseKeepAlive();
    stream.send({ ID });
    stream.halfClose();
    const { messages, end } = await stream.drain();
    expect(messages.map(({ TTL }) => TTL)).toEqual([600n]);
    expect(end.code).toBe(Code.OK);
  });

  test("a half-close without a request ends the stream cleanly", async (t) => {
    const stream = t.client.leaseKeepAlive();
    stream.halfClose();
    expect((await stream.ended()).code).toBe(Code.OK);
  });

  test("the header holds the current revision and all ids", async (t) => {
    const ID = await t.grant();
    await t.put("a", "v");
    const stream = t.client.leaseKeepAlive();
    stream.send({ ID });
    const header = headerOf(await stream.next());
    expect(t.since(header.revision)).toBe(1);
    expect(header.clusterId).not.toBe(0n);
    expect(header.memberId).not.toBe(0n);
    stream.cancel();
  });

  test("takes no revision", async (t) => {
    const ID = await t.grant();
    const stream = t.client.leaseKeepAlive();
    stream.send({ ID });
    await stream.next();
    expect(await t.revision()).toBe(t.base);
    stream.cancel();
  });

  test("a revoked lease gets TTL 0", async (t) => {
    const ID = await t.grant();
    await t.client.leaseRevoke({ ID });
    const stream = t.client.leaseKeepAlive();
    stream.send({ ID });
    expect((await stream.next()).TTL).toBe(0n);
    stream.cancel();
  });

  test("a grant is known to the very next keep alive", async (t) => {
    const stream = t.client.leaseKeepAlive();
    for (let turn = 0; turn < 20; turn += 1) {
      const ID = await t.grant();
      stream.send({ ID });
      expect((await stream.next()).TTL).toBe(600n);
    }
    stream.cancel();
  });
});

conformance(
  "Lease time",
  (test) => {
    test("a TTL of 1 s is granted when the ticks allow it", async (t) => {
      const { ID, TTL } = await t.client.leaseGrant({ TTL: 1 });
      expect(TTL).toBe(1n);
      await t.client.leaseRevoke({ ID });
    });

    test("an expired lease deletes its keys in one revision, sorted, with ordinary events", async (t) => {
      const { ID } = await t.client.leaseGrant({ TTL: 1 });
      for (const name of ["c", "a", "b"]) await t.put(name, "v", { lease: ID });
      const watch = await t.watch({ prevKv: true });
      const { events } = await watch.next();
      expect(t.eventWords(events)).toEqual(["delete a @4", "delete b @4", "delete c @4"]);
      expect(events.map(({ prevKv }) => prevKv?.lease)).toEqual([ID, ID, ID]);
      expect((await t.list()).count).toBe(0n);
    });

    test("an expired lease is gone for every call", async (t) => {
      const { ID } = await t.client.leaseGrant({ TTL: 1 });
      await untilTtl(t, ID, -1n);
      const stream = t.client.leaseKeepAlive();
      stream.send({ ID });
      expect((await stream.next()).TTL).toBe(0n);
      stream.cancel();
      await t.rejects(t.put("a", "v", { lease: ID }), status.LeaseNotFound);
      await t.rejects(t.client.leaseRevoke({ ID }), status.LeaseNotFound);
      const { leases } = await t.client.leaseLeases();
      expect(leases.some((lease) => lease.ID === ID)).toBe(false);
    });

    test("an expired lease without keys takes no revision", async (t) => {
      const { ID } = await t.client.leaseGrant({ TTL: 1 });
      await untilTtl(t, ID, -1n);
      expect(await t.revision()).toBe(t.base);
    });

    test("the id of an expired lease may be granted again", async (t) => {
      const { ID } = await t.client.leaseGrant({ TTL: 1, ID: 555 });
      await untilTtl(t, ID, -1n);
      expect((await t.client.leaseGrant({ TTL: 60, ID: 555 })).TTL).toBe(60n);
      await t.client.leaseRevoke({ ID: 555 });
    });

    test("the remaining time falls, and a keep alive brings it back to full", async (t) => {
      const ID = await t.grant(4n);
      await untilTtl(t, ID, 2n);
      const stream = t.client.leaseKeepAlive();
      stream.send({ ID });
      expect((await stream.next()).TTL).toBe(4n);
      expect((await t.client.leaseTimeToLive({ ID })).TTL).toBe(3n);
      stream.cancel();
    });

    test("a lease that is kept alive outlives its TTL", async (t) => {
      const [kept, left] = [await t.grant(2n), await t.grant(2n)];
      await t.put("kept", "v", { lease: kept });
      await t.put("left", "v", { lease: left });
      const watch = await t.watch();
      const stream = t.client.leaseKeepAlive();
      const gone = watch.next();
      let isGone = false;
      void gone.finally(() => {
        isGone = true;
      });
      await t.eventually(async () => {
        stream.send({ ID: kept });
        expect((await stream.next()).TTL).toBe(2n);
        expect(isGone).toBe(true);
      });
      expect(t.eventWords((await gone).events)).toEqual(["delete left @3"]);
      expect((await t.get("kept")).count).toBe(1n);
      stream.cancel();
    });
  },
  QUICK,
);
