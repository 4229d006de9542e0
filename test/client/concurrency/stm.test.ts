/** Transactions that are functions: what each isolation level keeps from happening, and what it lets happen. */
import { expect, it, vi } from "vitest";
import { type Isolation, stm } from "../../../src/client/concurrency/index.js";
import { createClient, type EtcdClient, json } from "../../../src/client/index.js";
import { startTcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { onTargets, warningsOf } from "./on-targets.js";

const pinned: readonly Isolation[] = ["serializable-snapshot", "serializable"];
const checked: readonly Isolation[] = [...pinned, "repeatable-reads"];

/** Two doctors are on call; each goes off if the other one stays. What both see before they write is up to the level. */
async function goOffCall(client: EtcdClient, name: string, isolation: Isolation): Promise<number> {
  await client.put(`${name}/anna`, "on");
  await client.put(`${name}/ben`, "on");
  let readers = 0;
  const bothRead = new AbortController();
  const reads = new Promise<void>((resolve) => {
    bothRead.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const goOff = (self: string, other: string) =>
    stm(
      client,
      async (tx) => {
        const [mine, others] = [await tx.get(`${name}/${self}`), await tx.get(`${name}/${other}`)];
        if (++readers === 2) bothRead.abort();
        await reads;
        if (mine === "on" && others === "on") tx.put(`${name}/${self}`, "off");
      },
      { isolation },
    );
  await Promise.all([goOff("anna", "ben"), goOff("ben", "anna")]);
  return (await client.list({ prefix: `${name}/` })).kvs.filter(({ value }) => value === "on").length;
}

onTargets("stm", (stage) => {
  it("returns what the function returned, writes what it wrote, and shows it its own writes", async () => {
    const { client } = stage;
    const name = stage.name();
    await client.put(`${name}/b`, "2");
    await client.put(`${name}/d`, "4");
    const seen = await stm(client, async (tx) => {
      expect(tx.attempt).toBe(1);
      expect(await tx.get(`${name}/b`)).toBe("2");
      expect(await tx.get(`${name}/none`)).toBeUndefined();
      tx.put(`${name}/c`, "3");
      tx.put(`${name}/b`, "two");
      tx.delete(`${name}/d`);
      expect(await tx.get(`${name}/b`)).toBe("two");
      expect(await tx.get(`${name}/d`)).toBeUndefined();
      tx.as(json<{ n: number }>()).put(`${name}/a`, { n: 1 });
      return (await tx.list({ prefix: `${name}/` })).map(({ key, value }) => `${key.at(-1)}=${value}`);
    });
    expect(seen).toEqual(['a={"n":1}', "b=two", "c=3"]);
    const { kvs } = await client.list({ prefix: `${name}/` });
    expect(kvs.map(({ key, value }) => `${key.at(-1)}=${value}`)).toEqual(seen);
    expect(new Set(kvs.map(({ modRevision }) => modRevision)).size).toBe(1);
  });

  it("writes nothing when the function throws, and lets nobody use the transaction afterwards", async () => {
    const { client } = stage;
    const name = stage.name();
    const kept: { put(key: string, value: string): void }[] = [];
    const failing = stm(client, async (tx) => {
      kept.push(tx);
      tx.put(name, "1");
      throw new Error("changed my mind");
    });
    await expect(failing).rejects.toThrow("changed my mind");
    expect(await client.get(name)).toBeUndefined();
    expect(() => kept[0]?.put(name, "2")).toThrow(TypeError);
  });

  it("keeps the sum of accounts, whoever transfers", async () => {
    const { client } = stage;
    const name = stage.name();
    const accounts = Array.from({ length: 5 }, (_, index) => `${name}/${index}`);
    await Promise.all(accounts.map((account) => client.put(account, "100")));
    const sum = () =>
      stm(client, async (tx) => {
        const balances = await tx.list({ prefix: `${name}/` });
        return balances.reduce((total, { value }) => total + Number(value), 0);
      });
    const transfer = async (seed: number, isolation: Isolation): Promise<void> => {
      const from = accounts[seed % 5] ?? "";
      const to = accounts[(seed * 3 + 1) % 5] ?? "";
      if (from === to) return;
      await stm(
        client,
        async (tx) => {
          const [source, target] = await Promise.all([tx.get(from), tx.get(to)]);
          const amount = Math.min(Number(source), 1 + (seed % 30));
          tx.put(from, String(Number(source) - amount));
          tx.put(to, String(Number(target) + amount));
        },
        { isolation, maxAttempts: 1_000 },
      );
    };
    const work = Array.from({ length: 60 }, (_, seed) => transfer(seed, checked[seed % 3] ?? "serializable"));
    const sums = Promise.all(Array.from({ length: 20 }, sum));
    await Promise.all(work);
    expect(new Set(await sums)).toEqual(new Set([500]));
    expect(await sum()).toBe(500);
  });

  it.each(checked)("prevents write skew when it is %s", async (isolation) => {
    expect(await goOffCall(stage.client, stage.name(), isolation)).toBe(1);
  });

  it("lets write skew happen when it is read-committed", async () => {
    expect(await goOffCall(stage.client, stage.name(), "read-committed")).toBe(0);
  });

  it.each([...pinned, "repeatable-reads", "read-committed"] as const)(
    "reads one revision or not when it is %s",
    async (isolation) => {
      const { client } = stage;
      const name = stage.name();
      const write = (value: string) =>
        stm(client, async (tx) => {
          tx.put(`${name}/a`, value);
          tx.put(`${name}/b`, value);
        });
      await write("1");
      const runs: string[] = [];
      await stm(
        client,
        async (tx) => {
          const a = await tx.get(`${name}/a`);
          if (tx.attempt === 1) await write("2");
          runs.push(`${a}${await tx.get(`${name}/b`)}`);
          expect(await tx.get(`${name}/a`)).toBe(a);
        },
        { isolation },
      );
      switch (isolation) {
        case "serializable-snapshot":
        case "serializable":
          // What was read is the store as it was, which nothing can make untrue.
          return expect(runs).toEqual(["11"]);
        case "repeatable-reads":
          return expect(runs).toEqual(["12", "22"]);
        case "read-committed":
          return expect(runs).toEqual(["12"]);
      }
    },
  );

  it.each([...pinned, "repeatable-reads"] as const)(
    "guards a range against newcomers or not when it is %s",
    async (isolation) => {
      const { client } = stage;
      const name = stage.name();
      await client.put(`${name}/in/a`, "1");
      let attempts = 0;
      await stm(
        client,
        async (tx) => {
          attempts = tx.attempt;
          const entries = await tx.list({ prefix: `${name}/in/` });
          if (tx.attempt === 1) await client.put(`${name}/in/b`, "2");
          if (tx.attempt === 2) await client.delete(`${name}/in/a`);
          tx.put(`${name}/count`, String(entries.length));
        },
        { isolation },
      );
      expect(attempts).toBe(isolation === "repeatable-reads" ? 1 : 3);
      expect((await client.get(`${name}/count`))?.value).toBe("1");
    },
  );

  it.each(["serializable-snapshot", "serializable"] as const)(
    "minds who wrote what it overwrites unread or not when it is %s",
    async (isolation) => {
      const { client } = stage;
      const name = stage.name();
      let attempts = 0;
      await stm(
        client,
        async (tx) => {
          attempts = tx.attempt;
          await tx.get(`${name}/read`);
          if (tx.attempt === 1) await client.put(`${name}/blind`, "theirs");
          tx.put(`${name}/blind`, "ours");
        },
        { isolation },
      );
      expect(attempts).toBe(isolation === "serializable" ? 1 : 2);
      expect((await client.get(`${name}/blind`))?.value).toBe("ours");
    },
  );

  it("gives up after so many conflicts, after so much time, and when told to", async () => {
    const { client } = stage;
    const name = stage.name();
    const collide = async (tx: { get(key: string): Promise<unknown>; put(key: string, value: string): void }) => {
      await tx.get(name);
      await client.put(name, "theirs");
      tx.put(name, "ours");
    };
    await expect(stm(client, collide, { maxAttempts: 3 })).rejects.toMatchObject({
      code: "Conflict",
      attempts: 3,
      outcome: "not-applied",
    });
    await expect(stm(client, collide, { timeoutMs: 150, maxAttempts: 1e6 })).rejects.toMatchObject({
      code: "TimedOut",
    });
    const unpaused = vi.spyOn(Math, "random").mockReturnValue(0);
    const often = () => stm(client, collide, { maxAttempts: 13 }).catch(() => undefined);
    expect(await warningsOf(often)).toEqual([]);
    unpaused.mockRestore();
    const giveUp = new AbortController();
    const running = stm(client, collide, { signal: giveUp.signal, maxAttempts: 1e6 });
    giveUp.abort();
    await expect(running).rejects.toMatchObject({ code: "Aborted" });
    expect((await client.get(name))?.value).toBe("theirs");
  });

  it("reads on after a compaction, and does not repeat a commit whose answer was lost", async () => {
    const { client, server } = stage;
    const name = stage.name();
    await client.put(`${name}/n`, "1");
    await stm(client, async (tx) => {
      const n = Number(await tx.get(`${name}/n`));
      if (tx.attempt === 1) {
        const { header } = await client.put(`${name}/noise`, "1");
        await client.compact(header.revision);
      }
      await tx.get(`${name}/other`);
      tx.put(`${name}/n`, String(n + 1));
    });
    expect((await client.get(`${name}/n`))?.value).toBe("2");

    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    let runs = 0;
    const counting = stm(faulty, async (tx) => {
      runs++;
      const n = Number(await tx.get(`${name}/n`));
      proxy.flow({ replies: "swallow" });
      tx.put(`${name}/n`, String(n + 1));
    });
    const failed = expect(counting).rejects.toMatchObject({ outcome: "unknown" });
    await expect.poll(async () => (await client.get(`${name}/n`))?.value, { interval: 10 }).toBe("3");
    proxy.cut();
    await failed;
    expect(runs).toBe(1);
    expect((await client.get(`${name}/n`))?.value).toBe("3");
  });
});
