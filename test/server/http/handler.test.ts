/** The plain HTTP endpoints over a real socket, and next to a real etcd. */
import { once } from "node:events";
import { Agent, request as send } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createHttpHandler, type HttpHandlerOptions } from "../../../src/server/http/handler.js";
import type { HttpHealth } from "../../../src/server/http/health-checks.js";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "../../../src/server/http/server.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { createMetrics } from "../../../src/server/runtime/metrics.js";
import { litecdVersion } from "../../../src/server/runtime/version.js";
import { describeWithEtcd, startEtcd } from "./real-etcd.js";

const well: HttpHealth = {
  alarms: () => [],
  hasLeader: () => true,
  isLearner: () => false,
  linearizableRead: async () => undefined,
  serializableRead: async () => undefined,
};

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Started {
  readonly port: number;
  readonly http: HttpServer;
  readonly options: HttpHandlerOptions;
}

async function start(
  health: Partial<HttpHealth> = {},
  more: Partial<HttpHandlerOptions> = {},
  patience: HttpServerOptions = {},
): Promise<Started> {
  const options: HttpHandlerOptions = {
    health: { ...well, ...health },
    metrics: createMetrics(),
    versions: { server: "3.7.0", storage: "3.7.0", cluster: () => "3.7.0" },
    access: { corsOrigins: ["*"], hostWhitelist: ["*"] },
    logger: silentLogger,
    paths: "all",
    ...more,
  };
  const http = createHttpServer(createHttpHandler(options), patience);
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    http.accept(socket);
  });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  open.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  });
  return { port: (listener.address() as { port: number }).port, http, options };
}

interface Asked {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

interface Options {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: Agent;
}

function ask(port: number, path: string, { method = "GET", headers = {}, agent }: Options = {}): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const asking = send({ host: "127.0.0.1", port, path, method, headers, agent: agent ?? false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    asking.on("error", reject).end();
  });
}

const stopped = (): Promise<never> => Promise.reject(new Error("etcdserver: request timed out"));

describe("/version", () => {
  it("names plain versions and our own", async () => {
    const { port } = await start();
    const { status, headers, body } = await ask(port, "/version");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json");
    expect(JSON.parse(body)).toEqual({
      etcdserver: "3.7.0",
      etcdcluster: "3.7.0",
      storage: "3.7.0",
      litecd: litecdVersion,
    });
  });

  it("says when the cluster has not decided yet", async () => {
    const { port } = await start({}, { versions: { server: "3.7.0", storage: "3.7.0", cluster: () => undefined } });
    expect((await ask(port, "/version")).body).toContain('"etcdcluster":"not_decided"');
  });
});

