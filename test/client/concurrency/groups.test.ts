/** Semaphores, locks for readers and writers, and barriers: several at once, and never too many. */
import { expect, it } from "vitest";
import { barrier, readLock, semaphore, session, writeLock } from "../../../src/client/concurrency/index.js";
import { onTargets, type Stage } from "./on-targets.js";

async function count({ client }: Stage, prefix: string, wanted: number): Promise<void> {
  await expect.poll(() => client.count({ prefix }), { timeout: 10_000, interval: 10 }).toBe(wanted);
}

/** The promises that have resolved, by their position. */
function settledOf(promises: readonly Promise<unknown>[]): Set<number> {
  const settled = new Set<number>();
  for (const [position, promise] of promises.entries()) {
    promise.then(
      () => settled.add(position),
      () => undefined,
    );
  }
  return settled;
}

onTargets("semaphore", (stage) => {
  it("gives out so many permits and no more, in the order of asking, also under one session", async () => {
    const { client } = stage;
    const name = stage.name();
    await using lease = await session(client, { ttl: 30 });
    let out = 0;
    let most = 0;
    const order: number[] = [];
    const leave: (() => void)[] = [];
    const tasks = [];
    for (let number = 1; number <= 7; number++) {
      const shared = number % 2 === 0 ? { lease } : {};
      const leaving = new Promise<void>((resolve) => {
        leave[number] = resolve;
      });
      tasks.push(
        semaphore(client, name, 3, shared).then(async (held) => {
          order.push(number);
          most = Math.max(most, ++out);
          await leaving;
          // A round trip with the permit, so that a fourth one would meet it.
          await client.get(held.key);
          out--;
          await held.release();
        }),
      );
      await count(stage, `${name}/`, number);
    }
    await expect.poll(() => order.length).toBe(3);
    expect(new Set(order)).toEqual(new Set([1, 2, 3]));
    // One permit at a time is given back, so there is one who may come next.
    for (const [position, number] of [2, 3, 1, 4, 5, 6, 7].entries()) {
      leave[number]?.();
      await expect.poll(() => order.length).toBe(Math.min(4 + position, 7));
    }
    await Promise.all(tasks);
    expect(most).toBe(3);
    expect(order.slice(3)).toEqual([4, 5, 6, 7]);
    expect(await client.count({ prefix: `${name}/` })).toBe(0);
  });

  it("goes on when permits are given back in any order, and when those in between give up", async () => {
    const { client } = stage;
    const name = stage.name();
    const [first, second] = await Promise.all([semaphore(client, name, 2), semaphore(client, name, 2)]);
    const giveUp = new AbortController();
    const third = semaphore(client, name, 2, { signal: giveUp.signal });
    await count(stage, `${name}/`, 3);
    const fourth = semaphore(client, name, 2);
    await count(stage, `${name}/`, 4);
    giveUp.abort();
    await expect(third).rejects.toMatchObject({ code: "Aborted" });
    const settled = settledOf([fourth]);
    await expect(semaphore(client, name, 2, { timeoutMs: 100 })).rejects.toMatchObject({ code: "TimedOut" });
    expect(settled.size).toBe(0);
    await second.release();
    const held = await fourth;
    await first.release();
    await held.release();
    await expect(semaphore(client, name, 0)).rejects.toThrow(RangeError);
  });
});

onTargets("read-write lock", (stage) => {
  it("lets readers in together, a writer alone, and nobody overtake", async () => {
    const { client } = stage;
    const name = stage.name();
    const readers = await Promise.all([readLock(client, name), readLock(client, name)]);
    const writer = writeLock(client, name);
    await count(stage, `${name}/`, 3);
    const late = readLock(client, name);
    await count(stage, `${name}/`, 4);
    const settled = settledOf([writer, late]);
    await readers[0].release();
    await expect(writeLock(client, name, { timeoutMs: 100 })).rejects.toMatchObject({ code: "TimedOut" });
    expect(settled.size).toBe(0);
    await readers[1].release();
    const writing = await writer;
    await expect(readLock(client, name, { timeoutMs: 100 })).rejects.toMatchObject({ code: "TimedOut" });
    expect(settled.has(1)).toBe(false);
    await writing.release();
    await (await late).release();
    expect(await client.count({ prefix: `${name}/` })).toBe(0);
  });
});

onTargets("barrier", (stage) => {
  it("opens when enough are there, and closes when all have left", async () => {
    const { client } = stage;
    const name = stage.name();
    const entering = [barrier(client, name, 3), barrier(client, name, 3)];
    await count(stage, `${name}/waiters/`, 2);
    const settled = settledOf(entering);
    await expect(barrier(client, name, 3, { timeoutMs: 0 })).rejects.toMatchObject({ code: "TimedOut" });
    expect(settled.size).toBe(0);
    const [one, two, three] = await Promise.all([...entering, barrier(client, name, 3)]);
    const leaving = [one?.leave(), two?.leave()].map((each) => Promise.resolve(each));
    await count(stage, `${name}/waiters/`, 1);
    const left = settledOf(leaving);
    await expect(two?.leave({ timeoutMs: 100 })).rejects.toMatchObject({ code: "TimedOut" });
    expect(left.size).toBe(0);
    await three?.leave();
    await Promise.all(leaving);
  });

  it("admits whole groups in the order of coming, and does not count those who died", async () => {
    const { client } = stage;
    const name = stage.name();
    const dead = await session(client, { ttl: 60 });
    const lost = barrier(client, name, 2, { lease: dead });
    await count(stage, `${name}/waiters/`, 1);
    const failed = expect(lost).rejects.toMatchObject({ code: expect.stringMatching(/^(LeaseLost|LockLost)$/) });
    await dead.revoke();
    await failed;
    const entering: ReturnType<typeof barrier>[] = [];
    for (let number = 1; number <= 5; number++) {
      entering.push(barrier(client, name, 2));
      await expect.poll(() => client.count({ prefix: `${name}/waiters/` }), { interval: 10 }).toBe(number);
    }
    const settled = settledOf(entering);
    const inside = await Promise.all(entering.slice(0, 4));
    expect([...settled].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
    for (const entered of inside) await entered[Symbol.asyncDispose]();
    const rest = await Promise.all([...entering.slice(4), barrier(client, name, 2)]);
    await Promise.all(rest.map((entered) => entered.leave()));
    expect(await client.count({ prefix: `${name}/waiters/` })).toBe(0);
  });
});
