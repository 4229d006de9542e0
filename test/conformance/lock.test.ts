/** Conformance: the Lock service. */

import { expect } from "vitest";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, headerOf, text } from "./words.js";

const LOCK_TTL = 60n;

/** Every error of the helper services travels with code UNKNOWN and the inner text. */
function unknown(message: string) {
  return { code: Code.UNKNOWN, message };
}

function lock(t: Context, lease: bigint, timeoutMs = 10_000) {
  return t.client.lock({ name: t.key("l"), lease }, { timeoutMs });
}

conformance("Lock", (test) => {
  test("the key is the name, a slash and the lease id in lower-case hex", async (t) => {
    const lease = await t.grant(600n, 0xabcn);
    const { key, header } = await lock(t, lease);
    expect(t.name(key)).toBe("l/abc");
    expect(header?.memberId).not.toBe(0n);
  });

  test("the key is an empty value under the lease", async (t) => {
    const lease = await t.grant();
    const { key } = await lock(t, lease);
    const { kvs } = await t.client.range({ key });
    expect(t.facts(kvs[0])).toMatchObject({ value: "", lease, version: 1 });
  });

  test("a negative lease id is written with a minus sign", async (t) => {
    const lease = await t.grant(600n, -0x77n);
    expect(t.name((await lock(t, lease)).key)).toBe("l/-77");
  });

  test("without a lease the server grants one of 60 s", async (t) => {
    const { key } = await lock(t, 0n);
    const id = BigInt(`0x${t.name(key).slice("l/".length)}`);
    expect((await t.client.leaseTimeToLive({ ID: id })).grantedTTL).toBe(LOCK_TTL);
    await t.client.leaseRevoke({ ID: id });
  });

  test("an empty name works", async (t) => {
    const lease = await t.grant(600n, 0x1234n);
    const { key } = await t.client.lock({ lease });
    expect(text(key)).toBe("/1234");
    await t.client.unlock({ key });
  });

  test("the same lease locking again has it at once, under the same key", async (t) => {
    const lease = await t.grant();
    const first = await lock(t, lease);
    const second = await lock(t, lease);
    expect(text(second.key)).toBe(text(first.key));
    expect((await t.list()).count).toBe(1n);
  });

  test("a second lease waits until the first unlocks", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    const held = await lock(t, first);
    let isHeld = false;
    const waiting = lock(t, second).then((response) => {
      isHeld = true;
      return response;
    });
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(2n);
    });
    expect(isHeld).toBe(false);
    await t.client.unlock({ key: held.key });
    expect(text((await waiting).key)).not.toBe(text(held.key));
  });

  test("the end of the holder's lease passes the lock on", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    await lock(t, first);
    const waiting = lock(t, second);
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(2n);
    });
    await t.client.leaseRevoke({ ID: first });
    expect(t.names((await t.list()).kvs)).toEqual([t.name((await waiting).key)]);
  });

  test("waiters get it in the order they came", async (t) => {
    const leases = [await t.grant(), await t.grant(), await t.grant()];
    const order: number[] = [];
    const holding = await lock(t, leases[0] ?? 0n);
    const queued: Promise<void>[] = [];
    for (const index of [1, 2]) {
      queued.push(
        lock(t, leases[index] ?? 0n).then(async ({ key }) => {
          order.push(index);
          await t.client.unlock({ key });
        }),
      );
      await t.eventually(async () => {
        expect((await t.list()).count).toBe(BigInt(index + 1));
      });
    }
    await t.client.unlock({ key: holding.key });
    await Promise.all(queued);
    expect(order).toEqual([1, 2]);
  });

  test("a waiter whose deadline passes takes its key away", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    const held = await lock(t, first);
    const failure = await lock(t, second, 300).catch((error: { code: number }) => error);
    // Client and server watch the same deadline; if the server is first, the client sees its stream canceled.
    expect([Code.DEADLINE_EXCEEDED, Code.CANCELLED]).toContain("code" in failure ? failure.code : Code.OK);
    await t.eventually(async () => {
      expect(t.names((await t.list()).kvs)).toEqual([t.name(held.key)]);
    });
    expect(await t.revision()).toBe(t.base + 3n);
  });

  test("a waiter whose lease ends is told that its session is over", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    const held = await lock(t, first);
    const waiting = lock(t, second);
    const failing = expect(waiting).rejects.toMatchObject(unknownError(status.MutexSessionExpired.message));
    await t.eventually(async () => {
      expect((await t.list()).count).toBe(2n);
    });
    await t.client.leaseRevoke({ ID: second });
    await t.client.unlock({ key: held.key });
    await failing;
  });

  test("an unknown lease is refused with code UNKNOWN", async (t) => {
    await t.rejects(lock(t, 4242n), unknown(status.LeaseNotFound.message));
  });

  test("locks of different names do not meet", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    await t.client.lock({ name: t.key("x"), lease: first });
    await t.client.lock({ name: t.key("y"), lease: second });
    expect((await t.list()).count).toBe(2n);
  });

  test("the holder of a name does not stand in the way of a longer one", async (t) => {
    const [first, second] = [await t.grant(), await t.grant()];
    await t.client.lock({ name: t.key("x"), lease: first });
    await t.client.lock({ name: t.key("xx"), lease: second });
    expect((await t.list()).count).toBe(2n);
  });
});

function unknownError(details: string) {
  return { code: Code.UNKNOWN, details };
}

conformance("Unlock", (test) => {
  test("deletes the key, under its own revision", async (t) => {
    const { key } = await lock(t, await t.grant());
    const response = await t.client.unlock({ key });
    expect(t.since(headerOf(response).revision)).toBe(2);
    expect((await t.list()).count).toBe(0n);
  });

  test("of an unknown key is fine", async (t) => {
    expect(headerOf(await t.client.unlock({ key: t.key("none") })).revision).toBe(t.base);
  });

  test("of an empty key is refused with code UNKNOWN", async (t) => {
    await t.rejects(t.client.unlock({ key: bytes("") }), unknown(status.EmptyKey.message));
  });
});
