/** Conformance: the HTTP/1 endpoints on the client port. */

import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { expect } from "vitest";
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../proto/gen/etcd/rpc.js";
import { freePorts } from "../support/free-ports.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";

interface Reply {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Extras {
  readonly agent?: Agent;
  readonly headers?: Readonly<Record<string, string>>;
}

function http(t: Context, method: string, path: string, extras: Extras = {}): Promise<Reply> {
  return httpAt(t.server.endpoint, { ...extras, method, path });
}

function httpAt(
  endpoint: string,
  { method, path, agent, headers = {} }: Extras & { readonly method: string; readonly path: string },
): Promise<Reply> {
  const [host, port] = endpoint.split(":");
  return new Promise((resolve, reject) => {
    const call = request({ host, port, method, path, headers, agent: agent ?? false, timeout: 5000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
    });
    call.on("timeout", () => call.destroy(new Error(`no reply to ${method} ${path}`)));
    call.on("error", reject);
    call.end();
  });
}

const get = (t: Context, path: string): Promise<Reply> => http(t, "GET", path);

function raise(t: Context, alarm: AlarmType) {
  return t.client.alarm({ action: Action.ACTIVATE, memberID: 7, alarm });
}

/** The value of a metric without labels. */
function value(body: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(body)?.[1]);
}

/** Lines in any order: etcd runs its checks in a random one. */
function lines(body: string): Set<string> {
  return new Set(body.split("\n").filter((line) => line !== ""));
}

conformance("HTTP /version", (test) => {
  test("names server and cluster version as x.y.z, and since 3.6 the storage version", async (t) => {
    const { status, headers, body } = await get(t, "/version");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json");
    const plain = /^\d+\.\d+\.\d+$/;
    const { etcdserver, etcdcluster, storage } = JSON.parse(body) as Record<string, string>;
    expect(etcdserver).toMatch(plain);
    expect(etcdcluster).toMatch(plain);
    if (t.target.isEtcd35) expect(storage).toBeUndefined();
    else expect(storage).toMatch(plain);
  });

  test("agrees with Status", async (t) => {
    const { etcdserver } = JSON.parse((await get(t, "/version")).body) as Record<string, string>;
    expect(etcdserver).toBe((await t.client.status()).version);
  });
});

conformance("HTTP /health", (test) => {
  test("is 200 with strings and no newline", async (t) => {
    const { status, headers, body } = await get(t, "/health");
    expect([status, body]).toEqual([200, '{"health":"true","reason":""}']);
    expect(headers["content-type"]).toMatch(/^text\/plain/);
  });

  for (const query of ["serializable=true", "exclude=NOSPACE", "exclude=NOSPACE&exclude=CORRUPT"]) {
    test(`takes ?${query}`, async (t) => {
      const { status, body } = await get(t, `/health?${query}`);
      expect([status, body]).toEqual([200, '{"health":"true","reason":""}']);
    });
  }

  for (const [name, alarm] of [
    ["NOSPACE", AlarmType.NOSPACE],
    ["CORRUPT", AlarmType.CORRUPT],
  ] as const) {
    test(
      `is 503 while there is the alarm ${name}, unless it is excluded`,
      async (t) => {
        await raise(t, alarm);
        const { status, body } = await get(t, "/health");
        expect([status, body]).toEqual([503, `{"health":"false","reason":"ALARM ${name}"}\n`]);
        expect((await get(t, "/health?serializable=true")).status).toBe(503);
        expect((await get(t, `/health?exclude=${name}`)).status).toBe(200);
      },
      { fresh: true },
    );
  }
});

