/**
 * gRPC over connections that somebody else accepted. It stands on node:http2 itself and not on a gRPC library, so
 * that every text, limit and ping is as etcd's clients know them; handlers see none of it.
 */

import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { Code, status, WireError, type WireStatus } from "../../../proto/status.js";
import type { Services } from "../api/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Metrics } from "../runtime/metrics.js";
import { type Arrival, Call } from "./call.js";
import { CallMetrics, type MetricsLevel } from "./call-metrics.js";
import { Connection, type ConnectionOptions, connectionSettings, type KeepaliveLimits } from "./connection.js";
import { serve } from "./handlers.js";
import { isGrpcContentType, isText, statusHeaders, timeoutMsOf } from "./headers.js";
import { LeaderWatch } from "./leader-watch.js";
import { learnerServes } from "./learner-gate.js";
import { encodingProblem } from "./message-reader.js";
import { type Method, splitPath } from "./method.js";
import { methodTable } from "./method-table.js";

export interface RpcLimits {
  /** `--max-request-bytes`; a message may be 512 KiB longer before gRPC itself refuses it. */
  readonly requestBytesMax: number;
  readonly concurrentStreamsMax: number;
  readonly keepalive: KeepaliveLimits;
}

export interface RpcServerOptions {
  readonly services: Services;
  readonly metrics: Metrics;
  readonly metricsLevel: MetricsLevel;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: RpcLimits;
  /** Streams that ask for a leader end after three of these without one. */
  readonly electionTimeoutMs: number;
  readonly hasLeader: () => boolean;
  /** Whether this member is a learner now, and so refuses most calls. */
  readonly isLearner: () => boolean;
  /** Gets requests that are no gRPC, if their connection is encrypted; without it, and in clear, they are refused. */
  readonly onOther?: ((arrival: Arrival) => void) | undefined;
  /** A handler broke an invariant: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

export interface RpcServer {
  /** Takes over a connection that speaks HTTP/2 from its first byte on, of a caller who has proven this name if any. */
  accept(socket: Socket, certificateName?: string): void;
  /** Tells clients to go, ends streams with "server stopped", lets other calls finish and cuts them after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What gRPC adds to the longest request before it refuses it. */
const messageOverheadBytes = 512 * 1024;

export function createRpcServer(options: RpcServerOptions): RpcServer {
  return new Http2RpcServer(options);
}

class Http2RpcServer implements RpcServer {
  private readonly methods: ReadonlyMap<string, Method>;
  private readonly services: ReadonlySet<string>;
  private readonly metrics: CallMetrics;
  private readonly leaderWatch: LeaderWatch;
  private readonly connectionOptions: ConnectionOptions;
  private readonly options: RpcServerOptions;
  private readonly http2;
  private readonly connections = new Map<ServerHttp2Session, Connection>();
  private closing = false;
  private allGone: (() => void) | undefined;
  /** Of the connection that is being taken over. */
  private arrivingName: string | undefined;

  constructor(options: RpcServerOptions) {
    const { clock, logger, limits, electionTimeoutMs, hasLeader, onFatal } = options;
    this.options = options;
    this.methods = methodTable(options.services);
    this.services = new Set([...this.methods.keys()].map((path) => splitPath(path)?.service ?? ""));
    this.metrics = new CallMetrics([...this.methods.values()], options.metrics, options.metricsLevel);
    this.leaderWatch = new LeaderWatch({ clock, electionTimeoutMs, hasLeader });
    this.connectionOptions = {
      clock,
      logger: logger.in("rpc"),
      metrics: this.metrics,
      messageBytesMax: limits.requestBytesMax + messageOverheadBytes,
      keepalive: limits.keepalive,
      leaderWatch: this.leaderWatch,
      onFatal,
    };
    this.http2 = createServer({
      settings: connectionSettings(limits.concurrentStreamsMax),
      // Node's own limit makes a busy connection fail; messages, windows and streams are limited already.
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    });
    this.http2.on("session", (session) => this.connected(session));
    this.http2.on("stream", (...[stream, headers, , rawHeaders]: StreamEvent) => {
      this.arrived({ stream, headers, rawHeaders });
    });
  }

  accept(socket: Socket, certificateName?: string): void {
    if (this.closing) return void socket.destroy();
    this.arrivingName = certificateName;
    this.http2.emit("connection", socket); // and "session" before it returns
    this.arrivingName = undefined;
  }

  async close(graceMs: number): Promise<void> {
    this.closing = true;
    const gone = new Promise<void>((resolve) => (this.allGone = resolve));
    for (const connection of this.connections.values()) connection.drain();
    const cut = this.options.clock.after(graceMs, () => {
      for (const connection of this.connections.values()) connection.destroy();
    });
    if (this.connections.size > 0) await gone;
    cut();
  }

