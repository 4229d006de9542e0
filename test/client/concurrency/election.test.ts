/** Elections: one leader, whose word everybody hears, in the line of Go's elections. */
import { expect, it } from "vitest";
import { campaign, leader, observeLeader, session } from "../../../src/client/concurrency/index.js";
import { createClient, formatId, op, utf8 } from "../../../src/client/index.js";
import { startTcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { onTargets, type Stage } from "./on-targets.js";

async function candidates({ client }: Stage, election: string, count: number): Promise<void> {
  await expect.poll(() => client.count({ prefix: `${election}/` }), { timeout: 10_000, interval: 10 }).toBe(count);
}

onTargets("election", (stage) => {
  it("has the candidate lead that came first, and the next one when it resigns", async () => {
    const { client } = stage;
    const election = stage.name();
    expect(await leader(client, election)).toBeUndefined();
    const first = await campaign(client, election, "one");
    const waiting = campaign(client, election, "two");
    await candidates(stage, election, 2);
    expect(await leader(client, election)).toMatchObject({
      key: `${election}/${formatId(first.lease.id)}`,
      value: "one",
      createRevision: first.fencingToken,
    });
    await first.release();
    await using second = await waiting;
    expect(await leader(client, election)).toMatchObject({ value: "two", createRevision: second.fencingToken });
    expect((await client.txn({ if: [first.guard()], then: [op.put(`${election} old`, "1")] })).succeeded).toBe(false);
  });

  it("lets the leader change its word, in order, and nobody else", async () => {
    const { client } = stage;
    const election = stage.name();
    const leading = await campaign(client, election, "0");
    await Promise.all(Array.from({ length: 10 }, (_, index) => leading.proclaim(String(index + 1))));
    expect(await leader(client, election)).toMatchObject({ value: "10", version: 11, lease: leading.lease.id });
    // Somebody else writes the key: the next word counts all the same.
    await client.put(leading.key, "meddled", { lease: "keep" });
    await leading.proclaim("mine");
    expect((await leader(client, election))?.value).toBe("mine");
    await client.delete(leading.key);
    await client.put(leading.key, "usurped");
    await expect(leading.proclaim("late")).rejects.toMatchObject({ code: "LockLost", reason: "deleted" });
    expect((await leader(client, election))?.value).toBe("usurped");
    await leading.release();
  });

  it("proclaims once though the answer was lost, and leads again under the same session with another word", async () => {
    const { client, server } = stage;
    const election = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    await using lease = await session(faulty, { ttl: 20 });
    const leading = await campaign(faulty, election, "before", { lease });
    proxy.flow({ replies: "swallow" });
    const proclaiming = leading.proclaim("after");
    await expect.poll(async () => (await leader(client, election))?.value, { interval: 10 }).toBe("after");
    proxy.flow({ replies: "pass" });
    proxy.cut();
    await expect(proclaiming).rejects.toMatchObject({ outcome: "unknown" });
    await leading.proclaim("then");
    expect(await leader(client, election)).toMatchObject({ value: "then", version: 3 });
    // The key is left behind by a process that died and came back with its lease.
    await using again = await session(client, { leaseId: lease.id });
    const resumed = await campaign(client, election, "resumed", { lease: again });
    expect(resumed.fencingToken).toBe(leading.fencingToken);
    expect((await leader(client, election))?.value).toBe("resumed");
    await resumed.release();
  });

  it("stands in one line with the server's own Election service", async () => {
    const { client } = stage;
    const election = stage.name();
    const name = utf8.encode(election);
    const leading = await campaign(client, election, "ours");
    const seen = await client.raw.election.leader({ name });
    expect(utf8.decode(seen.kv?.value ?? new Uint8Array())).toBe("ours");
    await using lease = await session(client, { ttl: 30 });
    const theirs = client.raw.election.campaign({ name, lease: lease.id, value: utf8.encode("theirs") });
    await candidates(stage, election, 2);
    await leading.release();
    const { leader: won } = await theirs;
    expect(await leader(client, election)).toMatchObject({ value: "theirs", createRevision: won?.rev });
    const waiting = campaign(client, election, "again");
    await candidates(stage, election, 2);
    await client.raw.election.resign({ leader: won });
    await (await waiting).release();
  });

  it("tells observers every leader and every word, once and in order", async () => {
    const { client, server } = stage;
    const election = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    const stop = new AbortController();
    const seen: (string | undefined)[] = [];
    const observing = (async () => {
      for await (const kv of observeLeader(faulty, election, { signal: stop.signal })) seen.push(kv?.value);
    })();
    await expect.poll(() => seen).toEqual([undefined]);
    const first = await campaign(client, election, "a");
    await first.proclaim("b");
    const waiting = campaign(client, election, "c");
    await candidates(stage, election, 2);
    proxy.cut();
    await first.release();
    const second = await waiting;
    await second.proclaim("d");
    await second.release();
    await using third = await campaign(client, election, "e");
    await expect.poll(() => seen, { timeout: 10_000 }).toEqual([undefined, "a", "b", "c", "d", undefined, "e"]);
    expect(third.signal.aborted).toBe(false);
    stop.abort(new Error("seen enough"));
    await expect(observing).rejects.toMatchObject({ code: "Aborted" });
  });

  it("goes on observing after a compaction that it missed", async () => {
    const { client, server } = stage;
    const election = stage.name();
    await using proxy = await startTcpProxy(server.endpoint);
    await using faulty = createClient({ endpoints: proxy.endpoint });
    const first = await campaign(client, election, "a");
    const observer = observeLeader(faulty, election);
    expect((await observer.next()).value).toMatchObject({ value: "a" });
    const next = observer.next();
    proxy.admit("refuse");
    proxy.cut();
    await first.release();
    await using second = await campaign(client, election, "b");
    const { header } = await client.put(`${election} noise`, "1");
    await client.compact(header.revision);
    proxy.admit("all");
    expect((await next).value).toMatchObject({ value: "b", createRevision: second.fencingToken });
    await observer.return(undefined);
  });
});
