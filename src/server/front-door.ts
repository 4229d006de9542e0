/** Where clients come in: the ports, and behind them gRPC and HTTP/1 over the same member. */
import type { Socket } from "node:net";
import type { Services } from "./api/types.js";
import type { ServerConfig } from "./config/config.js";
import { createHttpHandler, type HttpHandlerOptions } from "./http/handler.js";
import type { HttpHealth } from "./http/health-checks.js";
import { type Http2Arrival, serveOverHttp2 } from "./http/over-http2.js";
import { createHttpServer } from "./http/server.js";
import { clientRequests, openListeners } from "./listen/listen.js";
import type { Secure } from "./listen/port.js";
import type { Member } from "./member.js";
import { createRpcServer, type RpcServer } from "./rpc/server.js";
import type { Logger } from "./runtime/logger.js";
import type { Metrics } from "./runtime/metrics.js";
import { serverVersion, storageVersion } from "./runtime/version.js";
import { type Admission, TlsAcceptor } from "./tls/acceptor.js";
import { Complaints } from "./tls/complaints.js";

/** How long calls may go on after the server was told to end: as long as a request may take (spec/server.md 4.8). */
const drainBaseMs = 5000;

export interface FrontDoorOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly member: Member;
  readonly services: Services;
  readonly metrics: Metrics;
  /** Who is let in over TLS; undefined without any. */
  readonly admission: Admission | undefined;
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
  const handler = createHttpHandler(httpOptions(options, "all"));
  const isSplit = config.listenClientHttpUrls.length > 0;
  const rpc = createRpc(options, isSplit ? undefined : (arrival) => serveOverHttp2(handler, arrival));
  const http = createHttpServer(handler);
  const observers = createHttpServer(createHttpHandler(httpOptions(options, "metrics")));
  const metrics = (socket: Socket): void => observers.accept(socket);
  const requests = clientRequests({
    clientUrls: config.listenClientUrls,
    clientHttpUrls: config.listenClientHttpUrls,
    metricsUrls: config.listenMetricsUrls,
    // A name that was not asked for as one is none (spec/server.md 8.2).
    grpc: (socket, { certificateName }) => rpc.accept(socket, config.clientCertAuth ? certificateName : undefined),
    http: (socket) => http.accept(socket),
    metrics,
  });
  // Whoever watches over the member may look at once, also while it waits for others.
  const listeners = await openListeners(
    requests.map((request) => (request.http1 === metrics ? request : { ...request, hold: true })),
    securityOf(options),
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

/** TLS for the ports, and who hears of callers that do not get in. */
function securityOf({ logger, admission }: FrontDoorOptions) {
  const complaints = new Complaints(logger.in("listen"));
  const onMismatch = (remote: string, error: string): void =>
    complaints.say("rejected connection on client endpoint", remote, error);
  return { onMismatch, secure: admission === undefined ? undefined : securing(admission, complaints) };
}

function securing(admission: Admission, complaints: Complaints): Secure {
  return (protocols, onSecured) => {
    const acceptor = new TlsAcceptor({ admission, protocols, endpoint: "client", complaints, onSecured });
    return (socket) => acceptor.accept(socket);
  };
}

function createRpc(
  { config, logger, member, services, metrics, onFatal }: FrontDoorOptions,
  onOther: ((arrival: Http2Arrival) => void) | undefined,
): RpcServer {
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
    onOther,
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
