/** Locks: held by one, in order, lost in time, and never left behind. */
import { expect, it } from "vitest";
import { type Held, LockLostError, lock, session, tryLock, withLock } from "../../../src/client/concurrency/index.js";
import { createClient, formatId, op, utf8 } from "../../../src/client/index.js";
import { startTcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { onTargets, type Stage, warningsOf } from "./on-targets.js";

/** Resolves when so many keys stand in line. */
async function inLine({ client }: Stage, name: string, count: number): Promise<void> {
  await expect.poll(() => client.count({ prefix: `${name}/` }), { timeout: 10_000, interval: 10 }).toBe(count);
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  // A round trip later, whatever was to settle by itself has settled.
  return (await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))])) === pending;
}

function signalled(held: Held): Promise<unknown> {
  return new Promise((resolve) =>
    held.signal.addEventListener("abort", () => resolve(held.signal.reason), { once: true }),
  );
}

onTargets("lock", (stage) => {
  it("holds a key of Go's layout, whose create revision guards and fences", async () => {
    const { client } = stage;
    const name = stage.name();
    const first = await lock(client, name);
    const kv = await client.get(first.key);
    expect(first.key).toBe(`${name}/${formatId(first.lease.id)}`);
    expect(kv).toMatchObject({ value: "", createRevision: first.fencingToken, lease: first.lease.id });
    const guarded = () => client.txn({ if: [first.guard()], then: [op.put(`${name} guarded`, "1")] });
    expect((await guarded()).succeeded).toBe(true);
    await first.release();
    expect((await guarded()).succeeded).toBe(false);
    expect(first.signal.reason).toMatchObject({
      code: "LockLost",
      reason: "released",
      fencingToken: first.fencingToken,
    });
    expect(await client.leases.timeToLive(first.lease.id)).toBeUndefined();
    await using second = await lock(client, name);
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
  });

  it("is given to one at a time, in the order of asking", async () => {
    const { client } = stage;
    const name = stage.name();
    const order: number[] = [];
    let holders = 0;
    const begun = new AbortController();
    const allInLine = new Promise((resolve) => begun.signal.addEventListener("abort", resolve, { once: true }));
    const tasks: Promise<void>[] = [];
    for (let number = 1; number <= 6; number++) {
      tasks.push(
        withLock(client, name, async (held) => {
          expect(++holders).toBe(1);
          order.push(number);
          await allInLine;
          await client.txn({ if: [held.guard()], then: [op.put(`${name} by`, String(number))] });
          holders--;
        }),
      );
      await inLine(stage, name, number);
    }
    begun.abort();
    await Promise.all(tasks);
    expect(order).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await client.count({ prefix: `${name}/` })).toBe(0);
  });

  it("waits for all who came before, not only for the last of them", async () => {
    const { client } = stage;
    const name = stage.name();
    const first = await lock(client, name);
    const middle = new AbortController();
    const second = lock(client, name, { signal: middle.signal });
    await inLine(stage, name, 2);
    const third = lock(client, name);
    await inLine(stage, name, 3);
    middle.abort(new Error("enough"));
    await expect(second).rejects.toMatchObject({ code: "Aborted", outcome: "not-applied", cause: new Error("enough") });
    await inLine(stage, name, 2);
    // A third one that only watched the second would have it by the time another one is in line.
    const fourth = lock(client, name);
    await inLine(stage, name, 3);
    expect(await isPending(third)).toBe(true);
    await first.release();
    await (await third).release();
    await (await fourth).release();
  });

  it("is not waited for longer than asked, and then nothing is left in line", async () => {
    const { client } = stage;
    const name = stage.name();
    await using held = await lock(client, name);
    const leases = (await client.leases.list()).length;
    await expect(lock(client, name, { timeoutMs: 200 })).rejects.toMatchObject({
      code: "TimedOut",
      outcome: "not-applied",
    });
    expect((await client.list({ prefix: `${name}/` })).kvs.map((kv) => kv.key)).toEqual([held.key]);
    expect((await client.leases.list()).length).toBe(leases);
  });

  it("is tried without standing in line", async () => {
    const { client } = stage;
    const name = stage.name();
    const held = await tryLock(client, name);
    expect(held?.fencingToken).toBeGreaterThan(0n);
    const leases = (await client.leases.list()).length;
    const { header } = await client.list(name);
    expect(await tryLock(client, name)).toBeUndefined();
    await using lease = await session(client);
    expect(await tryLock(client, name, { lease })).toBeUndefined();
    expect((await client.list({ prefix: `${name}/` })).header.revision).toBe(header.revision);
    expect((await client.leases.list()).length).toBe(leases + 1);
    await held?.release();
    const mine = await tryLock(client, name, { lease });
    expect(mine?.key).toBe(`${name}/${formatId(lease.id)}`);
    expect(await tryLock(client, name, { lease })).toBeUndefined();
    await mine?.release();
    expect(lease.signal.aborted).toBe(false);
  });

  it("takes turns among those who share a session", async () => {
    const { client } = stage;
    const name = stage.name();
    await using lease = await session(client, { ttl: 30 });
    const other = await lock(client, `${name} other`, { lease });
    let holders = 0;
    const tokens = await Promise.all(
      Array.from({ length: 5 }, () =>
        withLock(
          client,
          name,
          async (held) => {
            expect(++holders).toBe(1);
            await client.get(held.key);
            holders--;
            return held.fencingToken;
          },
          { lease },
        ),
      ),
    );
    expect(tokens).toEqual(tokens.toSorted((a, b) => Number(a - b)));
    expect(new Set(tokens).size).toBe(5);
    expect(other.signal.aborted).toBe(false);
    expect(lease.signal.aborted).toBe(false);
    const giveUp = new AbortController();
    await using held = await lock(client, name, { lease });
    const waiting = lock(client, name, { lease, signal: giveUp.signal });
    giveUp.abort();
    await expect(waiting).rejects.toMatchObject({ code: "Aborted" });
    expect(held.signal.aborted).toBe(false);
  });

  it("is no burden to a session and a signal that many share", async () => {
    const { client } = stage;
    const name = stage.name();
    const { signal } = new AbortController();
    const work = async () => {
      await using lease = await session(client, { ttl: 30 });
      const all = Array.from({ length: 15 }, (_, index) => lock(client, `${name} ${index}`, { lease, signal }));
      const held = await Promise.all(all);
      await lease.revoke();
      expect(held.filter((each) => !each.signal.aborted)).toEqual([]);
    };
    expect(await warningsOf(work)).toEqual([]);
  });

  it("tells its holder when somebody deletes its key, and when its lease is revoked", async () => {
    const { client } = stage;
    const name = stage.name();
    const deleted = await lock(client, name);
    const told = signalled(deleted);
    await client.delete(deleted.key);
    expect(await told).toMatchObject({ code: "LockLost", reason: "deleted", key: deleted.key });
    await deleted.release();
    expect(await client.leases.timeToLive(deleted.lease.id)).toBeUndefined();

    const revoked = await lock(client, name, { ttl: 3 });
    const toldToo = signalled(revoked);
    await client.leases.revoke(revoked.lease.id);
    // Its key goes with the lease, and that is seen before the next renewal.
    expect(await toldToo).toMatchObject({ code: "LockLost", reason: "deleted" });
    await revoked.release();
  });

  it("tells its holder in time that nobody can be reached", async () => {
    const { client, server } = stage;
    const name = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    const held = await lock(faulty, name, { ttl: 2 });
    const waiting = lock(client, name);
    await inLine(stage, name, 2);
    proxy.flow({ requests: "swallow", replies: "swallow" });
    const told = signalled(held).then((reason) => ({ reason, atMs: performance.now() }));
    const next = await waiting;
    const takenAtMs = performance.now();
    const { reason, atMs } = await told;
    expect(reason).toMatchObject({ reason: "lease", cause: { code: "LeaseLost", reason: "unreachable" } });
    expect(atMs).toBeLessThanOrEqual(takenAtMs);
    expect(next.fencingToken).toBeGreaterThan(held.fencingToken);
    await next.release();
  });

  it("is not waited for by one whose lease or key is gone", async () => {
    const { client } = stage;
    const name = stage.name();
    await using held = await lock(client, name);
    const lease = await session(client, { ttl: 60 });
    const dead = lock(client, name, { lease });
    await inLine(stage, name, 2);
    await lease.revoke();
    // Whichever is noticed first: that the lease is lost, or that the key went with it.
    await expect(dead).rejects.toMatchObject({ code: expect.stringMatching(/^(LeaseLost|LockLost)$/) });
    const robbed = lock(client, name);
    await inLine(stage, name, 2);
    const { kvs } = await client.list({ prefix: `${name}/` });
    await client.delete(kvs.find(({ key }) => key !== held.key)?.key ?? "");
    await expect(robbed).rejects.toMatchObject({ code: "LockLost", reason: "deleted" });
    expect(held.signal.aborted).toBe(false);
    await inLine(stage, name, 1);
  });

  it("rejects work during which it was lost, and keeps the work's own failure", async () => {
    const { client } = stage;
    const name = stage.name();
    expect(await withLock(client, name, async () => "done")).toBe("done");
    await expect(withLock(client, name, () => Promise.reject(new Error("own")))).rejects.toThrow("own");
    const robbed = withLock(client, name, async (held) => {
      await client.delete(held.key);
      return "done, so it thinks";
    });
    await expect(robbed).rejects.toBeInstanceOf(LockLostError);
    await expect(robbed).rejects.toMatchObject({ reason: "deleted" });
    const failing = withLock(client, name, async (held) => {
      const told = signalled(held);
      await client.delete(held.key);
      await told;
      throw new Error("stopped in the middle");
    });
    await expect(failing).rejects.toMatchObject({ code: "LockLost", cause: new Error("stopped in the middle") });
    expect(await client.count({ prefix: `${name}/` })).toBe(0);
  });

  it("is taken once though the answer to its put was lost", async () => {
    const { client, server } = stage;
    const name = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    await using lease = await session(faulty, { ttl: 20 });
    proxy.flow({ replies: "swallow" });
    const locking = lock(faulty, name, { lease });
    await inLine(stage, name, 1);
    proxy.flow({ replies: "pass" });
    proxy.cut();
    await using held = await locking;
    expect(await client.get(held.key)).toMatchObject({ createRevision: held.fencingToken, version: 1 });
    expect(await client.count({ prefix: `${name}/` })).toBe(1);
  });

  it("leaves nothing in line when given up while the answer to its put is lost", async () => {
    const { client, server } = stage;
    const name = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    for (const shared of [await session(faulty, { ttl: 20 }), undefined]) {
      await faulty.get(name);
      const giveUp = new AbortController();
      proxy.flow({ replies: "pass" });
      const options = { signal: giveUp.signal, ...(shared === undefined ? {} : { lease: shared }) };
      await using blocker = await lock(client, name);
      const locking = lock(faulty, name, options);
      await inLine(stage, name, 2);
      proxy.flow({ replies: "swallow" });
      giveUp.abort();
      const settled = expect(locking).rejects.toMatchObject({ code: "Aborted", outcome: "not-applied" });
      proxy.flow({ replies: "pass" });
      proxy.cut();
      await settled;
      expect(await client.count({ prefix: `${name}/` })).toBe(1);
      expect(blocker.signal.aborted).toBe(false);
    }
  });

  it("survives cut connections and a compaction, waiting and held", async () => {
    const { client, server } = stage;
    const name = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    const first = await lock(client, name);
    const waiting = lock(faulty, name, { ttl: 20 });
    await inLine(stage, name, 2);
    proxy.admit("refuse");
    proxy.cut();
    await first.release();
    for (let round = 0; round < 5; round++) await client.put(`${name} noise`, String(round));
    const { header } = await client.list(name);
    await client.compact(header.revision);
    proxy.admit("all");
    const second = await waiting;
    proxy.admit("refuse");
    proxy.cut();
    await client.compact((await client.put(`${name} noise`, "more")).header.revision);
    const told = signalled(second);
    await client.delete(second.key);
    await client.compact((await client.put(`${name} noise`, "again")).header.revision);
    proxy.admit("all");
    expect(await told).toMatchObject({ reason: "deleted" });
    await second.release();
  });

  it("stands in one line with the server's own Lock service", async () => {
    const { client } = stage;
    const name = stage.name();
    const first = await lock(client, name);
    await using lease = await session(client, { ttl: 30 });
    const theirs = client.raw.lock.lock({ name: utf8.encode(name), lease: lease.id });
    await inLine(stage, name, 2);
    const third = lock(client, name);
    await inLine(stage, name, 3);
    await first.release();
    const { key } = await theirs;
    expect(utf8.decode(key)).toBe(`${name}/${formatId(lease.id)}`);
    expect(await isPending(third)).toBe(true);
    expect(await tryLock(client, name)).toBeUndefined();
    await client.raw.lock.unlock({ key });
    await (await third).release();
  });

  it("keeps names apart that are bytes, and one that is the beginning of another", async () => {
    const { client } = stage;
    const name = stage.name();
    await using short = await lock(client, name);
    await using long = await lock(client, `${name}x`);
    await using raw = await lock(client, Uint8Array.of(0xff, 0x00, 0xfe));
    await using other = await lock(client, Uint8Array.of(0xff, 0x00, 0xfd));
    expect([short, long, raw, other].filter((held) => held.signal.aborted)).toEqual([]);
    expect(raw.keyBytes.slice(0, 4)).toEqual(Uint8Array.of(0xff, 0x00, 0xfe, 0x2f));
    expect((await client.get(raw.keyBytes))?.lease).toBe(raw.lease.id);
  });
});
