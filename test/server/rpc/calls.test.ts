/** What handlers see of their callers, and callers of handlers: context, cancellation, deadlines, streams. */
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  SnapshotRequest,
  SnapshotResponse,
} from "../../../proto/gen/etcd/rpc.js";
import { Code, status, WireError } from "../../../proto/status.js";
import type { CallContext } from "../../../src/server/api/types.js";
import { ask, askOn, frame, type Harness, putBytes, type SomeServices, startRpc, statusOf } from "./harness.js";

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

async function start(services: SomeServices, options: Parameters<typeof startRpc>[1] = {}): Promise<Harness> {
  const server = await startRpc(services, options);
  open.push(server);
  return server;
}

/** A client of the library that most of our callers use on Node. */
function clientOf(server: Harness): Client {
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  open.push({ [Symbol.asyncDispose]: async () => client.close() });
  return client;
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

function put(client: Client, metadata = new Metadata(), deadlineMs?: number): Promise<PutResponse | ServiceError> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/etcdserverpb.KV/Put",
      (request: PutRequest) => asBuffer(PutRequest.encode(request).finish()),
      (bytes) => PutResponse.decode(bytes),
      PutRequest.fromPartial({ key: Buffer.from("k") }),
      metadata,
      deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
      (error, response) => resolve(error ?? response ?? PutResponse.fromPartial({})),
    );
  });
}

function keepAlive(client: Client) {
  return client.makeBidiStreamRequest(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    (request: LeaseKeepAliveRequest) => asBuffer(LeaseKeepAliveRequest.encode(request).finish()),
    (bytes) => LeaseKeepAliveResponse.decode(bytes),
    new Metadata(),
  );
}

const blob = new Uint8Array(65_536);

/** Headers of a raw stream both ways. */
const toKeepAlive = {
  ":method": "POST",
  ":path": "/etcdserverpb.Lease/LeaseKeepAlive",
  "content-type": "application/grpc",
};

function snapshot(client: Client) {
  return client.makeServerStreamRequest(
    "/etcdserverpb.Maintenance/Snapshot",
    (request: SnapshotRequest) => asBuffer(SnapshotRequest.encode(request).finish()),
    (bytes) => SnapshotResponse.decode(bytes),
    SnapshotRequest.fromPartial({}),
    new Metadata(),
  );
}

/** Rejects with the reason once the call is aborted. */
function untilAborted({ signal }: CallContext): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
}

describe("a handler", () => {
  it("sees metadata in lower case with all values, and none of gRPC's own headers", async () => {
    let seen: CallContext["metadata"] | undefined;
    const server = await start({
      kv: { put: async (_request, { metadata }) => ((seen = metadata), PutResponse.fromPartial({})) },
    });
    const metadata = new Metadata();
    metadata.add("Token", "t1");
    metadata.add("x", "1");
    metadata.add("x", "2");
    await put(clientOf(server), metadata, 60_000);
    expect(seen?.get("token")).toEqual(["t1"]);
    expect(seen?.get("x")?.join(",").replaceAll(" ", "")).toBe("1,2");
    expect([...(seen?.keys() ?? [])].filter((key) => /^:|^grpc-|^content-type$|^te$/.test(key))).toEqual([]);
  });

  it("sees where its caller is, and no certificate", async () => {
    let seen: CallContext | undefined;
    const server = await start({
      kv: { put: async (_request, context) => ((seen = context), PutResponse.fromPartial({})) },
    });
    await put(clientOf(server));
    expect(seen?.remote).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(seen?.certificateName).toBeUndefined();
  });

  it("sees the name of a certificate that its connection came with, and no other connection's", async () => {
    const names = ["alice", undefined, "bob"];
    const seen: (string | undefined)[] = [];
    const remember = async (_request: PutRequest, { certificateName }: CallContext): Promise<PutResponse> => {
      seen.push(certificateName);
      return PutResponse.fromPartial({});
    };
    const server = await startRpc({ kv: { put: remember } }, {}, names);
    open.push(server);
    const sessions: ClientHttp2Session[] = [];
    while (sessions.length < names.length) {
      const session = connect(server.url);
      await once(session, "connect");
      sessions.push(session);
    }
    for (const session of [...sessions, ...sessions]) await askOn(session, {});
    for (const session of sessions) session.close();
    expect(seen).toEqual([...names, ...names]);
  });

  it("learns that its caller went away, also when it asks only afterwards", async () => {
    let reasons: unknown[] = [];
    let context: CallContext | undefined;
    const server = await start({
      kv: {
        put: async (_request, callContext) => {
          context = callContext;
          return untilAborted(callContext);
        },
      },
    });
    const session = connect(server.url);
    session.on("error", () => undefined);
    void askOn(session, {});
    await expect.poll(() => context).toBeDefined();
    context?.signal.addEventListener("abort", () => (reasons = [...reasons, context?.signal.reason]));
    session.destroy();
    await expect.poll(() => reasons.length).toBe(1);
    expect(reasons[0]).toMatchObject({
      name: "WireError",
      code: Code.CANCELLED,
      message: "etcdserver: request canceled",
    });
  });

  it("finds the signal aborted when it asks for it too late", async () => {
    let context: CallContext | undefined;
    const answer = promiseWithResolvers<PutResponse>();
    const server = await start({
      kv: {
        put: (_request, callContext) => {
          context = callContext;
          return answer.promise;
        },
      },
    });
    const got = await ask(server.url, { headers: { "grpc-timeout": "20m" } });
    expect(statusOf(got)).toBe("4 context deadline exceeded");
    expect(context?.signal.aborted).toBe(true);
    expect(context?.signal.reason).toMatchObject({ code: Code.DEADLINE_EXCEEDED });
    answer.resolve(PutResponse.fromPartial({})); // an answer that comes too late is dropped
  });

  it("is told of the deadline, and the caller too", async () => {
    const server = await start({ kv: { put: async (_request, context) => untilAborted(context) } });
    const error = await put(clientOf(server), new Metadata(), 30);
    expect(error).toMatchObject({ code: Code.DEADLINE_EXCEEDED });
  });

  it("is not hurried by a deadline further away than timers count", async () => {
    const server = await start({ kv: { put: async () => PutResponse.fromPartial({}) } });
    for (const timeout of ["99999999H", "2147484S", "30S"]) {
      expect(statusOf(await ask(server.url, { headers: { "grpc-timeout": timeout } }))).toBe("0");
    }
  });
});

