/** The sockets that other members connect to: plain or TLS, by address or in the file system. */

import { lstatSync, unlinkSync } from "node:fs";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { PeerUrlError, parsePeerUrl } from "./address.js";
import type { PeerTls } from "./types.js";

/** More members and their snapshots than any cluster has. */
const connectionsMax = 1_024;
const handshakeTimeoutMs = 10_000;
const tcpKeepaliveMs = 30_000;

/** Open listening sockets. Whoever opened them closes them. */
export interface PeerPorts {
  /** With the ports that were chosen where 0 was asked for. */
  readonly urls: readonly string[];
  /** Listens no more and cuts what is connected. */
  close(): Promise<void>;
}

/** Opens all or none. `accept` owns each connection it gets. Rejects with PeerUrlError or the system's error. */
export async function openPorts(
  urls: readonly string[],
  tls: PeerTls["server"] | undefined,
  accept: (socket: Socket) => void,
): Promise<PeerPorts> {
  const ports: Port[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ports.map((port) => port.close()));
  };
  try {
    for (const url of urls) {
      const port = new Port(url, tls, accept);
      ports.push(port);
      await port.open();
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { urls: ports.map((port) => port.url), close };
}

class Port {
  private readonly givenUrl: string;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(url: string, tls: PeerTls["server"] | undefined, accept: (socket: Socket) => void) {
    this.givenUrl = url;
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: tcpKeepaliveMs };
    if (!parsePeerUrl(url).secure) this.server = createTcpServer(options, accept);
    else if (tls === undefined) throw new PeerUrlError(`cannot listen on ${url}: no certificate and key are given`);
    else this.server = createTlsServer({ ...options, ...tlsOptions(tls) }, accept);
    this.server.maxConnections = connectionsMax;
    // Also sees connections whose handshake never ends.
    this.server.on("connection", (socket: Socket) => this.keep(socket));
  }

  get url(): string {
    const address = this.server.address();
    if (address === null || typeof address === "string") return this.givenUrl;
    return this.givenUrl.replace(/:0\/?$/, `:${address.port}`);
  }

  open(): Promise<void> {
    const { place } = parsePeerUrl(this.givenUrl);
    if ("path" in place) removeStale(place.path);
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(place, () => {
        this.server.off("error", reject);
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise<void>((resolve) => void this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    // Whoever breaks a connection has no ear for the error; what was going on over it ends by itself.
    socket.on("error", () => socket.destroy());
  }
}

function tlsOptions({ cert, key, trustedCa }: PeerTls["server"]) {
  const trust = trustedCa === undefined ? {} : { ca: Buffer.from(trustedCa), requestCert: true };
  return {
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    ALPNProtocols: ["h2"],
    handshakeTimeout: handshakeTimeoutMs,
    ...trust,
  };
}

/** A socket file outlives a process that was killed; nobody listens there any more. */
function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === true) unlinkSync(path);
}
