/** Ports for gRPC and HTTP/1 together: accepts connections and hands each to the protocol that its first bytes speak. */

import { existsSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { boundUrl, listenOptionsOf } from "./address.js";
import { detectProtocol } from "./first-bytes.js";

/** Takes over a connection, its errors and its end included. */
export type Accept = (socket: Socket) => void;

/** One URL and who serves it; connections that speak anything else are reset. */
export interface ListenRequest {
  readonly url: string;
  readonly http1?: Accept;
  readonly http2?: Accept;
  /** Connections are let in at once, but nobody serves them before {@link Listeners.serve}. */
  readonly hold?: true;
}

export interface ListenOptions {
  /** How long a connection may stay silent before its first bytes. 5 min by default, as etcd's HTTP. */
  readonly firstBytesTimeoutMs?: number;
}

export interface Listeners {
  /** In the order of the requests, with the ports that were chosen where the request said 0. */
  readonly urls: readonly string[];
  /** Serves the connections that were held, and those to come. */
  serve(): void;
  /**
   * Accepts no more, waits until the connections are gone and cuts those left after `drainMs`. Whoever took a
   * connection ends it; connections that nobody took yet are cut at once.
   */
  close(drainMs: number): Promise<void>;
}

const tcpKeepaliveMs = 30_000;
const firstBytesTimeoutMsDefault = 300_000;

/** Opens all of them or none. The caller closes. Rejects with a ListenError or the system's error. */
export async function openListeners(
  requests: readonly ListenRequest[],
  options: ListenOptions = {},
): Promise<Listeners> {
  const timeoutMs = options.firstBytesTimeoutMs ?? firstBytesTimeoutMsDefault;
  const ports: Port[] = [];
  try {
    for (const request of requests) {
      const port = new Port(request, timeoutMs);
      ports.push(port);
      await port.open();
    }
  } catch (error) {
    await Promise.all(ports.map((port) => port.close(0)));
    throw error;
  }
  return {
    urls: ports.map((port) => port.url),
    serve: () => ports.forEach((port) => port.serve()),
    close: async (drainMs) => {
      await Promise.all(ports.map((port) => port.close(drainMs)));
    },
  };
}

/** One listening socket and the connections that came in through it. */
class Port {
  private readonly request: ListenRequest;
  private readonly timeoutMs: number;
  private readonly server: Server;
  private readonly undecided = new Set<Socket>();
  private readonly connections = new Set<Socket>();
  private state: "held" | "serving";

  constructor(request: ListenRequest, timeoutMs: number) {
    this.request = request;
    this.timeoutMs = timeoutMs;
    this.state = request.hold === true ? "held" : "serving";
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: tcpKeepaliveMs };
    this.server = createServer({ noDelay: true, ...keepAlive }, (socket) => this.accept(socket));
  }

  get url(): string {
    return boundUrl(this.request.url, this.server);
  }

  open(): Promise<void> {
    const options = listenOptionsOf(this.request.url);
    if (options.path !== undefined) removeStale(options.path);
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(options, () => {
        this.server.off("error", reject);
        resolve();
      });
    });
  }

  serve(): void {
    if (this.state === "serving") return;
    this.state = "serving";
    for (const socket of this.undecided) this.take(socket);
  }

  async close(drainMs: number): Promise<void> {
    if (!this.server.listening) return;
    const gone = new Promise<void>((resolve) => void this.server.close(() => resolve()));
    for (const socket of this.undecided) socket.destroy();
    const cut = setTimeout(() => {
      for (const socket of this.connections) socket.destroy();
    }, drainMs);
    await gone;
    clearTimeout(cut);
  }

  private accept(socket: Socket): void {
    this.connections.add(socket);
    this.undecided.add(socket);
    socket.once("close", () => {
      this.connections.delete(socket);
      this.undecided.delete(socket);
    });
    if (this.state === "serving") this.take(socket);
    // A client that goes away is noticed when its connection is read.
    else socket.once("error", () => socket.destroy());
  }

  private take(socket: Socket): void {
    detectProtocol(socket, this.timeoutMs, (protocol) => {
      this.undecided.delete(socket);
      const taker = this.request[protocol];
      if (taker === undefined) reset(socket);
      else taker(socket);
    });
  }
}

/** A socket file outlives a process that was killed; nobody listens there any more. */
function removeStale(path: string): void {
  if (existsSync(path) && !lstatSync(path).isDirectory()) unlinkSync(path);
}

function reset(socket: Socket): void {
  // Only TCP knows a reset; a socket in the file system is just closed.
  if (socket.remoteAddress === undefined) socket.destroy();
  else socket.resetAndDestroy();
}

/** The URLs of a client-facing server and who serves each kind. */
export interface ClientPlan {
  readonly clientUrls: readonly string[];
  readonly clientHttpUrls: readonly string[];
  readonly metricsUrls: readonly string[];
  readonly grpc: Accept;
  readonly http: Accept;
  readonly metrics: Accept;
}

/**
 * What to listen on: gRPC and HTTP share the client URLs unless HTTP has URLs of its own; metrics URLs serve metrics
 * and health alone. Source: spec/server.md 12.1.
 */
export function clientRequests(plan: ClientPlan): readonly ListenRequest[] {
  const { grpc, http, metrics } = plan;
  const split = plan.clientHttpUrls.length > 0;
  return [
    ...plan.clientUrls.map((url) => (split ? { url, http2: grpc } : { url, http1: http, http2: grpc })),
    ...plan.clientHttpUrls.map((url) => ({ url, http1: http })),
    ...plan.metricsUrls.map((url) => ({ url, http1: metrics })),
  ];
}