describe("a stream both ways", () => {
  it("carries messages in order and ends when both sides are done", async () => {
    const server = await start({
      lease: {
        leaseKeepAlive: async function* (requests) {
          for await (const { ID } of requests) yield LeaseKeepAliveResponse.fromPartial({ ID: ID * 2n });
        },
      },
    });
    const stream = keepAlive(clientOf(server));
    const got: bigint[] = [];
    stream.on("data", ({ ID }: LeaseKeepAliveResponse) => got.push(ID));
    for (let id = 1n; id <= 200n; id += 1n) stream.write(LeaseKeepAliveRequest.fromPartial({ ID: id }));
    stream.end();
    const [ended] = (await once(stream, "status")) as [{ code: number }];
    expect(ended.code).toBe(Code.OK);
    expect(got).toEqual(Array.from({ length: 200 }, (_, at) => BigInt(at + 1) * 2n));
  });

  it("holds the caller back while the handler is slow, and lets it go on after", async () => {
    let taken = 0;
    const gate = promiseWithResolvers<void>();
    const server = await start({
      lease: {
        leaseKeepAlive: async function* (requests) {
          for await (const { ID } of requests) {
            await gate.promise;
            taken += 1;
            yield LeaseKeepAliveResponse.fromPartial({ ID });
          }
        },
      },
    });
    // The client may hold more than node allows it by default.
    const session = connect(server.url, { maxSessionMemory: 1000 });
    session.on("error", () => undefined);
    const stream = session.request(toKeepAlive);
    const padded = Buffer.concat([LeaseKeepAliveRequest.encode({ ID: 7n }).finish(), paddingField(60_000)]);
    const count = 300;
    for (let sent = 0; sent < count; sent += 1) stream.write(frame(padded));
    stream.end();
    // 18 MB do not fit in what the windows and the inbox hold, so most of it stays with the caller.
    await expect.poll(() => stream.writableLength).toBeGreaterThan(10_000_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.writableLength).toBeGreaterThan(5_000_000);
    gate.resolve();
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => (bytes += chunk.length));
    await once(stream, "end");
    expect(taken).toBe(count);
    expect(bytes).toBeGreaterThan(count * 5);
    session.destroy();
  });

  it("ends the handler's wait for requests when the caller goes away", async () => {
    let outcome: unknown;
    const server = await start({
      lease: {
        leaseKeepAlive: async function* (requests) {
          try {
            for await (const { ID } of requests) yield LeaseKeepAliveResponse.fromPartial({ ID });
          } catch (error) {
            outcome = error;
            throw error;
          }
        },
      },
    });
    const session = connect(server.url);
    session.on("error", () => undefined);
    const stream = session.request(toKeepAlive);
    stream.on("error", () => undefined);
    stream.write(frame(LeaseKeepAliveRequest.encode({ ID: 1n }).finish()));
    await once(stream, "data");
    session.destroy();
    await expect.poll(() => outcome).toMatchObject({ code: Code.CANCELLED });
  });

  it("ends with the status that the handler throws, after what it yielded", async () => {
    const server = await start({
      lease: {
        leaseKeepAlive: async function* () {
          yield LeaseKeepAliveResponse.fromPartial({ ID: 1n });
          throw new WireError(status.NoLeader);
        },
      },
    });
    const stream = keepAlive(clientOf(server));
    const got: bigint[] = [];
    stream.on("data", ({ ID }: LeaseKeepAliveResponse) => got.push(ID));
    const [error] = (await once(stream, "error")) as [ServiceError];
    expect(error).toMatchObject({ code: Code.UNAVAILABLE, details: "etcdserver: no leader" });
    expect(got).toEqual([1n]);
  });

  it("ends although the caller keeps its side open", async () => {
    const server = await start({
      lease: {
        leaseKeepAlive: async function* () {
          yield LeaseKeepAliveResponse.fromPartial({ ID: 1n });
        },
      },
    });
    const answer = await ask(server.url, { path: "/etcdserverpb.Lease/LeaseKeepAlive", body: [], end: false });
    expect(statusOf(answer)).toBe("0");
    expect(answer.rstCode).toBe(0);
  });
});

