/**
 * The types of the package's sub-paths, as the compiler sees them: `tsc -p test` checks what stands here, the run only
 * that it can be called.
 */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import type { Meter, Tracer } from "@opentelemetry/api";
import { describe, expect, expectTypeOf, it } from "vitest";
import { type Cache, type CacheBatch, type CacheList, createCache } from "../../src/client/cache/index.js";
import {
  barrier,
  campaign,
  type Entered,
  type Held,
  type Isolation,
  type Leadership,
  LockLostError,
  type LockLostReason,
  leader,
  lock,
  observeLeader,
  readLock,
  type StmEntry,
  semaphore,
  session,
  stm,
  tryLock,
  withLock,
} from "../../src/client/concurrency/index.js";
import {
  endpoints,
  register,
  registerEtcdResolver,
  type ServiceEndpoint,
  type ServiceRegistration,
} from "../../src/client/discovery/index.js";
import {
  type Bytes,
  bytes,
  type Compare,
  type EtcdClient,
  EtcdError,
  json,
  type KeyValue,
  type Lease,
  type WatchEvent,
} from "../../src/client/index.js";
import { type MirrorProgress, mirror } from "../../src/client/mirror/index.js";
import { instrument } from "../../src/client/otel/index.js";
import { type Faults, startTestServer, type TestServer } from "../../src/server/testing/index.js";

/** Never called: what is in it is for the compiler. */
function onlyTypes(check: (client: EtcdClient, lease: Lease) => unknown): void {
  expect(check).toBeTypeOf("function");
}

