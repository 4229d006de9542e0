/** Conformance: the Election service. */

import { expect } from "vitest";
import type { LeaderKey } from "../../proto/gen/etcd/election.js";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, headerOf, text } from "./words.js";

function campaign(t: Context, value: string, lease: bigint, timeoutMs = 10_000) {
  return t.client.campaign({ name: t.key("e"), value: bytes(value), lease }, { timeoutMs });
}

async function elected(t: Context, value: string): Promise<LeaderKey> {
  const { leader } = await campaign(t, value, await t.grant());
  if (leader === undefined) throw new Error("a campaign that is won names the leader");
  return leader;
}

function unknown(message: string) {
  return { code: Code.UNKNOWN, message };
}

conformance("Campaign", (test) => {
  test("wins at once when nobody leads: name, key, create revision and lease", async (t) => {
    const lease = await t.grant(600n, 0xbeefn);
    const { leader, header } = await campaign(t, "me", lease);
    expect({ ...leader, name: t.name(leader?.name ?? bytes("")), key: t.name(leader?.key ?? bytes("")) }).toEqual({
      name: "e",
      key: "e/beef",
      rev: t.base + 1n,
      lease,
    });
    expect(header?.memberId).not.toBe(0n);
    expect(t.facts((await t.get("e/beef")).kvs[0])).toMatchObject({ value: "me", lease });
  });

  test("without a lease the server grants one of 60 s", async (t) => {
    const { leader } = await campaign(t, "me", 0n);
    const ID = leader?.lease ?? 0n;
    expect((await t.client.leaseTimeToLive({ ID })).grantedTTL).toBe(60n);
    await t.client.leaseRevoke({ ID });
  });

  test("again with the same lease and value changes nothing", async (t) => {
    const lease = await t.grant();
    const first = await campaign(t, "me", lease);
    const second = await campaign(t, "me", lease);
    expect(second.leader).toEqual(first.leader);
    expect(await t.revision()).toBe(t.base + 1n);
  });

  test("again with the same lease and another value puts the new value", async (t) => {
    const lease = await t.grant();
    const first = await campaign(t, "one", lease);
    const second = await campaign(t, "two", lease);
    expect(second.leader?.rev).toBe(first.leader?.rev);
    expect(text((await t.client.leader({ name: t.key("e") })).kv?.value ?? bytes(""))).toBe("two");
  });

  test("waits while another leads and wins when it resigns", async (t) => {
    const leader = await elected(t, "first");
    let hasWon = false;
    const waiting = campaign(t, "second", await t.grant()).then((response) => {
      hasWon = true;
      return response;
    });
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(2n);
    });
    expect(hasWon).toBe(false);
    await t.client.resign({ leader });
    await waiting;
    expect(text((await t.client.leader({ name: t.key("e") })).kv?.value ?? bytes(""))).toBe("second");
  });

  test("wins when the leader's lease ends", async (t) => {
    const leader = await elected(t, "first");
    const waiting = campaign(t, "second", await t.grant());
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(2n);
    });
    await t.client.leaseRevoke({ ID: leader.lease });
    expect((await waiting).leader?.rev).toBe(t.base + 2n);
  });

  test("whose deadline passes takes its key away", async (t) => {
    await elected(t, "first");
    const failure = await campaign(t, "second", await t.grant(), 300).catch((error: { code: number }) => error);
    // Client and server watch the same deadline; if the server is first, the client sees its stream canceled.
    expect([Code.DEADLINE_EXCEEDED, Code.CANCELLED]).toContain("code" in failure ? failure.code : Code.OK);
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(1n);
    });
  });

  test("with an unknown lease is refused with code UNKNOWN", async (t) => {
    await t.rejects(campaign(t, "me", 4242n), unknown(status.LeaseNotFound.message));
  });
});

