/** One listening socket, the connections that came in through it, and who gets them. */

import { existsSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { boundUrl } from "./address.js";
import { detectProtocol } from "./first-bytes.js";

/** What is known of a caller besides what it sends. */
export interface Caller {
  /** Common name of its certificate, if one was demanded. */
  readonly certificateName: string | undefined;
}

/** Takes over a connection, its errors and its end included. */
export type Accept = (socket: Socket, caller: Caller) => void;

/** A connection after its handshake. */
export interface SecuredConnection {
  /** Speaks in clear here and is encrypted outside. */
  readonly socket: TLSSocket;
  /** The connection that it lies on. */
  readonly plain: Socket;
  readonly commonName: string | undefined;
}

/** Makes TLS of connections; cuts those that do not come through. Each port has its own. */
export type Secure = (
  protocols: readonly AlpnProtocol[],
  onSecured: (connection: SecuredConnection) => void,
) => (plain: Socket) => void;

export type AlpnProtocol = "h2" | "http/1.1";

/** Who gets the connections that speak each protocol; connections that speak anything else are cut. */
export interface Takers {
  readonly http1?: Accept | undefined;
  readonly http2?: Accept | undefined;
}

export interface PortOptions {
  readonly where: ListenOptions;
  /** Who gets connections in clear, and who those with TLS; at least one. */
  readonly clear: Takers | undefined;
  readonly secured: (Takers & { readonly secure: Secure }) | undefined;
  readonly hold: boolean;
  readonly firstBytesTimeoutMs: number;
  /** A port that only takes TLS waits no longer than this for its first byte. */
  readonly handshakeTimeoutMs: number;
  /** Somebody came who speaks in clear where TLS is spoken, or the other way round. */
  readonly onMismatch: (remote: string, reason: string) => void;
}

const tcpKeepaliveMs = 30_000;
const stranger: Caller = { certificateName: undefined };
const httpsWanted = "This port speaks TLS: use https.\n";

export class Port {
  private readonly options: PortOptions;
  private readonly server: Server;
  private readonly shakeHands: ((plain: Socket) => void) | undefined;
  /** Nobody has taken these yet. */
  private readonly undecided = new Set<Socket>();
  private readonly connections = new Set<Socket>();
  private state: "held" | "serving";

  constructor(options: PortOptions) {
    const { secured } = options;
    this.options = options;
    this.state = options.hold ? "held" : "serving";
    this.shakeHands = secured?.secure(protocolsOf(secured), (connection) => this.secured(connection));
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: tcpKeepaliveMs };
    this.server = createServer({ noDelay: true, ...keepAlive }, (socket) => this.accept(socket));
  }

  /** The URL with the port that the system chose, if it was asked to choose one. */
  bound(url: string): string {
    return boundUrl(url, this.server);
  }

  open(): Promise<void> {
    const { where } = this.options;
    if (where.path !== undefined) removeStale(where.path);
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(where, () => {
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
    const { clear, firstBytesTimeoutMs, handshakeTimeoutMs } = this.options;
    detectProtocol(socket, clear === undefined ? handshakeTimeoutMs : firstBytesTimeoutMs, (protocol) => {
      if (protocol === "tls") this.takeTls(socket);
      else this.takeClear(socket, protocol);
    });
  }

  private takeTls(socket: Socket): void {
    // It stays undecided until the handshake is done.
    if (this.shakeHands !== undefined) return this.shakeHands(socket);
    this.mismatch(socket, "it speaks TLS, and this port does not");
    // A server of HTTP/1 says that this is none, which clients of TLS know how to report.
    this.hand(socket, this.options.clear?.http1);
  }

  private takeClear(socket: Socket, protocol: "http1" | "http2"): void {
    if (this.options.clear !== undefined) return this.hand(socket, this.options.clear[protocol]);
    this.mismatch(socket, "it speaks in clear, and this port speaks TLS");
    if (protocol === "http1") {
      socket.on("error", () => socket.destroy());
      // However long it goes on sending.
      const cut = setTimeout(() => socket.destroy(), this.options.handshakeTimeoutMs);
      socket.once("close", () => clearTimeout(cut));
      socket.resume().end(refusal);
    } else reset(socket);
  }

  private hand(socket: Socket, taker: Accept | undefined): void {
    this.undecided.delete(socket);
    if (taker === undefined) reset(socket);
    else taker(socket, stranger);
  }

  private secured({ socket, plain, commonName }: SecuredConnection): void {
    const protocol = socket.alpnProtocol === "h2" ? "http2" : "http1";
    const taker = this.options.secured?.[protocol];
    const take = (): void => {
      this.undecided.delete(plain);
      if (taker === undefined) socket.destroy();
      else taker(socket, { certificateName: commonName });
    };
    if (protocol === "http1") return take();
    // What was agreed on is no proof that it comes.
    detectProtocol(socket, this.options.firstBytesTimeoutMs, (spoken) => {
      if (spoken === "http2") take();
      else socket.destroy();
    });
  }

  private mismatch(socket: Socket, reason: string): void {
    const { remoteAddress, remotePort } = socket;
    this.options.onMismatch(remoteAddress === undefined ? "unix" : `${remoteAddress}:${remotePort}`, reason);
  }
}

const refusal = [
  "HTTP/1.0 400 Bad Request",
  "Content-Type: text/plain; charset=utf-8",
  "Connection: close",
  "",
  httpsWanted,
].join("\r\n");

function protocolsOf(takers: Takers): readonly AlpnProtocol[] {
  return [
    ...(takers.http2 === undefined ? [] : (["h2"] as const)),
    ...(takers.http1 === undefined ? [] : (["http/1.1"] as const)),
  ];
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