describe("concurrency", () => {
  it("gives what is held a token, a signal and a guard that a transaction takes", () => {
    onlyTypes(async (client, lease) => {
      const held = await lock(client, "name", { lease, timeoutMs: 1 });
      expectTypeOf(held).toEqualTypeOf<Held>();
      expectTypeOf(held).toExtend<AsyncDisposable>();
      expectTypeOf(held.fencingToken).toEqualTypeOf<bigint>();
      expectTypeOf(held.signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(held.guard()).toEqualTypeOf<Compare>();
      void client.txn({ if: [held.guard()], then: [] });
      expectTypeOf(tryLock(client, Uint8Array.of(1))).resolves.toEqualTypeOf<Held | undefined>();
      expectTypeOf(readLock(client, "name")).resolves.toEqualTypeOf<Held>();
      expectTypeOf(semaphore(client, "name", 3)).resolves.toEqualTypeOf<Held>();
      expectTypeOf(barrier(client, "name", 3)).resolves.toEqualTypeOf<Entered>();
      expectTypeOf(session(client, { ttl: 5 })).resolves.toEqualTypeOf<Lease>();
      // @ts-expect-error -- what is tried may not be had
      void tryLock(client, "name").then((maybe) => maybe.release());
      // @ts-expect-error -- a lock is for one name
      void lock(client, { prefix: "name" });
      // @ts-expect-error -- a lease, not its id: its loss has to be seen
      void lock(client, "name", { lease: 7n });
      // @ts-expect-error -- how many permits there are is part of the semaphore
      void semaphore(client, "name");
      // @ts-expect-error -- what is held is not the holder's to change
      held.fencingToken = 1n;
    });
  });

  it("hands on what work under a lock returns, and what a leader says", () => {
    onlyTypes(async (client) => {
      expectTypeOf(withLock(client, "name", async () => 7)).resolves.toEqualTypeOf<number>();
      const leadership = await campaign(client, "election", "me");
      expectTypeOf(leadership).toEqualTypeOf<Leadership>();
      expectTypeOf(leadership).toExtend<Held>();
      expectTypeOf(leadership.proclaim("it is still me")).resolves.toEqualTypeOf<void>();
      expectTypeOf(leader(client, "election")).resolves.toEqualTypeOf<KeyValue<string> | undefined>();
      for await (const kv of observeLeader(client, "election")) {
        expectTypeOf(kv).toEqualTypeOf<KeyValue<string> | undefined>();
      }
      // @ts-expect-error -- a candidate says who he is
      void campaign(client, "election");
      // @ts-expect-error -- work under a lock is asynchronous
      void withLock(client, "name", () => 7);
    });
  });

  it("has transactions of the values of their view, which only their function may use", () => {
    onlyTypes((client) => {
      const done = stm(client, async (tx) => {
        expectTypeOf(tx.get("k")).resolves.toEqualTypeOf<string | undefined>();
        expectTypeOf(tx.list({ prefix: "k" })).resolves.toEqualTypeOf<StmEntry<string>[]>();
        const numbers = tx.as(json<number>());
        expectTypeOf(numbers.get("k")).resolves.toEqualTypeOf<number | undefined>();
        numbers.put("k", 1);
        // @ts-expect-error -- a view of numbers takes no text
        numbers.put("k", "text");
        // @ts-expect-error -- one key is read, and ranges are listed
        void tx.get({ prefix: "k" });
        return tx.attempt;
      });
      expectTypeOf(done).resolves.toEqualTypeOf<number>();
      expectTypeOf<"serializable">().toExtend<Isolation>();
      // @ts-expect-error -- a level of isolation is a word, and this is none of them
      void stm(client, async () => 1, { isolation: "snapshot" });
    });
  });

  it("says why something is not held any more", () => {
    expectTypeOf<LockLostError>().toExtend<EtcdError>();
    expectTypeOf<LockLostError["reason"]>().toEqualTypeOf<LockLostReason>();
    expectTypeOf<LockLostError["fencingToken"]>().toEqualTypeOf<bigint>();
    // @ts-expect-error -- reasons are a closed list
    expectTypeOf<"stolen">().toExtend<LockLostReason>();
    expect(LockLostError.prototype).toBeInstanceOf(EtcdError);
  });
});

describe("cache", () => {
  it("has the values of what it caches", () => {
    onlyTypes(async (client) => {
      const cache = await createCache(client.as(json<{ readonly n: number }>()), { prefix: "k" });
      expectTypeOf(cache).toEqualTypeOf<Cache<{ readonly n: number }>>();
      expectTypeOf(cache.peek("k")).toEqualTypeOf<KeyValue<{ readonly n: number }> | undefined>();
      expectTypeOf(cache.list()).resolves.toEqualTypeOf<CacheList<{ readonly n: number }>>();
      expectTypeOf(cache.catchUp()).resolves.toEqualTypeOf<bigint>();
      expectTypeOf<CacheBatch<Bytes>["events"]>().toEqualTypeOf<WatchEvent<Bytes>[]>();
      expectTypeOf(createCache(client.as(bytes), "k")).resolves.toEqualTypeOf<Cache<Bytes>>();
      for await (const { revision } of cache.watch()) expectTypeOf(revision).toEqualTypeOf<bigint>();
      // @ts-expect-error -- a cache is read; what is written goes to the store
      void cache.put;
      // @ts-expect-error -- a revision is a bigint
      void cache.get("k", { minRevision: 7 });
      // @ts-expect-error -- to see a cache's range is not to see all of a client
      void createCache({}, "k");
    });
  });
});

describe("mirror and discovery", () => {
  it("tell how far a mirror is, and where services are", () => {
    onlyTypes(async (client) => {
      expectTypeOf(mirror(client, client, {})).toExtend<AsyncIterable<MirrorProgress>>();
      expectTypeOf<MirrorProgress["puts"]>().toEqualTypeOf<number>();
      expectTypeOf<MirrorProgress["resumeRevision"]>().toEqualTypeOf<bigint | undefined>();
      // @ts-expect-error -- a mirror has two ends
      mirror(client, {});
      // @ts-expect-error -- extra keys are kept or deleted
      mirror(client, client, { extraKeys: "ignore" });
      expectTypeOf(register(client, "web", "10.0.0.1:80")).resolves.toEqualTypeOf<ServiceRegistration>();
      expectTypeOf<ServiceRegistration>().toExtend<AsyncDisposable>();
      for await (const all of endpoints(client, "web")) expectTypeOf(all).toEqualTypeOf<readonly ServiceEndpoint[]>();
      registerEtcdResolver(client);
      // @ts-expect-error -- a service is somewhere
      void register(client, "web");
      // @ts-expect-error -- metadata is whatever it is: to be looked at before it is used
      const size: number = ({} as ServiceEndpoint).metadata;
      return size;
    });
  });
});

describe("otel and testing", () => {
  it("take a tracer and a meter, and give a server that disposes of itself", () => {
    onlyTypes(async () => {
      expectTypeOf(instrument).toBeCallableWith({ tracer: {} as Tracer, meter: {} as Meter });
      expectTypeOf(instrument()).toEqualTypeOf<Disposable>();
      // @ts-expect-error -- a tracer is no name
      instrument({ tracer: "litecd" });
      const server = await startTestServer({ members: 3, tls: "mutual", faults: true });
      expectTypeOf(server).toEqualTypeOf<TestServer>();
      expectTypeOf(server).toExtend<AsyncDisposable>();
      expectTypeOf(server.client({ namespace: "ns/" })).toEqualTypeOf<EtcdClient>();
      expectTypeOf(server.fault).toEqualTypeOf<Faults>();
      expectTypeOf(server.endpoints).toEqualTypeOf<readonly string[]>();
      // @ts-expect-error -- one member, or a cluster of three
      void startTestServer({ members: 2 });
    });
  });
});
