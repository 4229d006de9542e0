/** What stands before every call and around every connection: leader, versions, pings, counts, the end. */
import { once } from "node:events";
import { connect, constants } from "node:http2";
import { afterEach, describe, expect, it } from "vitest";
import {
  HashKVResponse,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  PutResponse,
  RangeRequest,
  RangeResponse,
  SnapshotResponse,
  StatusResponse,
} from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { renderMetrics } from "../../../src/server/http/metrics-text.js";
import type { RpcServerOptions } from "../../../src/server/rpc/server.js";
import type { Clock } from "../../../src/server/runtime/clock.js";
import { ask, askOn, frame, type Harness, type RawAnswer, type SomeServices, startRpc, statusOf } from "./harness.js";

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

async function start(services: SomeServices, options: Partial<RpcServerOptions> = {}): Promise<Harness> {
  const server = await startRpc(services, options);
  open.push(server);
  return server;
}

const keepAlivePath = "/etcdserverpb.Lease/LeaseKeepAlive";
const keepAliveRequest = frame(LeaseKeepAliveRequest.encode({ ID: 1n }).finish());

const echo: SomeServices = {
  kv: { put: async () => PutResponse.fromPartial({}) },
  lease: {
    leaseKeepAlive: async function* (requests) {
      for await (const { ID } of requests) yield LeaseKeepAliveResponse.fromPartial({ ID });
    },
  },
};

function rangeBytes(serializable: boolean): Buffer {
  return frame(RangeRequest.encode(RangeRequest.fromPartial({ key: Buffer.from("k"), serializable })).finish());
}

describe("a learner", () => {
  const refused = "9 etcdserver: rpc not supported for learner";
  const empty = frame(new Uint8Array());
  const all: SomeServices = {
    ...echo,
    kv: { ...echo.kv, range: async () => RangeResponse.fromPartial({}) },
    maintenance: {
      status: async () => StatusResponse.fromPartial({}),
      snapshot: async function* () {
        yield SnapshotResponse.fromPartial({});
      },
      hashKv: async () => HashKVResponse.fromPartial({}),
    },
    health: { check: async () => ({ status: 1 }) },
  };

  it.each<[string, string, Buffer, string]>([
    ["serves a serializable range", "/etcdserverpb.KV/Range", rangeBytes(true), "0"],
    ["serves its status", "/etcdserverpb.Maintenance/Status", empty, "0"],
    ["serves a snapshot", "/etcdserverpb.Maintenance/Snapshot", empty, "0"],
    ["refuses a linearizable range", "/etcdserverpb.KV/Range", rangeBytes(false), refused],
    ["refuses a put", "/etcdserverpb.KV/Put", empty, refused],
    ["refuses a hash", "/etcdserverpb.Maintenance/HashKV", empty, refused],
    ["refuses a health check", "/grpc.health.v1.Health/Check", empty, refused],
    ["refuses a stream", keepAlivePath, keepAliveRequest, refused],
  ])("%s", async (_what, path, request, answer) => {
    const server = await start(all, { isLearner: () => true });
    expect(statusOf(await ask(server.url, { path, body: [request] }))).toBe(answer);
  });

  it("serves everything once it is none any more", async () => {
    let learner = true;
    const server = await start(all, { isLearner: () => learner });
    expect(statusOf(await ask(server.url))).toBe(refused);
    learner = false;
    expect(statusOf(await ask(server.url))).toBe("0");
  });

  it("is asked for no leader before it is known to refuse", async () => {
    const server = await start(all, { isLearner: () => true, hasLeader: () => false });
    expect(statusOf(await ask(server.url, { headers: { hasleader: "true" } }))).toBe(refused);
  });
});

/** Time that moves when the test says so. */
class ManualClock implements Clock {
  private nowMs = 0;
  private readonly timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  wallMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  get waiting(): number {
    return this.timers.size;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (const timer of [...this.timers].toSorted((a, b) => a.atMs - b.atMs)) {
      if (timer.atMs > this.nowMs || !this.timers.delete(timer)) continue;
      timer.callback();
    }
  }
}

const limits = {
  requestBytesMax: 1000,
  concurrentStreamsMax: 100,
  keepalive: { clientMinTimeMs: 5000, intervalMs: 0, timeoutMs: 0 },
};

