/**
 * Connections to other members: HTTP/2 with gRPC on it, straight on Node's own. A gRPC library does the same in twice the
 * processor time a message, and a put in a cluster is a handful of messages (ARCHITECTURE, decision 14).
 */

import { type ClientHttp2Session, type ClientHttp2Stream, connect as openSession } from "node:http2";
import { connect, isIP, type Socket } from "node:net";
import { createSecureContext, connect as handshake, type SecureContext } from "node:tls";
import { PeerDefinition } from "../../../proto/gen/internal/raft.js";
import { methodsOf } from "../../../proto/methods.js";
import { type PeerEndpoint, PeerUrlError } from "./address.js";
import { requestHeaders } from "./call-status.js";
import type { PeerClientTls } from "./types.js";

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

/** Reads certificates once. Throws what parsing them throws. */
export function secureContextOf(tls: PeerClientTls): SecureContext {
  return createSecureContext({
    ...(tls.ca === undefined ? {} : { ca: Buffer.from(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: Buffer.from(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: Buffer.from(tls.key) }),
  });
}

/** Throws {@link PeerUrlError} for a secure endpoint without a context. */
export function openConnection(endpoint: PeerEndpoint, secureContext: SecureContext | undefined): Connection {
  if (endpoint.secure && secureContext === undefined) {
    throw new PeerUrlError("a peer URL asks for TLS and no certificates are given");
  }
  const socket = endpoint.secure ? secured(endpoint, secureContext) : plain(endpoint);
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

function secured(endpoint: PeerEndpoint, secureContext: SecureContext | undefined): Socket {
  const { place } = endpoint;
  const host = "path" in place ? "localhost" : place.host;
  const socket = plain(endpoint);
  const secure = handshake({
    socket,
    host,
    ...(secureContext === undefined ? {} : { secureContext }),
    // An address is no name to ask for (RFC 6066), but one to verify.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ["h2"],
  });
  secure.on("error", () => undefined);
  secure.once("close", () => socket.destroy());
  return secure;
}

function authorityOf({ secure, place }: PeerEndpoint): string {
  const scheme = secure ? "https" : "http";
  if ("path" in place) return `${scheme}://localhost`;
  return `${scheme}://${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`;
}
