/** Ends: whatever is closed, left or given up ends at once, also while no server answers, and leaves nothing behind. */
import { afterEach, describe, expect, it } from "vitest";
import { LeaseGrantResponse, StatusResponse } from "../../proto/gen/etcd/rpc.js";
import { Code } from "../../proto/status.js";
import { createCache } from "../../src/client/cache/index.js";
import {
  type Connection,
  createClient,
  type EtcdClient,
  type Transport,
  TransportError,
  type WireCall,
} from "../../src/client/index.js";
import { StoreTransport } from "../support/store-transport.js";
import { WatchTransport } from "../support/watch-transport.js";

const clients: EtcdClient[] = [];

function connected(transport: Transport): EtcdClient {
  const client = createClient({ endpoints: "one:1", transport });
  clients.push(client);
  return client;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

function cancelled(): TransportError {
  return new TransportError("Cancelled on client", { grpcStatus: Code.CANCELLED, sent: true });
}

/** Takes calls and answers none. */
class Mute implements Transport {
  readonly calls: WireCall[] = [];

  connect(): Connection {
    return {
      isReady: () => true,
      ready: () => Promise.resolve(),
      unary: (_method, _request, call) => {
        this.calls.push(call);
        return new Promise((_resolve, reject) => {
          call.signal?.addEventListener("abort", () => reject(cancelled()), { once: true });
        });
      },
      serverStream: () => {
        throw cancelled();
      },
      duplex: () => {
        throw cancelled();
      },
      close: () => {},
    };
  }
}

describe("a watch from now", () => {
  it("is closed at once while no server says when now is, and takes its question back", async () => {
    const transport = new Mute();
    const client = connected(transport);
    const watches = [client.watch("a"), client.watch("b")];
    await expect.poll(() => transport.calls.length).toBe(1);
    await watches[0]?.close();
    expect(transport.calls[0]?.signal?.aborted).toBe(false);
    await watches[1]?.close();
    expect(transport.calls[0]?.signal?.aborted).toBe(true);
  });

  it("that is asked for behind one that was given up gets an answer of its own", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const client = connected(service);
    const first = client.watch("a");
    const second = client.watch("b");
    await first.close();
    expect(await second.started).toBe(11n);
  });

  it("that is asked for in the turn in which another one was given up gets one, too", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const client = connected(service);
    const first = client.watch("a");
    const closed = first.close();
    const second = client.watch("b");
    await closed;
    expect(await second.started).toBe(11n);
  });

  it("tells who waits for its progress that the client was closed", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    const client = connected(service);
    const watch = client.watch("a", { from: 3 });
    await watch.started;
    const progress = watch.requestProgress();
    const told = expect(progress).rejects.toMatchObject({ code: "ClientClosed" });
    await client.close();
    await told;
  });
});

/** Resolves with "pending" if the promise has not settled by the time everything that was due has been done. */
async function soon<T>(promise: Promise<T>): Promise<T | "pending"> {
  return Promise.race([promise, new Promise<"pending">((resolve) => setTimeout(resolve, 500, "pending"))]);
}

function opened(): { client: EtcdClient; service: WatchTransport } {
  const service = new WatchTransport();
  service.onCreate = (stream, _, index) => stream.confirm(index);
  return { client: connected(service), service };
}

