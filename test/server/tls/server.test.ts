/** A server with TLS as a client of HTTP sees it: one port, both versions of the protocol, the rules that TLS changes. */
import { get as getClear } from "node:http";
import { connect as connectHttp2, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { get } from "node:https";

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultConfig } from "../../../src/server/config/parse-config.js";
import { startTestServer, type TestServer } from "../../../src/server/testing/index.js";
import { Authority, type Issued } from "../../support/certificates.js";
import { freePort } from "../../support/free-ports.js";
import { showing } from "./material.js";

let authority: Authority;
let issued: Issued;

beforeAll(async () => {
  authority = await Authority.create("server");
  issued = await authority.issue();
});

afterAll(() => authority.remove());

const anywhere = ["https://127.0.0.1:0"];

type Config = NonNullable<Parameters<typeof startTestServer>[0]>["config"];

function start(more: Config = {}): Promise<TestServer> {
  const clientTls = { ...defaultConfig().clientTls, identity: showing(issued) };
  const urls = { listenClientUrls: anywhere, advertiseClientUrls: anywhere };
  return startTestServer({ config: { ...urls, clientTls, ...more } });
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask1(url: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ask = url.startsWith("https:") ? get : getClear;
    ask(
      `${url}${path}`,
      { ca: authority.ca, agent: false, headers, checkServerIdentity: () => undefined },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
      },
    ).once("error", reject);
  });
}

function ask2(url: string, headers: OutgoingHttpHeaders): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(url, { ca: authority.ca });
    session.once("error", reject);
    const stream = session.request(headers, { endStream: true });
    let status: number | undefined;
    let seen: IncomingHttpHeaders = {};
    let body = "";
    stream.on("response", (head) => ((status = head[":status"]), (seen = head)));
    stream.setEncoding("utf8").on("data", (text: string) => (body += text));
    stream.once("error", reject);
    stream.once("end", () => {
      session.close();
      resolve({ status, headers: seen, body });
    });
  });
}

describe("a server with TLS", () => {
  it("gives the same answers over HTTP/1 and over HTTP/2", async () => {
    await using server = await start();
    const [url = ""] = server.endpoints;
    for (const path of ["/version", "/health", "/livez?verbose", "/nothing", "/v3/nothing"]) {
      const [one, two] = [await ask1(url, path), await ask2(url, { ":path": path })];
      expect([two.status, two.body]).toEqual([one.status, one.body]);
      for (const name of ["content-type", "content-length", "access-control-allow-origin"]) {
        expect(two.headers[name]).toBe(one.headers[name]);
      }
    }
    expect((await ask2(url, { ":path": "/metrics" })).body).toContain("etcd_server_has_leader 1");
    const options = await ask2(url, { ":path": "/version", ":method": "OPTIONS" });
    expect([options.status, options.body]).toEqual([200, ""]);
    expect((await ask2(url, { ":path": "/version", ":method": "HEAD" })).status).toBe(405);
  });

  it("knows gRPC by its content type alone", async () => {
    await using server = await start();
    const [url = ""] = server.endpoints;
    const post = { ":path": "/etcdserverpb.KV/Range", ":method": "POST" };
    const grpc = await ask2(url, { ...post, "content-type": "application/grpc" });
    expect(grpc.headers["content-type"]).toBe("application/grpc");
    const web = await ask2(url, { ...post, "content-type": "application/grpc-web" });
    expect([web.status, web.headers["content-type"]]).toEqual([415, "application/grpc"]);
    expect((await ask2(url, { ...post, "content-type": "application/json" })).status).toBe(404);
  });

  it("serves gRPC alone on its port when HTTP has one of its own", async () => {
    await using server = await start({ listenClientHttpUrls: [`https://127.0.0.1:${await freePort()}`] });
    const [url = ""] = server.endpoints;
    expect((await ask2(url, { ":path": "/version" })).status).toBe(415);
    await expect(ask1(url, "/version")).rejects.toThrow();
  });

  it("has no list of host names for those who proved whom they look for, and has it for all others", async () => {
    const clear = `http://127.0.0.1:${await freePort()}`;
    await using server = await start({
      listenClientUrls: [...anywhere, clear],
      hostWhitelist: ["db.example"],
    });
    const [url = ""] = server.endpoints;
    const headers = { Host: "evil.example" };
    expect((await ask1(url, "/version", headers)).status).toBe(200);
    expect((await ask2(url, { ":path": "/version", ":authority": "evil.example" })).status).toBe(200);
    const refused = await ask1(clear, "/version", headers);
    expect(refused.status).toBe(421);
    expect(refused.body).toContain("use https, or name the host with --host-whitelist");
    expect((await ask1(clear, "/version", { Host: "db.example" })).status).toBe(200);
  });

  it("serves metrics and health over TLS where it is told to", async () => {
    const metrics = `https://127.0.0.1:${await freePort()}`;
    await using server = await start({ listenMetricsUrls: [metrics] });
    expect(server.endpoints).toHaveLength(1);
    expect((await ask1(metrics, "/health")).body).toContain('"health":"true"');
    expect((await ask1(metrics, "/version")).status).toBe(404);
  });

  it("does not start with a certificate that is no good, and makes nothing", async () => {
    const { certFile } = issued;
    const identity = { kind: "files", certFile, keyFile: certFile } as const;
    const bad = start({ clientTls: { ...defaultConfig().clientTls, identity } });
    await expect(bad).rejects.toMatchObject({ name: "TlsRefused", reason: "tls" });
  });
});
