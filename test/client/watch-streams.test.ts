/** How watchers share streams: with a server whose every answer is decided here. */
import { afterEach, describe, expect, it } from "vitest";
import { type ClientOptions, createClient, type EtcdClient, type Watch } from "../../src/client/index.js";
import { WatchTransport } from "../support/watch-transport.js";
import { revisionOf, take } from "./watching.js";

const clients: EtcdClient[] = [];

function connected(options: Partial<ClientOptions> = {}): { service: WatchTransport; client: EtcdClient } {
  const service = new WatchTransport();
  const client = createClient({ endpoints: "one:1", transport: service, ...options });
  clients.push(client);
  return { service, client };
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

const started = (watches: readonly Watch<string>[]): Promise<bigint[]> =>
  Promise.all(watches.map((watch) => watch.started));
const denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
const badToken = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";

describe("watchers of one client", () => {
  it("share a stream and one read of the revision, and fill several streams when they are many", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    await started(Array.from({ length: 300 }, (_, index) => client.watch(`k${index}`)));
    expect(service.reads).toBe(1);
    expect(service.streams.map(({ creates }) => creates.length)).toEqual([128, 128, 44]);
  });

  it("are created all at once when the server takes their ids", async () => {
    const { service, client } = connected();
    const watches = Array.from({ length: 5 }, () => client.watch("k", { from: 3 }));
    await expect.poll(() => service.streams[0]?.creates.length).toBe(1);
    const [stream] = service.streams;
    stream?.confirm(0);
    await expect.poll(() => stream?.creates.length).toBe(5);
    const ids = [1, 2, 3, 4].map((index) => stream?.confirm(index));
    await started(watches);
    expect(new Set(ids).size).toBe(4);
    expect(ids.every((id) => id !== undefined && id > 2n ** 32n)).toBe(true);
  });

  it("are created one after the other when the server gives ids of its own", async () => {
    const { service, client } = connected();
    const watches = [0, 1, 2].map((index) => client.watch(`k${index}`, { from: 3 }));
    const [, second] = watches;
    if (second === undefined) throw new Error("three watches");
    await expect.poll(() => service.streams[0]?.creates.length).toBe(1);
    const [stream] = service.streams;
    for (let index = 0; index < 3; index++) {
      expect(stream?.creates).toHaveLength(index + 1);
      stream?.confirm(index, BigInt(index));
      await watches[index]?.started;
      await expect.poll(() => stream?.creates.length).toBe(Math.min(3, index + 2));
    }
    stream?.event(1n, 11n);
    const [event] = await take(second.events(), 1);
    expect(event && revisionOf(event)).toBe(11n);
    expect(stream?.creates.slice(1).map(({ watchId }) => watchId)).toEqual([0n, 0n]);
  });

  it("leave the others alone when one is refused, cancelled by the server, compacted away or closed", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, create, index) => {
      if (create.startRevision === 4n)
        stream.send({ watchId: -1n, created: true, canceled: true, cancelReason: denied });
      else stream.confirm(index);
    };
    const [stays, refused, compacted, closed] = [3, 4, 5, 6].map((from) => client.watch("k", { from }));
    if (!stays || !refused || !compacted || !closed) throw new Error("four watches");
    await started([stays, compacted, closed]);
    await expect(take(refused, 1)).rejects.toMatchObject({ code: "PermissionDenied" });
    const [stream] = service.streams;
    const idOf = (from: bigint) => stream?.creates.find(({ startRevision }) => startRevision === from)?.watchId ?? 0n;
    stream?.send({ watchId: idOf(5n), canceled: true, compactRevision: 8n, header: { revision: 0n } });
    await expect(take(compacted, 1)).rejects.toMatchObject({ compactRevision: 8n, resumeRevision: 5n });
    await closed.close();
    expect(stream?.cancels).toEqual([idOf(6n)]);
    stream?.event(idOf(6n), 11n);
    stream?.event(idOf(3n), 12n);
    expect(await take(stays.events(), 1)).toMatchObject([{ kv: { modRevision: 12n } }]);
    expect(service.open).toHaveLength(1);
    await stays.close();
    expect(service.open).toHaveLength(0);
  });

  it("that are closed before the server confirms them are cancelled then", async () => {
    const { service, client } = connected();
    const [stays, leaves] = [client.watch("a", { from: 3 }), client.watch("b", { from: 3 })];
    await expect.poll(() => service.streams[0]?.creates.length).toBe(1);
    const [stream] = service.streams;
    stream?.confirm(0);
    await expect.poll(() => stream?.creates.length).toBe(2);
    await leaves.close();
    expect(stream?.cancels).toEqual([]);
    const id = stream?.confirm(1);
    await expect.poll(() => stream?.cancels).toEqual([id]);
    expect(stays.state).toBe("catching-up");
  });

  it("go on from where each stands when their stream breaks, on another endpoint, and drop what comes twice", async () => {
    const { service, client } = connected({ endpoints: ["one:1", "two:2"] });
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const [first, second] = [client.watch("a", { from: 3 }), client.watch("b", { from: 3 })];
    await started([first, second]);
    const [stream] = service.streams;
    stream?.event(stream.creates[0]?.watchId ?? 0n, 7n);
    await expect.poll(() => first.resumeRevision).toBe(7n);
    stream?.break();
    await expect.poll(() => service.streams[1]?.creates.length).toBe(2);
    const [, next] = service.streams;
    expect(next?.endpoint).not.toBe(stream?.endpoint);
    expect(next?.creates.map(({ startRevision }) => startRevision)).toEqual([8n, 3n]);
    next?.event(next.creates[0]?.watchId ?? 0n, 7n);
    next?.event(next.creates[0]?.watchId ?? 0n, 9n);
    expect((await take(first.events(), 2)).map(revisionOf)).toEqual([7n, 9n]);
  });

  it("join fragments that come between messages for others", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const [one, other] = [client.watch("a", { from: 3 }), client.watch("b", { from: 3 })];
    await started([one, other]);
    const [stream] = service.streams;
    const [a = 0n, b = 0n] = stream?.creates.map(({ watchId }) => watchId) ?? [];
    stream?.event(a, 11n, { fragment: true });
    stream?.event(b, 12n);
    stream?.event(a, 11n);
    const [batch] = await take(one, 1);
    expect(batch?.events.map(revisionOf)).toEqual([11n, 11n]);
    expect((await take(other.events(), 1)).map(revisionOf)).toEqual([12n]);
  });

  it("in namespaces share a stream too, and see only their own keys", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const [outside, inside] = [client.watch("k", { from: 3 }), client.namespace("k").watch({ all: true }, { from: 3 })];
    await started([outside, inside]);
    expect(service.streams).toHaveLength(1);
    const [stream] = service.streams;
    const create = stream?.creates[1];
    expect(new TextDecoder().decode(create?.key)).toBe("k\0");
    stream?.send({
      watchId: create?.watchId ?? 0n,
      events: [{ type: 0, kv: { key: new TextEncoder().encode("kin"), modRevision: 11n } }],
    });
    expect(await take(inside.events(), 1)).toMatchObject([{ kv: { key: "in" } }]);
  });
});

