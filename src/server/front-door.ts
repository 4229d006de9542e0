/** Where clients come in: the ports, and behind them gRPC and HTTP/1 over the same member. */
import type { Socket } from "node:net";
import type { Services } from "./api/types.js";
import type { ServerConfig } from "./config/config.js";
import { createHttpHandler, type HttpHandlerOptions } from "./http/handler.js";
import type { HttpHealth } from "./http/health-checks.js";
import { createHttpServer } from "./http/server.js";
import { clientRequests, openListeners } from "./listen/listen.js";
import type { Member } from "./member.js";
import { createRpcServer, type RpcServer } from "./rpc/server.js";
import type { Logger } from "./runtime/logger.js";
import type { Metrics } from "./runtime/metrics.js";
import { serverVersion, storageVersion } from "./runtime/version.js";

/** How long calls may go on after the server was told to end: as long as a request may take (spec/server.md 4.8). */
const drainBaseMs = 5000;

export interface FrontDoorOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly member: Member;
  readonly services: Services;
  readonly metrics: Metrics;
  readonly onFatal: (error: unknown) => void;
}

export interface FrontDoor {
  readonly clientUrls: readonly string[];
  readonly metricsUrls: readonly string[];
  /** The URLs to make known: those that were asked for, with chosen ports where they say 0. */
  advertised(urls: readonly string[]): readonly string[];
  /** Serves those who came, and those to come. */
  serve(): void;
  close(): Promise<void>;
}

export async function openFrontDoor(options: FrontDoorOptions): Promise<FrontDoor> {
  const { config } = options;
  const rpc = createRpc(options);
  const http = createHttpServer(createHttpHandler(httpOptions(options, "all")));
  const observers = createHttpServer(createHttpHandler(httpOptions(options, "metrics")));
  const metrics = (socket: Socket): void => observers.accept(socket);
  const requests = clientRequests({
    clientUrls: config.listenClientUrls,
    clientHttpUrls: config.listenClientHttpUrls,
    metricsUrls: config.listenMetricsUrls,
    grpc: (socket) => rpc.accept(socket),
    http: (socket) => http.accept(socket),
    metrics,
  });
  // Whoever watches over the member may look at once, also while it waits for others.
  const listeners = await openListeners(
    requests.map((request) => (request.http1 === metrics ? request : { ...request, hold: true })),
  );
  const clientUrls = listeners.urls.slice(0, config.listenClientUrls.length);
  const metricsUrls = listeners.urls.slice(listeners.urls.length - config.listenMetricsUrls.length);
  const drainMs = drainBaseMs + 2 * config.electionTimeoutMs;
  return {
    clientUrls,
    metricsUrls,
    advertised: (urls) => urls.map((url, at) => (new URL(url).port === "0" ? (clientUrls[at] ?? url) : url)),
    serve: () => listeners.serve(),
    close: async () => {
      http.close();
      observers.close();
      await Promise.all([rpc.close(drainMs), listeners.close(drainMs)]);
    },
  };
}

function createRpc({ config, logger, member, services, metrics, onFatal }: FrontDoorOptions): RpcServer {
  return createRpcServer({
    services,
    metrics,
    metricsLevel: config.metrics,
    logger,
    clock: member.clock,
    limits: {
      requestBytesMax: config.maxRequestBytes,
      concurrentStreamsMax: config.maxConcurrentStreams,
      keepalive: {
        clientMinTimeMs: config.grpcKeepaliveMinTimeMs,
        intervalMs: config.grpcKeepaliveIntervalMs,
        timeoutMs: config.grpcKeepaliveTimeoutMs,
      },
    },
    electionTimeoutMs: config.electionTimeoutMs,
    hasLeader: () => member.replica.hasLeader(),
    isLearner: () => member.replica.status().learner,
    onFatal,
  });
}

function httpOptions(
  { config, logger, member, metrics }: FrontDoorOptions,
  paths: HttpHandlerOptions["paths"],
): HttpHandlerOptions {
  return {
    health: healthOf(member),
    metrics,
    versions: {
      server: serverVersion,
      storage: storageVersion,
      cluster: () => member.replica.state.clusterVersion(),
    },
    access: { corsOrigins: config.corsOrigins, hostWhitelist: config.hostWhitelist },
    logger: logger.in("http"),
    paths,
  };
}

function healthOf({ replica }: Member): HttpHealth {
  return {
    alarms: () => replica.state.alarms().map(({ type }) => type),
    hasLeader: () => replica.hasLeader(),
    isLearner: () => replica.status().learner,
    linearizableRead: () => replica.linearizableRead(),
    serializableRead: async () => void replica.state.members(),
  };
}
