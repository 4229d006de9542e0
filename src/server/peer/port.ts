/** The sockets that other members connect to: plain or TLS, by address or in the file system. */

import { lstatSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { type Admission, TlsAcceptor } from "../tls/acceptor.js";
import type { Complaints } from "../tls/complaints.js";
import { PeerUrlError, parsePeerUrl } from "./address.js";

/** More members and their snapshots than any cluster has. */
const connectionsMax = 1_024;
const tcpKeepaliveMs = 30_000;

/** Open listening sockets. Whoever opened them closes them. */
export interface PeerPorts {
  /** With the ports that were chosen where 0 was asked for. */
  readonly urls: readonly string[];
  /** Listens no more and cuts what is connected. */
  close(): Promise<void>;
}

export interface PortOptions {
  /** Needed for URLs with TLS. */
  readonly admission: Admission | undefined;
  readonly complaints: Complaints;
  /** Owns each connection it gets. */
  readonly onConnection: (socket: Socket) => void;
}

/** Opens all or none. Rejects with PeerUrlError or the system's error. */
export async function openPorts(urls: readonly string[], options: PortOptions): Promise<PeerPorts> {
  const ports: Port[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ports.map((port) => port.close()));
  };
  try {
    for (const url of urls) {
      const port = new Port(url, options);
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
  /** Also those whose handshake never ends. */
  private readonly sockets = new Set<Socket>();

  constructor(url: string, options: PortOptions) {
    this.givenUrl = url;
    const accept = acceptorFor(url, options);
    this.server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: tcpKeepaliveMs },
      (socket: Socket) => {
        this.keep(socket);
        accept(socket);
      },
    );
    this.server.maxConnections = connectionsMax;
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

/** Only those whom TLS lets in get any further. */
function acceptorFor(url: string, { admission, complaints, onConnection }: PortOptions): (socket: Socket) => void {
  if (!parsePeerUrl(url).secure) return onConnection;
  if (admission === undefined) throw new PeerUrlError(`cannot listen on ${url}: no certificate and key are given`);
  const acceptor = new TlsAcceptor({
    admission,
    protocols: ["h2"],
    endpoint: "peer",
    complaints,
    onSecured: ({ socket }) => onConnection(socket),
  });
  return (socket) => acceptor.accept(socket);
}

/** A socket file outlives a process that was killed; nobody listens there any more. */
function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === true) unlinkSync(path);
}