describe("/health", () => {
  it("is true, as text without a newline", async () => {
    const { port, options } = await start();
    expect(await ask(port, "/health")).toMatchObject({ status: 200, body: '{"health":"true","reason":""}' });
    expect(options.metrics.serverHealthSuccess.samples({})[0]?.value).toBe(1);
  });

  it.each<[string, Partial<HttpHealth>, string, string]>([
    ["an alarm", { alarms: () => ["NOSPACE"] }, "", "ALARM NOSPACE"],
    ["the first of two alarms", { alarms: () => ["CORRUPT", "NOSPACE"] }, "", "ALARM CORRUPT"],
    ["an alarm before the leader", { alarms: () => ["NOSPACE"], hasLeader: () => false }, "", "ALARM NOSPACE"],
    ["an alarm of another kind", { alarms: () => ["FLOOD"] }, "", "ALARM UNKNOWN"],
    [
      "an alarm, of which only one is excluded",
      { alarms: () => ["NOSPACE", "CORRUPT"] },
      "?exclude=NOSPACE",
      "ALARM CORRUPT",
    ],
    ["no leader", { hasLeader: () => false }, "", "RAFT NO LEADER"],
    ["a read that fails", { linearizableRead: stopped }, "", "RANGE ERROR:etcdserver: request timed out"],
    [
      "a local read that fails",
      { serializableRead: stopped },
      "?serializable=true",
      "RANGE ERROR:etcdserver: request timed out",
    ],
  ])("is false for %s", async (_what, health, query, reason) => {
    const { port, options } = await start(health);
    const { status, headers, body } = await ask(port, `/health${query}`);
    expect([status, body]).toEqual([503, `${JSON.stringify({ health: "false", reason })}\n`]);
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(options.metrics.serverHealthFailures.samples({})[0]?.value).toBe(1);
  });

  it("overlooks excluded alarms", async () => {
    const { port } = await start({ alarms: () => ["NOSPACE", "CORRUPT"] });
    expect((await ask(port, "/health?exclude=NOSPACE&exclude=CORRUPT")).status).toBe(200);
  });

  it("needs no leader for a local read", async () => {
    const { port } = await start({ hasLeader: () => false, linearizableRead: stopped });
    expect((await ask(port, "/health?serializable=true")).status).toBe(200);
  });

  it("gives up its read when the client goes away", async () => {
    let signal: AbortSignal | undefined;
    const { port } = await start({ linearizableRead: (given) => ((signal = given), new Promise(() => undefined)) });
    const socket = connect({ port });
    socket.on("error", () => undefined).write("GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    await expect.poll(() => signal).toBeDefined();
    expect(signal?.aborted).toBe(false);
    socket.destroy();
    await expect.poll(() => signal?.aborted).toBe(true);
  });
});

describe("/livez and /readyz", () => {
  it("are ok, with a list when asked for it", async () => {
    const { port } = await start();
    for (const path of ["/livez", "/readyz", "/livez/serializable_read", "/readyz/non_learner"]) {
      expect(await ask(port, path)).toMatchObject({ status: 200, body: "ok\n" });
    }
    expect((await ask(port, "/livez?verbose")).body).toBe("[+]serializable_read ok\nok\n");
    expect((await ask(port, "/readyz?verbose")).body.split("\n").toSorted()).toEqual(
      [
        "",
        "[+]data_corruption ok",
        "[+]linearizable_read ok",
        "[+]non_learner ok",
        "[+]serializable_read ok",
        "ok",
      ].toSorted(),
    );
  });

  it("list every check when one fails, and end with an empty line", async () => {
    const { port } = await start({ linearizableRead: stopped });
    const { status, headers, body } = await ask(port, "/readyz");
    expect(status).toBe(503);
    expect(body).toContain("[-]linearizable_read failed: etcdserver: request timed out\n");
    expect(body).toContain("[+]serializable_read ok\n");
    expect(body.endsWith("\n\n")).toBe(true);
    expect(headers).toMatchObject({ "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" });
    expect((await ask(port, "/livez")).status).toBe(200);
  });

  it.each<[string, Partial<HttpHealth>, number]>([
    ["a corrupt member", { alarms: () => ["CORRUPT"] }, 503],
    ["a full member", { alarms: () => ["NOSPACE"] }, 200],
    ["a learner", { isLearner: () => true }, 503],
    ["a member that cannot read itself", { serializableRead: stopped }, 503],
  ])("/readyz of %s", async (_what, health, status) => {
    const { port } = await start(health);
    expect((await ask(port, "/readyz")).status).toBe(status);
  });

  it("leave out what is excluded and overlook names they do not know", async () => {
    const { port } = await start({ linearizableRead: stopped });
    expect((await ask(port, "/readyz?exclude=linearizable_read&exclude=nonsense&verbose")).body).not.toContain(
      "linear",
    );
    expect((await ask(port, "/readyz/linearizable_read")).status).toBe(503);
    expect((await ask(port, "/readyz/nonsense")).status).toBe(404);
    expect((await ask(port, "/livez/linearizable_read")).status).toBe(404);
  });

  it("are counted", async () => {
    const { port } = await start({ isLearner: () => true });
    await ask(port, "/readyz");
    const text = (await ask(port, "/metrics")).body;
    expect(text).toContain('etcd_server_healthcheck{type="readyz",name="non_learner"} 0\n');
    expect(text).toContain('etcd_server_healthchecks_total{type="readyz",name="non_learner",status="error"} 1\n');
    expect(text).toContain('etcd_server_healthchecks_total{type="readyz",name="data_corruption",status="success"} 1\n');
  });
});

function broken(): never {
  throw new Error("broken");
}

describe("other paths and methods", () => {
  it.each(["POST", "PUT", "DELETE", "HEAD"])("refuse %s where only GET is meant", async (method) => {
    const { port } = await start();
    for (const path of ["/version", "/health", "/livez", "/readyz"]) {
      const { status, headers, body } = await ask(port, path, { method });
      expect([status, headers["allow"]]).toEqual([405, "GET"]);
      expect(body).toBe(method === "HEAD" ? "" : "Method Not Allowed\n");
    }
  });

  it("serve metrics to any method", async () => {
    const { port } = await start();
    const { status, headers, body } = await ask(port, "/metrics", { method: "POST" });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(body).toContain("# TYPE etcd_server_has_leader gauge\n");
  });

  it("are not found", async () => {
    const { port } = await start();
    for (const path of ["/", "/nope", "/v3alpha/kv/range", "/version/"]) {
      expect(await ask(port, path)).toMatchObject({ status: 404, body: "404 page not found\n" });
    }
    const { status, headers, body } = await ask(port, "/v3/nope", { method: "POST" });
    expect([status, headers["content-type"], JSON.parse(body)]).toEqual([
      404,
      "application/json",
      { code: 5, message: "Not Found" },
    ]);
  });

  it("show variables as JSON", async () => {
    const { port } = await start();
    expect(JSON.parse((await ask(port, "/debug/vars")).body)).toMatchObject({ cmdline: process.argv });
  });

  it("answer a bug with 500 and go on", async () => {
    const { port } = await start({ alarms: broken });
    expect(await ask(port, "/health")).toMatchObject({ status: 500, body: "Internal Server Error\n" });
    expect((await ask(port, "/version")).status).toBe(200);
  });
});

describe("metrics URLs", () => {
  it("serve metrics and health alone, without access rules", async () => {
    const access = { corsOrigins: ["*"], hostWhitelist: ["only.example"] };
    const { port } = await start({}, { paths: "metrics", access });
    for (const path of ["/metrics", "/health", "/livez", "/readyz"]) expect((await ask(port, path)).status).toBe(200);
    for (const path of ["/version", "/debug/vars", "/v3/kv/range"]) {
      expect(await ask(port, path)).toMatchObject({ status: 404, body: "404 page not found\n" });
    }
    expect((await ask(port, "/health")).headers["access-control-allow-origin"]).toBeUndefined();
  });
});

describe("access", () => {
  const cors = {
    "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
    "access-control-allow-headers": "accept, content-type, authorization",
  };

  it.each([[["*"]], [[]], [["http://a.example", "*"]]])("is open to every origin for %j", async (corsOrigins) => {
    const { port } = await start({}, { access: { corsOrigins, hostWhitelist: [] } });
    const expected = { ...cors, "access-control-allow-origin": "*" };
    expect((await ask(port, "/version")).headers).toMatchObject(expected);
    expect((await ask(port, "/nope")).headers).toMatchObject(expected);
    expect(await ask(port, "/version", { method: "OPTIONS" })).toMatchObject({
      status: 200,
      body: "",
      headers: expected,
    });
  });

  it("is open to named origins alone", async () => {
    const { port } = await start({}, { access: { corsOrigins: ["http://a.example"], hostWhitelist: ["*"] } });
    const allowed = await ask(port, "/version", { headers: { Origin: "http://a.example" } });
    expect(allowed.headers).toMatchObject({ ...cors, "access-control-allow-origin": "http://a.example" });
    for (const headers of [{ Origin: "http://b.example" }, {}]) {
      const other = await ask(port, "/version", { headers });
      expect(other.status).toBe(200);
      expect(other.headers["access-control-allow-origin"]).toBeUndefined();
    }
  });

  it.each([
    ["a.example", 200],
    ["a.example:2379", 200],
    ["[::1]:2379", 200],
    ["b.example", 421],
    ["a.example.evil", 421],
  ])("under the host name %s: %d", async (host, expected) => {
    const access = { corsOrigins: ["*"], hostWhitelist: ["a.example", "::1"] };
    const { port } = await start({}, { access });
    expect((await ask(port, "/version", { headers: { Host: host } })).status).toBe(expected);
  });
});

describe("a client that wastes time", () => {
  const patient = { headerMsMax: 300 };

  it("is cut when the header of its request takes too long, however busily it drips", async () => {
    const { port } = await start({}, {}, patient);
    const silent = connect(port, "127.0.0.1");
    const dripping = connect(port, "127.0.0.1");
    const second = connect(port, "127.0.0.1");
    second.write("GET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(second, "data");
    let answers = "";
    for (const socket of [dripping, second]) {
      socket.on("data", (chunk: Buffer) => (answers += chunk.toString()));
      socket.write("GET /version HTTP/1.1\r\nX-Long: ");
    }
    const drip = setInterval(() => [dripping, second].forEach((socket) => socket.write("x")), 20);
    const ends = [silent, dripping, second].map((socket) => {
      socket.on("error", () => undefined);
      return new Promise((resolve) => void socket.resume().once("close", resolve));
    });
    await Promise.all(ends);
    clearInterval(drip);
    expect(answers).toBe("");
  });

  it("is none while its answer takes long", async () => {
    let finish: (() => void) | undefined;
    const linearizableRead = (): Promise<void> => new Promise((resolve) => (finish = resolve));
    const { port } = await start({ linearizableRead }, {}, patient);
    const answer = ask(port, "/health");
    const begunMs = performance.now();
    await expect.poll(() => performance.now() - begunMs, { timeout: 5_000 }).toBeGreaterThan(200);
    await expect.poll(() => finish).toBeDefined();
    finish?.();
    expect((await answer).status).toBe(200);
  });
});

describe("closing", () => {
  it("ends idle connections at once and busy ones with their answer", async () => {
    let finish: (() => void) | undefined;
    const linearizableRead = (): Promise<void> => new Promise((resolve) => (finish = resolve));
    const { port, http } = await start({ linearizableRead });
    const agent = new Agent({ keepAlive: true });
    await ask(port, "/version", { agent });
    const [idle] = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
    const busy = ask(port, "/health");
    await expect.poll(() => finish).toBeDefined();
    if (idle === undefined) throw new Error("the agent keeps its connection");
    const gone = once(idle, "close");
    http.close();
    await gone;
    finish?.();
    const answer = await busy;
    expect([answer.status, answer.headers["connection"]]).toEqual([200, "close"]);
    agent.destroy();
  });

  it("takes no more connections", async () => {
    const { port, http } = await start();
    http.close();
    await expect(ask(port, "/version")).rejects.toThrow();
  });
});

async function versionKeys(port: number): Promise<string[]> {
  return Object.keys(JSON.parse((await ask(port, "/version")).body) as object);
}

describeWithEtcd("next to a real etcd", () => {
  it("gives the same statuses, bodies and headers", async () => {
    await using etcd = await startEtcd();
    const theirPort = Number(etcd.endpoint.split(":").at(-1));
    const { port } = await start();
    const asks: readonly [path: string, options: Options][] = [
      "/health",
      "/health?serializable=true",
      "/livez",
      "/livez?verbose",
      "/livez/serializable_read",
      "/livez?exclude=serializable_read&verbose",
      "/readyz",
      "/readyz/x",
      "/nope",
      "/",
    ].map((path): [string, Options] => [path, {}]);
    const methods = ["POST", "HEAD", "OPTIONS", "PUT"].flatMap((method) =>
      ["/version", "/health", "/livez", "/nope"].map((path): [string, Options] => [path, { method }]),
    );
    const compared = ["content-type", "allow", "x-content-type-options", "content-length"];
    const shape = ({ status, headers, body }: Asked) => {
      const kept = Object.entries(headers).filter(([name]) => compared.includes(name) || name.startsWith("access-"));
      return { status, body, headers: Object.fromEntries(kept) };
    };
    for (const [path, options] of [...asks, ...methods]) {
      const [ours, theirs] = [await ask(port, path, options), await ask(theirPort, path, options)];
      expect({ path, options, ...shape(ours) }).toEqual({ path, options, ...shape(theirs) });
    }
  });

  it("shows the keys of /version that it has, and one more", async () => {
    await using etcd = await startEtcd();
    const { port } = await start();
    const theirs = await versionKeys(Number(etcd.endpoint.split(":").at(-1)));
    expect(theirs).toEqual(["etcdserver", "etcdcluster"]);
    expect(await versionKeys(port)).toEqual([...theirs, "storage", "litecd"]); // storage is etcd's from 3.6 on
  });
});