describe("a call that asks for a leader", () => {
  it("is refused while there is none, for `true` alone", async () => {
    const server = await start(echo, { hasLeader: () => false });
    expect(statusOf(await ask(server.url, { headers: { hasleader: "true" } }))).toBe("14 etcdserver: no leader");
    for (const value of ["1", "TRUE", "false", ""]) {
      expect(statusOf(await ask(server.url, { headers: { hasleader: value } }))).toBe("0");
    }
    expect(statusOf(await ask(server.url))).toBe("0");
  });

  it("goes by the first of several values", async () => {
    const server = await start(echo, { hasLeader: () => false });
    expect(statusOf(await ask(server.url, { headers: { hasleader: ["true", "false"] } }))).toBe(
      "14 etcdserver: no leader",
    );
    expect(statusOf(await ask(server.url, { headers: { hasleader: ["false", "true"] } }))).toBe("0");
  });

  it("is refused at once as a stream", async () => {
    const server = await start(echo, { hasLeader: () => false });
    const request = { path: keepAlivePath, headers: { hasleader: "true" }, body: [], end: false };
    expect(statusOf(await ask(server.url, request))).toBe("14 etcdserver: no leader");
  });

  it("ends as a stream at the third look in a row without a leader, others stay", async () => {
    const clock = new ManualClock();
    let leader = true;
    const server = await start(echo, { clock, electionTimeoutMs: 1000, hasLeader: () => leader, limits });
    const session = connect(server.url);
    const headers = { ":method": "POST", ":path": keepAlivePath, "content-type": "application/grpc" };
    const [asking, silent] = [session.request({ ...headers, hasleader: "true" }), session.request(headers)];
    let ended: Record<string, unknown> | undefined;
    asking.on("trailers", (trailers) => (ended = trailers));
    for (const stream of [asking, silent]) stream.on("error", () => undefined).write(keepAliveRequest);
    await Promise.all([once(asking, "data"), once(silent, "data")]);

    leader = false;
    clock.advance(1000);
    clock.advance(1000);
    leader = true; // a look with a leader starts the count again
    clock.advance(1000);
    leader = false;
    clock.advance(1000);
    clock.advance(1000);
    silent.write(keepAliveRequest);
    await once(silent, "data");
    expect(ended).toBeUndefined();
    const over = once(asking, "close");
    clock.advance(1000);
    await over;
    expect(ended).toMatchObject({ "grpc-status": "14", "grpc-message": "etcdserver: no leader" });
    silent.write(keepAliveRequest);
    await once(silent, "data");
    session.destroy();
    // Nobody asks any more, so nobody looks any more.
    await expect.poll(() => clock.waiting).toBe(0);
  });
});

function requestCount(type: string, version: string): string {
  return `etcd_server_client_requests_total{type="${type}",client_api_version="${version}"}`;
}

describe("the API version of a client", () => {
  it("is counted, with the kind of call", async () => {
    const server = await start(echo);
    await ask(server.url, { headers: { "client-api-version": "3.7" } });
    await ask(server.url, { headers: { "client-api-version": "3.7" } });
    await ask(server.url);
    await ask(server.url, { path: keepAlivePath, body: [] });
    const text = await renderMetrics(server.metrics.all());
    expect(text).toContain(`${requestCount("unary", "3.7")} 2\n`);
    expect(text).toContain(`${requestCount("unary", "unknown")} 1\n`);
    expect(text).toContain(`${requestCount("stream", "unknown")} 1\n`);
  });

  it("must be text", async () => {
    const server = await start(echo);
    expect(statusOf(await ask(server.url, { headers: { "client-api-version": "\u00ff" } }))).toBe(
      "3 etcdserver: invalid client api version",
    );
  });

  it("cannot fill the memory with names that clients make up", async () => {
    const server = await start(echo);
    const session = connect(server.url);
    for (let made = 0; made < 150; made += 1) await askOn(session, { headers: { "client-api-version": `v${made}` } });
    session.destroy();
    const lines = (await renderMetrics(server.metrics.all())).split("\n");
    const counts = lines.filter((line) => line.startsWith("etcd_server_client_requests_total{"));
    expect(counts.length).toBeLessThanOrEqual(101);
    expect(counts.map((line) => Number(line.split(" ").at(-1))).reduce((sum, count) => sum + count, 0)).toBe(150);
  });
});

