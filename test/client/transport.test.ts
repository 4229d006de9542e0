/** Connections over gRPC: when they are made, how they are given up, what they cost while nothing happens. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InterceptingCall, type Interceptor } from "@grpc/grpc-js";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import * as rpc from "../../proto/gen/etcd/rpc.js";
import { kvMethods, streamMethods } from "../../src/client/calls/methods.js";
import { grpcTransport } from "../../src/client/connection/lazy-grpc.js";
import type { Connection, ConnectionEvent, TransportError, WireCall } from "../../src/client/connection/transport.js";
import { type ClientOptions, createClient } from "../../src/client/index.js";
import { settingsOf } from "../../src/client/options.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { startGrpcStub } from "../support/grpc-stub.js";

const range = kvMethods.range.fromPartial({ key: new Uint8Array([1]) });
const plainCall: WireCall = { metadata: { "client-api-version": "3.7" }, deadlineMs: 15_000, signal: undefined };
const patient = { timeoutMs: 15_000, signal: undefined };

/** The caller closes it. */
function open(endpoint: string, options: Partial<ClientOptions> = {}, events: ConnectionEvent[] = []): Connection {
  const settings = settingsOf({ ...options, endpoints: endpoint });
  return grpcTransport.connect(endpoint, { ...settings, onConnection: (event) => void events.push(event) });
}

describe("connecting", () => {
  it("fails after connectTimeoutMs when a peer accepts and then says nothing, and works when it speaks", async () => {
    await using stub = await startGrpcStub();
    await using proxy = await startTcpProxy(stub.endpoint);
    const events: ConnectionEvent[] = [];
    const connectTimeoutMs = 400;
    const connection = open(proxy.endpoint, { connectTimeoutMs }, events);
    proxy.admit("silent");
    // Loads gRPC, so that the time below is the connection's.
    await expect(connection.ready({ timeoutMs: 1, signal: undefined })).rejects.toMatchObject({ sent: false });
    const startedMs = performance.now();
    await expect(connection.ready({ timeoutMs: connectTimeoutMs, signal: undefined })).rejects.toMatchObject({
      name: "TransportError",
      sent: false,
      message: `no connection within ${connectTimeoutMs} ms`,
    });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(connectTimeoutMs * 0.8);
    expect(events).toMatchObject([{ type: "failed", endpoint: proxy.endpoint }]);
    proxy.admit("all");
    await connection.ready(patient);
    expect(connection.isReady()).toBe(true);
    connection.close();
    expect(events.map(({ type }) => type)).toEqual(["failed", "connected", "disconnected"]);
  });

  it("says why when nobody listens, in the words of the system", async () => {
    const connection = open("http://127.0.0.1:1");
    await connection.ready(patient);
    const failure: TransportError = await connection.unary(kvMethods.range, range, plainCall).then(
      () => Promise.reject(new Error("the call succeeded")),
      (error) => error,
    );
    expect(failure).toMatchObject({ sent: false, lasting: false, message: expect.stringContaining("ECONNREFUSED") });
    connection.close();
  });

  it("stops waiting when its caller does", async () => {
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const address = mute.address();
    if (address === null || typeof address === "string") throw new Error("no port was given");
    const connection = open(`http://127.0.0.1:${address.port}`);
    const controller = new AbortController();
    const waiting = connection.ready({ timeoutMs: 15_000, signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ sent: false, message: "given up while connecting" });
    connection.close();
    mute.close();
  });

  it("goes through a unix socket", async () => {
    const directory = mkdtempSync(join(tmpdir(), "litecd-unix-"));
    await using stub = await startGrpcStub({ path: join(directory, "etcd.sock") });
    await using client = createClient({ endpoints: stub.endpoint });
    expect(await client.get("x")).toBeUndefined();
    rmSync(directory, { recursive: true });
  });

  it("is over for calls when it is closed", async () => {
    await using stub = await startGrpcStub();
    const connection = open(stub.endpoint);
    await connection.ready(patient);
    connection.close();
    await expect(connection.unary(kvMethods.range, range, plainCall)).rejects.toMatchObject({ sent: false });
    await expect(connection.ready(patient)).rejects.toMatchObject({ sent: false });
  });
});

