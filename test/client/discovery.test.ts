/** Services that come and go, and the gRPC clients that find them. */
import { Client, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  endpoints,
  register,
  registerEtcdResolver,
  type ServiceEndpoint,
  type ServiceRegistration,
} from "../../src/client/discovery/index.js";
import { createClient, type EtcdClient, type FollowOptions, type KeyRange } from "../../src/client/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const asBuffer = (text: string): Buffer => Buffer.from(text);
const asText = (bytes: Buffer): string => bytes.toString();
const method = { path: "/test.Greeter/Name", requestStream: false, responseStream: false } as const;

/** A gRPC server that answers with its name. */
interface Greeter extends AsyncDisposable {
  readonly addr: string;
}

async function startGreeter(name: string): Promise<Greeter> {
  const server = new Server();
  const definition = {
    ...method,
    requestSerialize: asBuffer,
    requestDeserialize: asText,
    responseSerialize: asBuffer,
    responseDeserialize: asText,
  };
  server.addService(
    { name: definition },
    { name: (_call: unknown, answer: (e: null, text: string) => void) => answer(null, name) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    addr: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

function ask(client: Client): Promise<string> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method.path, asBuffer, asText, "who", { deadline: Date.now() + 2_000 }, (error, text) => {
      if (error === null) resolve(text ?? "");
      else reject(error);
    });
  });
}

/** Who answers, over many calls. */
async function answering(client: Client): Promise<string[]> {
  const names = new Set<string>();
  for (let call = 0; call < 12; call++) names.add(await ask(client));
  return [...names].toSorted();
}

async function next(found: AsyncIterator<readonly ServiceEndpoint[]>): Promise<readonly ServiceEndpoint[]> {
  const step = await found.next();
  if (step.done === true) throw new Error("the loop has ended");
  return step.value;
}