describe("counts of calls", () => {
  const put = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"';

  it("are there from the start for every method and status, at zero", async () => {
    const server = await start(echo);
    const text = await renderMetrics(server.metrics.all());
    expect(text).toContain(`grpc_server_started_total{${put}} 0\n`);
    expect(text).toContain(`grpc_server_handled_total{grpc_code="DeadlineExceeded",${put}} 0\n`);
    expect(text).toContain('grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"} 0\n');
    expect(text).toContain(
      'grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream"} 0\n',
    );
    const handled = text.split("\n").filter((line) => line.startsWith("grpc_server_handled_total{"));
    const started = text.split("\n").filter((line) => line.startsWith("grpc_server_started_total{"));
    expect(started.length).toBeGreaterThanOrEqual(51);
    expect(handled.length).toBe(17 * started.length);
    expect(text).not.toContain("grpc_server_handling_seconds");
  });

  it("move with calls, messages and bytes", async () => {
    const server = await start({
      ...echo,
      kv: {
        put: async () => PutResponse.fromPartial({ header: { revision: 1n } }),
        range: async () => Promise.reject(new WireError(status.Compacted)),
      },
    });
    await ask(server.url, { body: [frame(Buffer.from("0a0161120162", "hex"))] });
    await ask(server.url, { path: "/etcdserverpb.KV/Range", body: [frame(new Uint8Array())] });
    await ask(server.url, { path: keepAlivePath, body: [keepAliveRequest, keepAliveRequest, keepAliveRequest] });
    const text = await renderMetrics(server.metrics.all());
    const stream = 'grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"';
    expect(text).toContain(`grpc_server_started_total{${put}} 1\n`);
    expect(text).toContain(`grpc_server_handled_total{grpc_code="OK",${put}} 1\n`);
    expect(text).toContain(`grpc_server_msg_received_total{${put}} 1\n`);
    expect(text).toContain(`grpc_server_msg_sent_total{${put}} 1\n`);
    expect(text).toContain('grpc_server_handled_total{grpc_code="OutOfRange",grpc_method="Range"');
    expect(text).toMatch(/grpc_code="OutOfRange",grpc_method="Range"[^}]*} 1\n/);
    expect(text).toContain(`grpc_server_msg_received_total{${stream}} 3\n`);
    expect(text).toContain(`grpc_server_msg_sent_total{${stream}} 3\n`);
    // 6 bytes of put, 3 x 2 of keep-alive; the answers: a header with a revision, and 3 x {header, ID}.
    expect(text).toContain("\netcd_network_client_grpc_received_bytes_total 12\n");
    expect(text).toMatch(/\netcd_network_client_grpc_sent_bytes_total [1-9]\d*\n/);
  });

  it("say Canceled for a caller that goes away, and count broken streams", async () => {
    const server = await start({ ...echo, kv: { put: () => new Promise(() => undefined) } });
    const session = connect(server.url);
    const stream = session.request({
      ":method": "POST",
      ":path": "/etcdserverpb.KV/Put",
      "content-type": "application/grpc",
    });
    stream.on("error", () => undefined).end(frame(new Uint8Array()));
    await ask(server.url, { path: keepAlivePath, body: [frame(Buffer.from("08", "hex"))] });
    session.destroy();
    const seen = async (line: string): Promise<boolean> => (await renderMetrics(server.metrics.all())).includes(line);
    await expect.poll(() => seen(`grpc_server_handled_total{grpc_code="Canceled",${put}} 1\n`)).toBe(true);
    expect(await seen('etcd_network_server_stream_failures_total{Type="receive",API="lease-keepalive"} 1\n')).toBe(
      true,
    );
  });

  it("include durations when metrics are extensive", async () => {
    const server = await start(echo, { metricsLevel: "extensive" });
    await ask(server.url);
    const text = await renderMetrics(server.metrics.all());
    expect(text).toContain(`grpc_server_handling_seconds_count{${put}} 1\n`);
    expect(text).toContain(`grpc_server_handling_seconds_bucket{${put},le="10"} 1\n`);
  });
});