conformance("HTTP /livez and /readyz", (test) => {
  for (const path of ["/livez", "/readyz", "/livez/serializable_read", "/readyz/linearizable_read"]) {
    test(`${path} says ok`, async (t) => {
      const { status, headers, body } = await get(t, path);
      expect([status, body]).toEqual([200, "ok\n"]);
      expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(headers["x-content-type-options"]).toBe("nosniff");
    });
  }

  test("verbose lists the checks", async (t) => {
    expect((await get(t, "/livez?verbose")).body).toBe("[+]serializable_read ok\nok\n");
    expect(lines((await get(t, "/readyz?verbose")).body)).toEqual(
      new Set([
        "[+]data_corruption ok",
        "[+]serializable_read ok",
        "[+]linearizable_read ok",
        "[+]non_learner ok",
        "ok",
      ]),
    );
    expect((await get(t, "/readyz/non_learner?verbose")).body).toBe("[+]non_learner ok\nok\n");
  });

  test("exclude leaves a check out, an unknown name is ignored", async (t) => {
    const without = lines((await get(t, "/readyz?verbose&exclude=linearizable_read")).body);
    expect(without.size).toBe(4);
    expect(without.has("[+]linearizable_read ok")).toBe(false);
    expect(lines((await get(t, "/readyz?verbose&exclude=nope")).body).size).toBe(5);
  });

  test("an unknown check is 404", async (t) => {
    expect((await get(t, "/livez/nope")).status).toBe(404);
    expect((await get(t, "/readyz/nope")).status).toBe(404);
    expect((await get(t, "/livez/linearizable_read")).status).toBe(404);
  });

  test(
    "the alarm NOSPACE leaves both ready and live",
    async (t) => {
      await raise(t, AlarmType.NOSPACE);
      expect((await get(t, "/readyz")).status).toBe(200);
      expect((await get(t, "/livez")).status).toBe(200);
    },
    { fresh: true },
  );

  test(
    "the alarm CORRUPT makes /readyz 503, listing every check, and leaves /livez",
    async (t) => {
      await raise(t, AlarmType.CORRUPT);
      const { status, headers, body } = await get(t, "/readyz");
      expect(status).toBe(503);
      expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
      const found = [...lines(body)];
      expect(found.filter((line) => line.startsWith("[+]"))).toHaveLength(3);
      expect(found.find((line) => line.startsWith("[-]"))).toMatch(/^\[-\]data_corruption failed: /);
      expect((await get(t, "/readyz?exclude=data_corruption")).status).toBe(200);
      expect((await get(t, "/livez")).status).toBe(200);
    },
    { fresh: true },
  );
});

conformance("HTTP methods and paths", (test) => {
  for (const path of ["/version", "/health", "/livez", "/readyz", "/readyz/linearizable_read"]) {
    test(`${path} takes GET alone`, async (t) => {
      for (const method of ["POST", "PUT", "DELETE"]) {
        const { status, headers, body } = await http(t, method, path);
        expect([method, status, headers.allow, body]).toEqual([method, 405, "GET", "Method Not Allowed\n"]);
      }
      const head = await http(t, "HEAD", path);
      expect([head.status, head.headers.allow, head.body]).toEqual([405, "GET", ""]);
    });
  }

  for (const path of ["/", "/nope", "/version/", "/health/", "/v2/keys", "/v3alpha/kv/range"]) {
    test(`${path} is not found`, async (t) => {
      const { status, headers, body } = await get(t, path);
      expect([status, body]).toEqual([404, "404 page not found\n"]);
      expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    });
  }

  test("every answer allows every origin", async (t) => {
    for (const path of ["/version", "/health", "/nope", "/metrics"]) {
      const { headers } = await get(t, path);
      expect(headers["access-control-allow-origin"]).toBe("*");
      expect(headers["access-control-allow-methods"]).toBe("POST, GET, OPTIONS, PUT, DELETE");
      expect(headers["access-control-allow-headers"]).toBe("accept, content-type, authorization");
    }
  });

  for (const path of ["/version", "/health", "/nope"]) {
    test(`OPTIONS ${path} is 200 and empty`, async (t) => {
      const { status, body } = await http(t, "OPTIONS", path);
      expect([status, body]).toEqual([200, ""]);
    });
  }

  test("one connection serves several requests, beside gRPC on the same port", async (t) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.cleanup(() => agent.destroy());
    for (let turn = 0; turn < 5; turn += 1) {
      expect((await http(t, "GET", "/health", { agent })).status).toBe(200);
      await t.put("a");
    }
  });
});

/** Flags that open one more port of this kind. */
async function extraPort(flag: string): Promise<Record<string, string>> {
  const [port] = await freePorts(1);
  return { [flag]: `http://127.0.0.1:${port}` };
}

/** Where such a flag listens. */
function listenerOf(t: Context, flag: string): string {
  return new URL(t.flags[flag] ?? "").host;
}

conformance("HTTP ports", (test) => {
  const [httpUrls, metricsUrls] = ["listen-client-http-urls", "listen-metrics-urls"];

  test(
    "with listen-client-http-urls HTTP moves there and the client port serves gRPC alone",
    async (t) => {
      const endpoint = listenerOf(t, httpUrls);
      for (const path of ["/version", "/health", "/livez", "/readyz", "/metrics"]) {
        expect([path, (await httpAt(endpoint, { method: "GET", path })).status]).toEqual([path, 200]);
      }
      await expect(get(t, "/health")).rejects.toThrow();
      await t.put("a");
    },
    { fresh: () => extraPort(httpUrls) },
  );

  test(
    "listen-metrics-urls serves metrics and health, nothing else, and the client port goes on",
    async (t) => {
      const endpoint = listenerOf(t, metricsUrls);
      for (const path of ["/metrics", "/health", "/livez", "/readyz"]) {
        expect([path, (await httpAt(endpoint, { method: "GET", path })).status]).toEqual([path, 200]);
      }
      for (const path of ["/version", "/debug/vars", "/v3/kv/range"]) {
        expect([path, (await httpAt(endpoint, { method: "GET", path })).status]).toEqual([path, 404]);
      }
      expect((await get(t, "/health")).status).toBe(200);
    },
    { fresh: () => extraPort(metricsUrls) },
  );
});

