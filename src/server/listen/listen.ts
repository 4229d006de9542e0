/**
 * Ports for gRPC and HTTP/1 together, in clear and with TLS: accepts connections and hands each to the protocol that its
 * first bytes speak.
 */

import { isSecure, ListenError, listenOptionsOf } from "./address.js";
import { type Accept, Port, type Secure, type Takers } from "./port.js";

/** One URL and who serves it; connections that speak anything else are reset. */
export interface ListenRequest extends Takers {
  readonly url: string;
  /** Connections are let in at once, but nobody serves them before {@link Listeners.serve}. */
  readonly hold?: true;
}

export interface ListenOptions {
  /** How long a connection may stay silent before its first bytes. 5 min by default, as etcd's HTTP. */
  readonly firstBytesTimeoutMs?: number;
  /** How long a port that takes nothing but TLS waits for a handshake to begin. 10 s by default. */
  readonly handshakeTimeoutMs?: number;
  /** Needed for URLs that ask for TLS. */
  readonly secure?: Secure | undefined;
  /** Somebody came who speaks in clear where TLS is spoken, or the other way round. `remote` is `address:port`. */
  readonly onMismatch?: (remote: string, reason: string) => void;
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

const firstBytesTimeoutMsDefault = 300_000;
const handshakeTimeoutMsDefault = 10_000;

/** Opens all of them or none. The caller closes. Rejects with a ListenError or the system's error. */
export async function openListeners(
  requests: readonly ListenRequest[],
  options: ListenOptions = {},
): Promise<Listeners> {
  const ports: Port[] = [];
  const portOf = new Map<ListenRequest, Port>();
  try {
    for (const group of byPlace(requests)) {
      const port = portFor(group, options);
      ports.push(port);
      for (const request of group) portOf.set(request, port);
      await port.open();
    }
  } catch (error) {
    await Promise.all(ports.map((port) => port.close(0)));
    throw error;
  }
  return {
    urls: requests.map((request) => portOf.get(request)?.bound(request.url) ?? request.url),
    serve: () => ports.forEach((port) => port.serve()),
    close: async (drainMs) => {
      await Promise.all(ports.map((port) => port.close(drainMs)));
    },
  };
}

/** A place may be named twice, once for those who speak in clear and once for TLS (spec/server.md 13.3). */
function byPlace(requests: readonly ListenRequest[]): readonly (readonly ListenRequest[])[] {
  const groups: ListenRequest[][] = [];
  for (const request of requests) {
    const group = groups.find(([first, second]) => {
      if (first === undefined || second !== undefined || isSecure(first.url) === isSecure(request.url)) return false;
      return !request.url.endsWith(":0") && placeOf(first.url) === placeOf(request.url);
    });
    if (group === undefined) groups.push([request]);
    else group.push(request);
  }
  return groups;
}

function placeOf(url: string): string {
  const { host, port, path } = listenOptionsOf(url);
  return path ?? `${host} ${port}`;
}

function portFor(group: readonly ListenRequest[], options: ListenOptions): Port {
  const [first] = group;
  if (first === undefined) throw new ListenError("there is nothing to listen on");
  const clear = group.find(({ url }) => !isSecure(url));
  const secured = group.find(({ url }) => isSecure(url));
  const { secure } = options;
  if (secured !== undefined && secure === undefined) {
    throw new ListenError(`cannot listen on ${secured.url}: no certificate and key are given`);
  }
  return new Port({
    where: listenOptionsOf(first.url),
    clear,
    secured: secured === undefined || secure === undefined ? undefined : { ...secured, secure },
    hold: group.some(({ hold }) => hold === true),
    firstBytesTimeoutMs: options.firstBytesTimeoutMs ?? firstBytesTimeoutMsDefault,
    handshakeTimeoutMs: options.handshakeTimeoutMs ?? handshakeTimeoutMsDefault,
    onMismatch: options.onMismatch ?? (() => undefined),
  });
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
