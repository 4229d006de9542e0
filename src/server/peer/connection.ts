/**
 * Connections to other members: HTTP/2 with gRPC on it, straight on Node's own. A gRPC library does the same in twice the
 * processor time a message, and a put in a cluster is a handful of messages (ARCHITECTURE, decision 14).
 */

import { type ClientHttp2Session, type ClientHttp2Stream, connect as openSession } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as handshake } from "node:tls";
import { PeerDefinition } from "../../../proto/gen/internal/raft.js";
import { methodsOf } from "../../../proto/methods.js";
import type { TlsDialer } from "../tls/dialer.js";
import type { PeerEndpoint } from "./address.js";
import { requestHeaders } from "./call-status.js";

export const methods = methodsOf(PeerDefinition);

/** Large enough for a link with 100 ms and 40 MB/s; HTTP/2's own 64 KiB would let 640 KB/s through. */
export const flowControlWindowBytes = 4 * 1024 * 1024;

/** A connection that is being opened or stands. Whoever opened it closes it. */
export interface Connection {
  /** Begins a call. What is written before the connection stands leaves when it does. Throws if it is over already. */
  call(path: string, headers: Readonly<Record<string, string>>): ClientHttp2Stream;
  /** Ends all calls at once. */
  close(): void;
}

export function openConnection(endpoint: PeerEndpoint, dialer: TlsDialer): Connection {
  const socket = endpoint.secure ? secured(endpoint, dialer) : plain(endpoint);
  const session = openSession(authorityOf(endpoint), {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: flowControlWindowBytes },
    // Node's own limit makes a busy connection fail; what waits here is bounded by the queues.
    maxSessionMemory: Number.MAX_SAFE_INTEGER,
  });
  // The calls on it say the same.
  session.on("error", () => undefined);
  return new Http2Connection(session, socket);
}

class Http2Connection implements Connection {
  private readonly session: ClientHttp2Session;
  private readonly socket: Socket;

  constructor(session: ClientHttp2Session, socket: Socket) {
    this.session = session;
    this.socket = socket;
  }

  call(path: string, headers: Readonly<Record<string, string>>): ClientHttp2Stream {
    return this.session.request(requestHeaders(path, headers));
  }

  close(): void {
    this.session.destroy();
    // A session that waits for its socket does not let go of it.
    this.socket.destroy();
  }
}

function plain({ place }: PeerEndpoint): Socket {
  const socket = connect({ ...place, noDelay: true });
  socket.on("error", () => undefined);
  return socket;
}

function secured(endpoint: PeerEndpoint, dialer: TlsDialer): Socket {
  const { place } = endpoint;
  const socket = plain(endpoint);
  const secure = handshake({ socket, ...dialer.handshake("path" in place ? "localhost" : endpoint.name) });
  secure.on("error", () => undefined);
  secure.once("close", () => socket.destroy());
  return secure;
}

function authorityOf({ secure, place }: PeerEndpoint): string {
  const scheme = secure ? "https" : "http";
  if ("path" in place) return `${scheme}://localhost`;
  return `${scheme}://${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`;
}