describe("a reader that is too slow for its stream", () => {
  it("goes on a stream of its own from where it stands, and the others stay", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const [slow, quick] = [client.watch("a", { from: 3, highWaterMark: 3 }), client.watch("b", { from: 3 })];
    await started([slow, quick]);
    const [stream] = service.streams;
    const [a = 0n, b = 0n] = stream?.creates.map(({ watchId }) => watchId) ?? [];
    for (let revision = 11n; revision < 15n; revision++) stream?.event(a, revision);
    await expect.poll(() => service.streams.length).toBe(2);
    expect(stream?.cancels).toEqual([a]);
    const [, own] = service.streams;
    expect(own?.creates.map(({ startRevision }) => startRevision)).toEqual([15n]);
    own?.event(0n, 15n);
    own?.event(0n, 16n);
    stream?.event(b, 16n);
    expect((await take(quick.events(), 1)).map(revisionOf)).toEqual([16n]);
    expect((await take(slow.events(), 6)).map(revisionOf)).toEqual([11n, 12n, 13n, 14n, 15n, 16n]);
  });

  it("keeps the stream if it is alone on it, and leaves what it has no room for unread", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const slow = client.watch("a", { from: 3, highWaterMark: 3 });
    await slow.started;
    const [stream] = service.streams;
    const id = stream?.creates[0]?.watchId ?? 0n;
    for (let revision = 11n; revision < 31n; revision++) stream?.event(id, revision);
    await expect.poll(() => stream?.waiting).toBeGreaterThan(10);
    expect(service.streams).toHaveLength(1);
    expect((await take(slow.events(), 20)).map(revisionOf)).toHaveLength(20);
  });
});