  private connected(session: ServerHttp2Session): void {
    this.connections.set(session, new Connection(session, this.connectionOptions, this.arrivingName));
    session.on("close", () => {
      this.connections.delete(session);
      if (this.connections.size === 0) this.allGone?.();
    });
  }

  private arrived(arrival: Arrival): void {
    const { stream, headers } = arrival;
    const connection =
      stream.session === undefined ? undefined : this.connections.get(stream.session as ServerHttp2Session);
    if (connection === undefined) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    const { onOther } = this.options;
    // Where ALPN has chosen HTTP/2, plain HTTP comes over it too. Source: spec/server.md 12.1.
    if (onOther !== undefined && connection.encrypted && !this.closing && !mayBeGrpc(headers)) return onOther(arrival);
    const refusal = this.refusalOf(headers);
    if (refusal !== undefined) return refuse(stream, refusal);
    const method = this.methods.get(headers[":path"] ?? "");
    if (method === undefined) return refuse(stream, { httpStatus: 200, status: this.unknown(headers[":path"] ?? "") });
    const call = new Call(arrival, connection, method);
    serve(method, call, (admitted, request) => this.admit(method, admitted, request));
  }

  /** What is wrong with a request before anybody looks at its method. Source: spec/server.md 1.1, 1 and 4. */
  private refusalOf(headers: IncomingHttpHeaders): Refusal | undefined {
    if (this.closing) return { httpStatus: 200, status: status.Stopped };
    const contentType = headers["content-type"] ?? "";
    if (!isGrpcContentType(contentType)) {
      const message = `invalid gRPC request content-type ${JSON.stringify(contentType)}`;
      return { httpStatus: 415, status: { code: Code.INVALID_ARGUMENT, message } };
    }
    if (headers[":method"] !== "POST") {
      const message = `Received a HEADERS frame with :method ${JSON.stringify(headers[":method"])} which should be POST`;
      return { httpStatus: 405, status: { code: Code.INTERNAL, message } };
    }
    const timeout = headers["grpc-timeout"];
    if (typeof timeout === "string" && timeoutMsOf(timeout) === undefined) {
      return {
        httpStatus: 400,
        status: { code: Code.INTERNAL, message: `malformed grpc-timeout: ${JSON.stringify(timeout)}` },
      };
    }
    const encoding = headers["grpc-encoding"];
    const problem = encodingProblem(typeof encoding === "string" ? encoding : undefined);
    return problem === undefined ? undefined : { httpStatus: 200, status: problem };
  }

  private unknown(path: string): WireStatus {
    const parts = splitPath(path);
    if (parts === undefined) {
      return { code: Code.UNIMPLEMENTED, message: `malformed method name: ${JSON.stringify(path)}` };
    }
    const message = this.services.has(parts.service)
      ? `unknown method ${parts.name} for service ${parts.service}`
      : `unknown service ${parts.service}`;
    return { code: Code.UNIMPLEMENTED, message };
  }

  /** The gates that every method shares. Throws a WireError. Source: spec/server.md 1.1, 6 to 8; 11. */
  private admit(method: Method, call: Call, request: unknown): void {
    if (this.options.isLearner() && !learnerServes(method, request)) throw new WireError(status.NotSupportedForLearner);
    const version = call.firstMetadata("client-api-version");
    if (version !== undefined && !isText(version)) throw new WireError(status.InvalidClientAPIVersion);
    this.metrics.countRequest(method.kind === "unary" ? "unary" : "stream", version);
    if (call.firstMetadata("hasleader") !== "true") return;
    if (!this.options.hasLeader()) throw new WireError(status.NoLeader);
    if (method.kind !== "unary") this.leaderWatch.add(call);
  }
}

/** As etcd decides; what only looks like it is refused by gRPC itself. */
function mayBeGrpc(headers: IncomingHttpHeaders): boolean {
  return headers["content-type"]?.includes("application/grpc") === true;
}

/** What node hands over for each stream; its type leaves out the last. */
type StreamEvent = [ServerHttp2Stream, IncomingHttpHeaders, flags: number, rawHeaders: string[]];

interface Refusal {
  readonly httpStatus: number;
  readonly status: WireStatus;
}

/** Answers a request that never becomes a call. */
function refuse(stream: ServerHttp2Stream, { httpStatus, status: wireStatus }: Refusal): void {
  stream.on("error", () => undefined); // the caller may leave before it has the answer
  const headers = { ":status": httpStatus, "content-type": "application/grpc", ...statusHeaders(wireStatus) };
  stream.respond(headers, { endStream: true });
  if (!stream.readableEnded) stream.resume().close(constants.NGHTTP2_NO_ERROR);
}