describe("a stream of answers", () => {
  it("is produced no faster than the caller reads", async () => {
    let produced = 0;
    const server = await start({
      maintenance: {
        snapshot: async function* (): AsyncGenerator<SnapshotResponse> {
          for (; produced < 400; produced += 1) yield SnapshotResponse.fromPartial({ blob });
        },
      },
    });
    const session = connect(server.url);
    const stream = session.request({ ...toKeepAlive, ":path": "/etcdserverpb.Maintenance/Snapshot" }).pause();
    stream.end(frame(new Uint8Array()));
    await once(stream, "response");
    // An answer on the same connection shows that the server had its turns.
    for (let turns = 0; turns < 20; turns += 1) await askOn(session, { path: "/x/y" });
    expect(produced).toBeLessThan(30);
    let got = 0;
    stream.on("data", (chunk: Buffer) => (got += chunk.length)).resume();
    await once(stream, "end");
    expect(produced).toBe(400);
    expect(got).toBeGreaterThan(400 * 65_536);
    session.destroy();
  });

  it("stops producing, and cleans up, when the caller leaves", async () => {
    let cleaned = false;
    const server = await start({
      maintenance: {
        snapshot: async function* (): AsyncGenerator<SnapshotResponse> {
          try {
            for (;;) yield SnapshotResponse.fromPartial({ blob });
          } finally {
            cleaned = true;
          }
        },
      },
    });
    const stream = snapshot(clientOf(server));
    stream.on("error", () => undefined);
    await once(stream, "data");
    stream.cancel();
    await expect.poll(() => cleaned).toBe(true);
  });
});

describe("many calls", () => {
  it("share a connection without mixing their answers", async () => {
    const server = await start({
      kv: {
        range: async ({ limit }) => ({ header: undefined, kvs: [], more: false, count: limit }),
      },
    });
    const client = clientOf(server);
    const counts = await Promise.all(
      Array.from({ length: 500 }, (_, at) => {
        return new Promise<number>((resolve, reject) => {
          client.makeUnaryRequest(
            "/etcdserverpb.KV/Range",
            (request: RangeRequest) => asBuffer(RangeRequest.encode(request).finish()),
            (bytes) => bytes,
            RangeRequest.fromPartial({ key: Buffer.from("k"), limit: BigInt(at) }),
            (error, bytes) => (error === null ? resolve(bytes?.at(-1) ?? 0) : reject(error)),
          );
        });
      }),
    );
    // The count is the last varint of the answer, of one or two bytes.
    expect(counts).toEqual(Array.from({ length: 500 }, (_, at) => (at === 0 ? 0 : at < 128 ? at : at >> 7)));
  });

  it("wait on the client's side beyond the number that the server allows", async () => {
    let running = 0;
    let most = 0;
    const server = await start(
      {
        kv: {
          put: async () => {
            running += 1;
            most = Math.max(most, running);
            await new Promise((resolve) => setImmediate(resolve));
            running -= 1;
            return PutResponse.fromPartial({});
          },
        },
      },
      {
        limits: {
          requestBytesMax: 1000,
          concurrentStreamsMax: 3,
          keepalive: { clientMinTimeMs: 5000, intervalMs: 0, timeoutMs: 0 },
        },
      },
    );
    const session = connect(server.url);
    await once(session, "remoteSettings");
    const answers = await Promise.all(Array.from({ length: 20 }, () => askOn(session, { body: [frame(putBytes())] })));
    expect(answers.map(statusOf)).toEqual(Array.from({ length: 20 }, () => "0"));
    expect(most).toBeLessThanOrEqual(3);
    session.destroy();
  });
});

/** A field that no message knows, to make one long. */
function paddingField(length: number): Buffer {
  const head = Buffer.from([0xfa, 0x7f]); // field 2047, length-delimited
  const size = Buffer.from([(length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14]);
  return Buffer.concat([head, size, Buffer.alloc(length)]);
}

/** What Node 20 lacks. */
function promiseWithResolvers<T>(): { readonly promise: Promise<T>; resolve(value: T): void } {
  let settle: ((value: T) => void) | undefined;
  const promise = new Promise<T>((resolve) => (settle = resolve));
  return { promise, resolve: (value) => settle?.(value) };
}