describe("pings of a client", () => {
  it("send it away when they come too often, with etcd's reason", async () => {
    const server = await start(echo);
    const session = connect(server.url);
    session.on("error", () => undefined);
    let reason: unknown[] = [];
    session.on("goaway", (code, _last, data) => (reason = [code, data?.toString()]));
    const closed = new Promise<void>((resolve) => session.on("close", resolve));
    await once(session, "connect");
    for (let pings = 0; pings < 6; pings += 1) session.ping(() => undefined);
    await closed;
    expect(reason).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings"]);
  });

  it("are answered when they are allowed", async () => {
    const server = await start(echo, { limits: { ...limits, keepalive: { ...limits.keepalive, clientMinTimeMs: 0 } } });
    const session = connect(server.url);
    const stream = session.request({ ":method": "POST", ":path": keepAlivePath, "content-type": "application/grpc" });
    stream.write(keepAliveRequest);
    await once(stream, "data");
    for (let pings = 0; pings < 20; pings += 1) {
      await new Promise<void>((resolve, reject) => {
        session.ping((error) => (error === null ? resolve() : reject(error)));
      });
    }
    stream.write(keepAliveRequest);
    await once(stream, "data");
    session.destroy();
  });
});

describe("pings of the server", () => {
  const keepalive = { clientMinTimeMs: 5000, intervalMs: 1000, timeoutMs: 200 };

  it("go to a silent client, and close the connection of one that does not answer", async () => {
    const clock = new ManualClock();
    const server = await start(echo, { clock, limits: { ...limits, keepalive } });
    const session = connect(server.url);
    session.on("error", () => undefined);
    await once(session, "remoteSettings");
    await expect.poll(() => clock.waiting).toBe(1);
    const pinged = once(session, "ping");
    clock.advance(1000);
    await pinged;
    // The answer to the ping is on its way before this request, so the connection stays.
    expect(statusOf(await askOn(session, {}))).toBe("0");
    clock.advance(200);
    expect(statusOf(await askOn(session, {}))).toBe("0");
    const closed = new Promise<void>((resolve) => session.on("close", resolve));
    clock.advance(1000);
    clock.advance(200); // before the client had a turn to answer
    await closed;
  });

  it("stay away while the client calls", async () => {
    const clock = new ManualClock();
    const server = await start(echo, { clock, limits: { ...limits, keepalive } });
    const session = connect(server.url);
    let pings = 0;
    session.on("ping", () => (pings += 1));
    for (let calls = 0; calls < 5; calls += 1) {
      expect(statusOf(await askOn(session, {}))).toBe("0");
      clock.advance(600);
    }
    expect(pings).toBe(0);
    session.destroy();
  });
});

function begin(server: Harness, path: string): { answer: Promise<RawAnswer>; session: ReturnType<typeof connect> } {
  const session = connect(server.url);
  session.on("error", () => undefined);
  const stream = path === keepAlivePath;
  return {
    session,
    answer: askOn(session, { path, body: stream ? [keepAliveRequest] : [frame(new Uint8Array())], end: !stream }),
  };
}

describe("closing", () => {
  it("lets calls finish, ends streams with a reason, and resolves when all connections are gone", async () => {
    let answer: (() => void) | undefined;
    let running = 0;
    const server = await start({
      kv: {
        put: () => {
          running += 1;
          return new Promise((resolve) => (answer = () => resolve(PutResponse.fromPartial({}))));
        },
      },
      lease: {
        leaseKeepAlive: async function* (requests) {
          running += 1;
          for await (const { ID } of requests) yield LeaseKeepAliveResponse.fromPartial({ ID });
        },
      },
    });
    const [call, stream] = [begin(server, "/etcdserverpb.KV/Put"), begin(server, keepAlivePath)];
    await expect.poll(() => running).toBe(2);
    const closed = server.rpc.close(600_000);
    expect(statusOf(await stream.answer)).toBe("14 etcdserver: server stopped");
    answer?.();
    expect(statusOf(await call.answer)).toBe("0");
    await closed;
  });

  it("cuts calls that take longer than the grace", async () => {
    let running = false;
    const server = await start({ kv: { put: () => ((running = true), new Promise(() => undefined)) } });
    const call = begin(server, "/etcdserverpb.KV/Put");
    await expect.poll(() => running).toBe(true);
    await server.rpc.close(20);
    expect((await call.answer).grpcStatus).toBeUndefined();
  });

  it("resolves at once without connections, and takes no more of them", async () => {
    const server = await start(echo);
    await server.rpc.close(600_000);
    expect((await ask(server.url)).grpcStatus).toBeUndefined();
  });
});