describe.each(targets)("discovery", (target) => {
  describe.skipIf(skips(target))(blockName("discovery", target), { timeout: 20_000 }, () => {
    let server: RealEtcd;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      client = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await client.close();
      await server.stop();
    });

    it("writes a service down as Go's manager does, under a lease, and withdraws it", async () => {
      const plain = await register(client, "layout", "10.0.0.1:80", { ttl: 30 });
      const rich = await register(client, "layout", "10.0.0.2:80", { metadata: { zone: "a" } });
      const { kvs } = await client.list({ prefix: "layout/" });
      expect(kvs.map(({ key, value }) => [key, value])).toEqual([
        ["layout/10.0.0.1:80", '{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}'],
        ["layout/10.0.0.2:80", '{"Op":0,"Addr":"10.0.0.2:80","Metadata":{"zone":"a"}}'],
      ]);
      expect([plain.key, plain.lease?.ttl]).toEqual(["layout/10.0.0.1:80", 30]);
      expect(kvs.map(({ lease }) => lease)).toEqual([plain.lease?.id, rich.lease?.id]);
      await rich.update({ zone: "b" });
      expect((await client.get(rich.key))?.value).toContain('"zone":"b"');
      await plain[Symbol.asyncDispose]();
      await rich[Symbol.asyncDispose]();
      expect(await client.count({ prefix: "layout/" })).toBe(0);
      expect(plain.signal.aborted).toBe(true);
    });

    it("registers again under a new lease when the old one is lost", async () => {
      await using registration = await register(client, "lost", "10.0.0.1:80", { ttl: 2 });
      const first = registration.lease?.id ?? 0n;
      await client.leases.revoke(first);
      await expect.poll(() => client.get(registration.key), { timeout: 8_000 }).toBeDefined();
      expect(registration.lease?.id).not.toBe(first);
      expect(registration.signal.aborted).toBe(false);
    });

    it("tells all endpoints at once and after every change, and passes over what is none", async () => {
      await client.put("told/noise", "not an endpoint");
      await client.put("told/number", "7");
      const giveUp = new AbortController();
      const found = endpoints(client, "told", { signal: giveUp.signal });
      expect(await next(found)).toEqual([]);
      // As a Go program without metadata writes it.
      await client.put("told/go", '{"Op":0,"Addr":"go:1","Metadata":null}');
      expect(await next(found)).toEqual([{ key: "told/go", addr: "go:1", metadata: undefined }]);
      const registration = await register(client, "told", "js:1", { metadata: [1] });
      const both = [
        { key: "told/go", addr: "go:1", metadata: undefined },
        { key: "told/js:1", addr: "js:1", metadata: [1] },
      ];
      expect(await next(found)).toEqual(both);
      await registration[Symbol.asyncDispose]();
      expect(await next(found)).toEqual(both.slice(0, 1));
      await client.put("told/go", "broken");
      expect(await next(found)).toEqual([]);
      giveUp.abort(new Error("enough"));
      await expect(found.next()).rejects.toMatchObject({ code: "Aborted" });
    });

    it("follows a service over a cut", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using through = createClient({ endpoints: proxy.endpoint });
      const found = endpoints(through, "cut");
      expect(await next(found)).toEqual([]);
      proxy.cut();
      await client.put("cut/a", '{"Op":0,"Addr":"a:1","Metadata":null}');
      expect(await next(found)).toMatchObject([{ addr: "a:1" }]);
      await found.return();
    });

    it("leads a gRPC client to the servers that are there", async () => {
      registerEtcdResolver(client);
      await using one = await startGreeter("one");
      await using two = await startGreeter("two");
      const config = { "grpc.service_config": '{"loadBalancingConfig":[{"round_robin":{}}]}' };
      const first: ServiceRegistration = await register(client, "greeter", one.addr);
      const caller = new Client("etcd:///greeter", credentials.createInsecure(), config);
      try {
        expect(await answering(caller)).toEqual(["one"]);
        await using second = await register(client, "greeter", two.addr);
        await expect.poll(() => answering(caller), { timeout: 8_000 }).toEqual(["one", "two"]);
        await first[Symbol.asyncDispose]();
        await expect.poll(() => answering(caller), { timeout: 8_000 }).toEqual(["two"]);
        expect(second.signal.aborted).toBe(false);
      } finally {
        caller.close();
      }
    });

    it("fails calls to a service that is nowhere, until it is somewhere", async () => {
      registerEtcdResolver(client, { scheme: "etcd-test" });
      const caller = new Client("etcd-test:///nowhere", credentials.createInsecure());
      try {
        await expect(ask(caller)).rejects.toMatchObject({ code: 14 });
        await using greeter = await startGreeter("late");
        await using registration = await register(client, "nowhere", greeter.addr);
        await expect.poll(() => ask(caller).catch(() => undefined), { timeout: 8_000 }).toBe("late");
        expect(registration.key).toBe(`nowhere/${greeter.addr}`);
      } finally {
        caller.close();
      }
    });

    it("stops following when the channel closes", async () => {
      const followed: (AbortSignal | undefined)[] = [];
      const spied = {
        follow: (range: KeyRange, options?: FollowOptions) => {
          followed.push(options?.signal);
          return client.follow(range, options);
        },
      };
      registerEtcdResolver(spied, { scheme: "etcd-spied" });
      const caller = new Client("etcd-spied:///anything", credentials.createInsecure());
      await expect(ask(caller)).rejects.toMatchObject({ code: 14 });
      expect(followed.map((signal) => signal?.aborted)).toEqual([false]);
      caller.close();
      await expect.poll(() => followed.map((signal) => signal?.aborted)).toEqual([true]);
    });

    it("says so when its client closes", async () => {
      const own = createClient({ endpoints: server.endpoint });
      registerEtcdResolver(own, { scheme: "etcd-own" });
      const caller = new Client("etcd-own:///anything", credentials.createInsecure());
      await expect(ask(caller)).rejects.toMatchObject({ code: 14 });
      await own.close();
      await expect.poll(() => ask(caller).catch(String), { timeout: 8_000 }).toContain("cannot be followed");
      caller.close();
    });
  });
});