describe("an iterator that is left while it waits for news", () => {
  it("of a watch ends, and the next loop gets what comes", async () => {
    const { client, service } = opened();
    const watch = client.watch("k", { from: 11 });
    await watch.started;
    const left = watch[Symbol.asyncIterator]();
    const waiting = left.next();
    await left.return?.();
    expect(await soon(waiting)).toEqual({ done: true, value: undefined });
    const [stream] = service.streams;
    stream?.event(stream.creates[0]?.watchId ?? 0n, 11n);
    expect(await soon(watch[Symbol.asyncIterator]().next())).toMatchObject({ value: { revision: 11n } });
  });

  it("of a follow ends, and closes its watch", async () => {
    const { client, service } = opened();
    const left = client.follow("k")[Symbol.asyncIterator]();
    expect(await left.next()).toMatchObject({ value: { kind: "snapshot" } });
    const waiting = left.next();
    await expect.poll(() => service.streams[0]?.creates.length).toBe(1);
    expect(await soon(Promise.resolve(left.return?.()))).toEqual({ done: true, value: undefined });
    expect(await soon(waiting)).toEqual({ done: true, value: undefined });
    expect(await soon(left.next())).toEqual({ done: true, value: undefined });
    await expect.poll(() => service.open.length).toBe(0);
  });

  it("of a follow ends while the first snapshot is read", async () => {
    const transport = new Mute();
    const left = connected(transport).follow("k")[Symbol.asyncIterator]();
    const waiting = left.next();
    await expect.poll(() => transport.calls.length).toBe(1);
    expect(await soon(Promise.resolve(left.return?.()))).toEqual({ done: true, value: undefined });
    expect(await soon(waiting)).toEqual({ done: true, value: undefined });
  });

  it("of a cache ends", async () => {
    const { client } = opened();
    await using cache = await createCache(client, "k");
    const left = cache.watch()[Symbol.asyncIterator]();
    const waiting = left.next();
    expect(await soon(Promise.resolve(left.return?.()))).toEqual({ done: true, value: undefined });
    expect(await soon(waiting)).toEqual({ done: true, value: undefined });
  });
});

describe("a cache", () => {
  it("asks no more once who waited for a revision has given up", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream, _, index) => stream.confirm(index);
    let questions = 0;
    service.onProgress = (stream) => {
      questions++;
      stream.send({ watchId: -1n });
    };
    await using cache = await createCache(connected(service), "k");
    const future = cache.get("k", { consistency: "serializable", minRevision: 1_000n, timeoutMs: 50 });
    await expect(future).rejects.toMatchObject({ code: "TimedOut" });
    let before = -1;
    // Those on their way may still come.
    await expect
      .poll(
        () => {
          const still = questions === before;
          before = questions;
          return still;
        },
        { interval: 200, timeout: 2_000 },
      )
      .toBe(true);
  });
});

describe("a lease", () => {
  it("that is granted while the client closes is not held", async () => {
    let grant: ((value: unknown) => void) | undefined;
    const connection: Connection = {
      isReady: () => true,
      ready: () => Promise.resolve(),
      unary: (method) => {
        if (method.path.endsWith("/Status")) {
          const status = StatusResponse.encode(StatusResponse.fromPartial({ leader: 1n })).finish();
          return Promise.resolve(method.decode(status));
        }
        const granted = LeaseGrantResponse.encode(LeaseGrantResponse.fromPartial({ ID: 5n, TTL: 60n })).finish();
        return new Promise((resolve) => {
          grant = () => resolve(method.decode(granted));
        });
      },
      serverStream: () => {
        throw cancelled();
      },
      duplex: () => {
        throw cancelled();
      },
      close: () => {},
    };
    const client = connected({ connect: () => connection });
    const lease = client.leases.grant(60);
    await expect.poll(() => grant !== undefined).toBe(true);
    grant?.(undefined);
    await Promise.all([lease, client.close()]).then(
      ([granted]) => expect(granted).toMatchObject({ state: "lost", remainingMs: 0 }),
      (error: unknown) => expect(error).toMatchObject({ code: "ClientClosed" }),
    );
  });
});

describe("a scan whose stream is silent", () => {
  it("waits as long as it may, also for longer than timers count", async () => {
    const transport = new StoreTransport({ always: { hangAfter: 1 } });
    const client = connected(transport);
    for (let number = 0; number < 40; number++) await client.put(`k/${number}`, "");
    const stop = new AbortController();
    const scan = client.scan({ prefix: "k/" }, { timeoutMs: 2 ** 32, signal: stop.signal }).pages();
    const pages = scan[Symbol.asyncIterator]();
    for (let page = 0; page < 2; page++) await pages.next();
    expect(await soon(pages.next())).toBe("pending");
    expect(transport.requests.filter(({ name }) => name === "RangeStream")).toHaveLength(1);
    stop.abort();
  });
});