conformance("HTTP access", (test) => {
  test(
    "host-whitelist: other hosts get 421, the port does not matter, gRPC is not asked",
    async (t) => {
      const as = (host: string) => http(t, "GET", "/health", { headers: { host } });
      expect((await as("good.example")).status).toBe(200);
      expect((await as("good.example:99")).status).toBe(200);
      expect((await as("evil.example")).status).toBe(421);
      expect((await as("127.0.0.1")).status).toBe(421);
      await t.put("a");
    },
    { fresh: { "host-whitelist": "good.example" } },
  );

  test(
    "cors: other origins are not allowed",
    async (t) => {
      const reply = await http(t, "GET", "/health", { headers: { origin: "http://evil.example:80" } });
      expect([reply.status, reply.headers["access-control-allow-origin"]]).toEqual([200, undefined]);
    },
    { fresh: { cors: "http://good.example:80" } },
  );
});

conformance("HTTP /metrics", (test) => {
  test("is Prometheus text, for any method", async (t) => {
    const { status, headers, body } = await get(t, "/metrics");
    expect(status).toBe(200);
    expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(body).toMatch(/^# HELP /);
    expect((await http(t, "POST", "/metrics")).status).toBe(200);
    expect((await http(t, "HEAD", "/metrics")).status).toBe(200);
  });

  for (const line of [
    /^etcd_server_has_leader 1$/,
    /^etcd_server_is_leader 1$/,
    /^etcd_server_is_learner 0$/,
    /^etcd_server_leader_changes_seen_total \d+$/,
    /^etcd_server_proposals_committed_total \d+$/,
    /^etcd_server_proposals_applied_total \d+$/,
    /^etcd_server_proposals_pending 0$/,
    /^etcd_server_proposals_failed_total 0$/,
    /^etcd_server_version\{server_version="[\d.]+"\} 1$/,
    /^etcd_server_id\{server_id="[0-9a-f]+"\} 1$/,
    /^etcd_cluster_version\{cluster_version="\d+\.\d+"\} 1$/,
    /^etcd_server_quota_backend_bytes [\d.e+]+$/,
    /^etcd_mvcc_db_total_size_in_bytes [\d.e+]+$/,
    /^etcd_mvcc_db_total_size_in_use_in_bytes [\d.e+]+$/,
    /^etcd_mvcc_put_total \d+$/,
    /^etcd_mvcc_range_total \d+$/,
    /^etcd_mvcc_txn_total \d+$/,
    /^etcd_debugging_mvcc_current_revision \d+$/,
    /^etcd_debugging_mvcc_keys_total \d+$/,
    /^etcd_debugging_mvcc_watcher_total \d+$/,
    /^etcd_debugging_lease_granted_total \d+$/,
    /^etcd_disk_wal_fsync_duration_seconds_bucket\{le="0\.001"\} \d+$/,
    /^etcd_disk_backend_commit_duration_seconds_count \d+$/,
    /^process_resident_memory_bytes [\d.e+]+$/,
  ]) {
    const name = /^\^(\w+)/.exec(line.source)?.[1] ?? "";
    test(`has ${name}`, async (t) => {
      const samples = (await get(t, "/metrics")).body.split("\n").filter((sample) => sample.startsWith(name));
      expect(samples).toContainEqual(expect.stringMatching(line));
    });
  }

  test("the request counters are there for every method and code before the first call", async (t) => {
    const { body } = await get(t, "/metrics");
    const has = (text: string) => body.includes(text);
    for (const [code, method, service] of [
      ["OK", "Range", "etcdserverpb.KV"],
      ["Unavailable", "Put", "etcdserverpb.KV"],
      ["DataLoss", "MemberPromote", "etcdserverpb.Cluster"],
    ] as const) {
      const labels = `grpc_code="${code}",grpc_method="${method}",grpc_service="${service}",grpc_type="unary"`;
      expect([labels, has(`grpc_server_handled_total{${labels}} `)]).toEqual([labels, true]);
    }
    expect(has('grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"')).toBe(true);
    expect(has('grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream"')).toBe(true);
  });

  test("counters follow the work", async (t) => {
    const before = (await get(t, "/metrics")).body;
    await t.putAll("a", "b", "c");
    const after = (await get(t, "/metrics")).body;
    for (const name of [
      "etcd_mvcc_put_total",
      "etcd_debugging_mvcc_current_revision",
      "etcd_debugging_mvcc_keys_total",
    ]) {
      expect([name, value(after, name) - value(before, name)]).toEqual([name, 3]);
    }
  });
});