describe("a call", () => {
  it("carries its metadata and deadline, and may be given up", async () => {
    await using stub = await startGrpcStub({ answer: null });
    const connection = open(stub.endpoint);
    await connection.ready(patient);
    const controller = new AbortController();
    const metadata = { "client-api-version": "3.7", token: "t.1" };
    const call = connection.unary(kvMethods.range, range, { metadata, deadlineMs: 9_000, signal: controller.signal });
    await expect.poll(() => stub.headers.length).toBe(1);
    expect(stub.headers[0]).toMatchObject({
      ...metadata,
      "grpc-timeout": expect.stringMatching(/^[89]\d*(?:\.\d+)?[mS]|^9S/),
    });
    controller.abort();
    await expect(call).rejects.toMatchObject({ grpcStatus: 1, sent: true });
    connection.close();
  });

  it("takes answers above gRPC's limit of 4 MiB, and sends none above requestBytesMax", async () => {
    const value = Buffer.alloc(5 * 1024 * 1024, "v");
    const kv = { key: new Uint8Array([1]), value };
    const answer = rpc.RangeResponse.encode(rpc.RangeResponse.fromPartial({ kvs: [kv] })).finish();
    await using stub = await startGrpcStub({ answer });
    const connection = open(stub.endpoint, { requestBytesMax: 100 });
    await connection.ready(patient);
    const { kvs } = await connection.unary(kvMethods.range, range, plainCall);
    expect(Buffer.compare(Buffer.from(kvs[0]?.value ?? []), value)).toBe(0);
    const put = kvMethods.put.fromPartial({ value: new Uint8Array(101) });
    expect(() => connection.unary(kvMethods.put, put, plainCall)).toThrow("trying to send message larger than max");
    connection.close();
  });

  it("whose answer is no message fails, and harms nobody else", async () => {
    await using stub = await startGrpcStub({ answer: new Uint8Array([0xff, 0xff, 0xff]) });
    const connection = open(stub.endpoint);
    await connection.ready(patient);
    await expect(connection.unary(kvMethods.range, range, plainCall)).rejects.toMatchObject({
      grpcStatus: 13,
      sent: true,
      message: "the answer cannot be read",
    });
    expect(connection.isReady()).toBe(true);
    connection.close();
  });
});

describe("pings", () => {
  const keepAlive = { timeMs: 150, timeoutMs: 150 };

  it("find out that the network swallows everything, while a call waits", async () => {
    await using stub = await startGrpcStub({ answer: null });
    await using proxy = await startTcpProxy(stub.endpoint);
    const connection = open(proxy.endpoint, { keepAlive });
    await connection.ready(patient);
    const watch = connection.duplex(streamMethods.watch, { ...plainCall, deadlineMs: undefined });
    const next = watch[Symbol.asyncIterator]().next();
    await expect.poll(() => stub.headers.length).toBe(1);
    proxy.flow({ requests: "swallow", replies: "swallow" });
    await expect(next).rejects.toMatchObject({ name: "TransportError", grpcStatus: 14 });
    connection.close();
  });

  it("are not sent while nothing is under way", async () => {
    await using stub = await startGrpcStub();
    await using proxy = await startTcpProxy(stub.endpoint);
    const connection = open(proxy.endpoint, { keepAlive });
    await connection.ready(patient);
    await connection.unary(kvMethods.range, range, plainCall);
    proxy.flow({ requests: "swallow", replies: "swallow" });
    const sinceMs = performance.now();
    await expect
      .poll(() => performance.now() - sinceMs)
      .toBeGreaterThan(4 * (keepAlive.timeMs + keepAlive.timeoutMs) - 500);
    // A ping that nobody answers would have broken it.
    expect(connection.isReady()).toBe(true);
    connection.close();
  });
});

it("passes interceptors of grpc-js through, for unary calls and streams", async () => {
  await using stub = await startGrpcStub();
  const seen: string[] = [];
  const spy: Interceptor = (options, nextCall) => {
    seen.push(options.method_definition.path);
    return new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set("x-spied", "yes");
        next(metadata, listener);
      },
    });
  };
  const connection = open(stub.endpoint, { interceptors: [spy] });
  await connection.ready(patient);
  await connection.unary(kvMethods.range, range, plainCall);
  const request = streamMethods.snapshot.fromPartial({});
  for await (const message of connection.serverStream(streamMethods.snapshot, request, plainCall))
    expect(message).toBeDefined();
  expect(seen).toEqual([kvMethods.range.path, streamMethods.snapshot.path]);
  expect(stub.headers.map((headers) => headers["x-spied"])).toEqual(["yes", "yes"]);
  connection.close();
});

it("does not load gRPC with the package, only with the first connection", async () => {
  const root = fileURLToPath(new URL("../../src/client/index.ts", import.meta.url));
  const { metafile, outputFiles } = await build({
    entryPoints: [root],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    outdir: "out",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  expect(outputFiles.length).toBeGreaterThan(1);
  const outputs = Object.entries(metafile.outputs);
  /** Everything that is loaded at once with a file. */
  const loadedWith = (path: string, seen = new Set<string>()): Set<string> => {
    seen.add(path);
    for (const { path: next, kind } of metafile.outputs[path]?.imports ?? []) {
      if (kind === "import-statement" && !seen.has(next) && next in metafile.outputs) loadedWith(next, seen);
    }
    return seen;
  };
  const [entry = ""] = outputs.find(([, output]) => output.entryPoint?.endsWith("src/client/index.ts")) ?? [];
  const atOnce = [...loadedWith(entry)].flatMap((path) => Object.keys(metafile.outputs[path]?.inputs ?? {}));
  const ever = outputs.flatMap(([, { inputs }]) => Object.keys(inputs));
  expect(atOnce.filter(isGrpc)).toEqual([]);
  expect(ever.filter(isGrpc).length).toBeGreaterThan(10);
});

function isGrpc(path: string): boolean {
  return path.includes("@grpc/grpc-js");
}