conformance("Leader", (test) => {
  test("is the oldest key under the name", async (t) => {
    await elected(t, "first");
    void campaign(t, "second", await t.grant(), 2000).catch(() => undefined);
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(2n);
    });
    const { kv, header } = await t.client.leader({ name: t.key("e") });
    expect(t.facts(kv)).toMatchObject({ value: "first", created: 1 });
    expect(headerOf({ header }).memberId).not.toBe(0n);
  });

  test("nobody leads", async (t) => {
    await t.rejects(t.client.leader({ name: t.key("nobody") }), status.ElectionNoLeader);
  });

  test("after a resignation nobody leads", async (t) => {
    const leader = await elected(t, "me");
    await t.client.resign({ leader });
    await t.rejects(t.client.leader({ name: t.key("e") }), status.ElectionNoLeader);
  });
});

conformance("Proclaim", (test) => {
  test("puts a new value under the leader's key and lease", async (t) => {
    const leader = await elected(t, "one");
    const response = await t.client.proclaim({ leader, value: bytes("two") });
    expect(t.since(headerOf(response).revision)).toBe(2);
    expect(t.facts((await t.client.leader({ name: t.key("e") })).kv)).toMatchObject({
      value: "two",
      created: 1,
      version: 2,
      lease: leader.lease,
    });
  });

  test("by one who no longer leads is refused", async (t) => {
    const leader = await elected(t, "one");
    await t.client.resign({ leader });
    await t.rejects(t.client.proclaim({ leader, value: bytes("two") }), status.ElectionNotLeader);
  });

  test("under a wrong revision is refused", async (t) => {
    const leader = await elected(t, "one");
    const call = t.client.proclaim({ leader: { ...leader, rev: leader.rev + 1n }, value: bytes("two") });
    await t.rejects(call, status.ElectionNotLeader);
  });

  test("without a leader is refused", async (t) => {
    await t.rejects(t.client.proclaim({ value: bytes("two") }), status.ElectionLeaderMissing);
  });
});

conformance("Resign", (test) => {
  test("deletes the leader's key", async (t) => {
    const leader = await elected(t, "me");
    expect(t.since(headerOf(await t.client.resign({ leader })).revision)).toBe(2);
    expect((await t.list()).count).toBe(0n);
  });

  test("under a wrong revision succeeds and does nothing", async (t) => {
    const leader = await elected(t, "me");
    await t.client.resign({ leader: { ...leader, rev: leader.rev + 1n } });
    expect((await t.list()).count).toBe(1n);
  });

  test("twice is fine", async (t) => {
    const leader = await elected(t, "me");
    await t.client.resign({ leader });
    await t.client.resign({ leader });
    expect(await t.revision()).toBe(t.base + 2n);
  });

  test("without a leader is refused", async (t) => {
    await t.rejects(t.client.resign(), status.ElectionLeaderMissing);
  });
});

conformance("Observe", (test) => {
  test("tells the present leader, each proclamation and each new leader", async (t) => {
    const leader = await elected(t, "one");
    const stream = t.client.observe({ name: t.key("e") });
    t.cleanup(() => stream.cancel());
    const next = async () => text((await stream.next()).kv?.value ?? bytes(""));
    expect(await next()).toBe("one");
    await t.client.proclaim({ leader, value: bytes("two") });
    expect(await next()).toBe("two");
    await t.client.resign({ leader });
    await elected(t, "three");
    expect(await next()).toBe("three");
  });

  test("says nothing until somebody leads", async (t) => {
    const stream = t.client.observe({ name: t.key("e") });
    t.cleanup(() => stream.cancel());
    await elected(t, "one");
    const first = await stream.next();
    expect(text(first.kv?.value ?? bytes(""))).toBe("one");
    expect(headerOf(first).memberId).not.toBe(0n);
  });

  test("a canceled observer harms nothing", async (t) => {
    const stream = t.client.observe({ name: t.key("e") });
    stream.cancel();
    expect((await stream.ended()).code).toBe(Code.CANCELLED);
    await elected(t, "one");
  });
});