describe("a token that the server no longer takes", () => {
  const auth = { username: "u", password: "p" };

  it("is replaced once, on another stream, while watchers that were let in stay where they are", async () => {
    const { service, client } = connected({ auth });
    service.onCreate = (stream, create, index) => {
      const old = stream.token === "token-1" && create.startRevision === 4n;
      if (old) stream.send({ watchId: -1n, created: true, canceled: true, cancelReason: badToken });
      else stream.confirm(index);
    };
    const stays = client.watch("a", { from: 3 });
    await stays.started;
    const late = client.watch("b", { from: 4 });
    await late.started;
    expect(service.streams.map(({ token }) => token)).toEqual(["token-1", "token-2"]);
    expect(service.open).toHaveLength(2);
    await client.watch("c", { from: 5 }).started;
    expect(service.streams.map(({ creates }) => creates.length)).toEqual([2, 2]);
  });

  it("ends the watch if the next one is refused as well", async () => {
    const { service, client } = connected({ auth });
    service.onCreate = (stream) => stream.send({ watchId: -1n, created: true, canceled: true, cancelReason: badToken });
    await expect(take(client.watch("b", { from: 4 }), 1)).rejects.toMatchObject({ code: "InvalidAuthToken" });
    expect(service.logins).toBe(2);
  });
});

describe("an answer about progress", () => {
  it("does not move a watcher that joined after the answer was made", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const early = client.watch("a", { from: 3 });
    await early.started;
    const [stream] = service.streams;
    // The client asks by itself while it catches up; the answers are under way when the next watcher joins.
    await expect.poll(() => stream?.progressRequests, { timeout: 5_000 }).toBeGreaterThan(1);
    const late = client.watch("b", { from: 4 });
    await late.started;
    stream?.send({ watchId: -1n });
    stream?.send({ watchId: -1n });
    await expect.poll(() => early.resumeRevision).toBe(11n);
    expect([late.resumeRevision, late.state]).toEqual([4n, "catching-up"]);
    service.revision = 20n;
    stream?.send({ watchId: -1n });
    await expect.poll(() => late.state).toBe("live");
    expect(late.resumeRevision).toBe(4n);
    stream?.send({ watchId: -1n });
    await expect.poll(() => late.resumeRevision).toBe(21n);
  });

  it("is asked for on a stream of its own while others keep the server from answering", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const asks = client.watch("a", { from: 3 });
    await asks.started;
    // It starts after everything there is, and the server answers nobody until something is written.
    await client.watch("b").started;
    service.onProgress = (stream) => {
      if (stream !== service.streams[0]) stream.send({ watchId: -1n });
    };
    expect(await asks.requestProgress()).toBe(10n);
    expect(service.streams[1]?.creates.map(({ startRevision }) => startRevision)).toEqual([3n]);
  });
});

describe("a watch from the future", () => {
  it("has a stream of its own, so that others learn how far they have come", async () => {
    const { service, client } = connected();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    await client.watch("a", { from: 3 }).started;
    await client.watch("b", { from: 1_000 }).started;
    await expect.poll(() => service.streams.length).toBe(2);
    expect(service.streams[1]?.creates.map(({ startRevision }) => startRevision)).toEqual([1_000n]);
  });
});
