/** The plain HTTP endpoints: /version, /health, /livez, /readyz, /metrics, /debug/vars. Source: spec/server.md 12.2. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Logger } from "../runtime/logger.js";
import type { Metrics } from "../runtime/metrics.js";
import { litecdVersion } from "../runtime/version.js";
import { type AccessRules, control } from "./access.js";
import { type CheckKind, checksOf, type HttpHealth, healthVerdict, runChecks } from "./health-checks.js";
import { errorReply, jsonReply, methodNotAllowed, notFound, type Reply, send, textReply } from "./reply.js";

/** Versions as /version shows them: plain x.y.z, because clients take them apart. */
export interface HttpVersions {
  readonly server: string;
  readonly storage: string;
  /** Undefined until the cluster has agreed on one. */
  cluster(): string | undefined;
}

export interface HttpHandlerOptions {
  readonly health: HttpHealth;
  readonly metrics: Metrics;
  readonly versions: HttpVersions;
  readonly access: AccessRules;
  readonly logger: Logger;
  /** "metrics" is what --listen-metrics-urls serve: metrics and health, without access rules. */
  readonly paths: "all" | "metrics";
}

/** One request under way. */
interface Ask {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

type Endpoint = (ask: Ask) => Promise<Reply> | Reply;

export function createHttpHandler(options: HttpHandlerOptions): RequestListener {
  const endpoints = new Map([...observing(options), ...(options.paths === "all" ? describing(options) : [])]);
  return (request, response) => {
    void answer({ endpoints, options }, request, response);
  };
}

interface Routing {
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly options: HttpHandlerOptions;
}

async function answer({ endpoints, options }: Routing, request: IncomingMessage, response: ServerResponse) {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    const refusal = options.paths === "all" ? control(options.access, request, response) : undefined;
    const reply = refusal ?? (await route(endpoints, askOf(request, gone.signal), options));
    if (!response.destroyed) send(response, reply);
  } catch (error) {
    options.logger.error("an HTTP request failed", { path: request.url ?? "", error });
    if (response.headersSent) response.destroy();
    else send(response, errorReply(500, "Internal Server Error"));
  }
}

function askOf(request: IncomingMessage, signal: AbortSignal): Ask {
  const [path = "/", ...query] = (request.url ?? "/").split("?");
  return { method: request.method ?? "GET", path, query: new URLSearchParams(query.join("?")), signal };
}

function route(endpoints: Routing["endpoints"], ask: Ask, { paths }: HttpHandlerOptions): Promise<Reply> | Reply {
  const endpoint = endpoints.get(ask.path);
  if (endpoint !== undefined) return endpoint(ask);
  const inGateway = paths === "all" && ask.path.startsWith("/v3/");
  return inGateway ? jsonReply(404, { code: 5, message: "Not Found" }) : notFound;
}

/** Endpoints that watch over the member. */
function observing(options: HttpHandlerOptions): [string, Endpoint][] {
  return [
    ["/metrics", () => metricsReply(options)],
    ["/health", onlyGet((ask) => healthReply(ask, options))],
    ...checkEndpoints("livez", options),
    ...checkEndpoints("readyz", options),
  ];
}

/** Endpoints that say what the member is. */
function describing({ versions }: HttpHandlerOptions): [string, Endpoint][] {
  return [
    ["/version", onlyGet(() => versionReply(versions))],
    ["/debug/vars", () => jsonReply(200, { cmdline: process.argv, memstats: process.memoryUsage() })],
  ];
}

function onlyGet(endpoint: Endpoint): Endpoint {
  return (ask) => (ask.method === "GET" ? endpoint(ask) : methodNotAllowed);
}

async function metricsReply({ metrics }: HttpHandlerOptions): Promise<Reply> {
  // The metrics library is loaded by the first scrape, not by the start.
  const { renderMetrics } = await import("./metrics-text.js");
  const type = { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" };
  return textReply(await renderMetrics(metrics.all()), type);
}

function versionReply(versions: HttpVersions): Reply {
  return jsonReply(200, {
    etcdserver: versions.server,
    etcdcluster: versions.cluster() ?? "not_decided",
    storage: versions.storage,
    litecd: litecdVersion,
  });
}

async function healthReply({ query, signal }: Ask, { health, metrics, logger }: HttpHandlerOptions): Promise<Reply> {
  const verdict = await healthVerdict(health, {
    consistency: query.get("serializable") === "true" ? "serializable" : "linearizable",
    excludedAlarms: query.getAll("exclude"),
    signal,
  });
  const body = JSON.stringify({ health: verdict === undefined ? "true" : "false", reason: verdict ?? "" });
  if (verdict === undefined) {
    metrics.serverHealthSuccess.inc();
    return textReply(body);
  }
  metrics.serverHealthFailures.inc();
  logger.warn("/health error", { reason: verdict });
  return errorReply(503, body);
}

/** /livez and /readyz run all of their checks, /livez/<check> one of them. */
function checkEndpoints(kind: CheckKind, options: HttpHandlerOptions): [string, Endpoint][] {
  const single = checksOf[kind].map(({ name }): [string, Endpoint] => [
    `/${kind}/${name}`,
    onlyGet((ask) => checkReply(kind, { ask, names: [name] }, options)),
  ]);
  const names = checksOf[kind].map((check) => check.name);
  return [[`/${kind}`, onlyGet((ask) => checkReply(kind, { ask, names }, options))], ...single];
}

interface CheckAsk {
  readonly ask: Ask;
  readonly names: readonly string[];
}

async function checkReply(kind: CheckKind, { ask, names }: CheckAsk, options: HttpHandlerOptions): Promise<Reply> {
  const excluded = ask.query.getAll("exclude");
  const checks = checksOf[kind].filter(({ name }) => names.includes(name) && !excluded.includes(name));
  const results = await runChecks(options.health, { kind, checks, signal: ask.signal }, options.metrics);
  const lines = results.map(({ name, verdict }) =>
    verdict === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${verdict}\n`,
  );
  if (results.some(({ verdict }) => verdict !== undefined)) {
    options.logger.warn("health check failed", { kind, results: lines.join("").trimEnd() });
    return errorReply(503, lines.join(""));
  }
  return textReply(`${ask.query.has("verbose") ? lines.join("") : ""}ok\n`, { "X-Content-Type-Options": "nosniff" });
}
