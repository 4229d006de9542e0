/** HTTP/1 over connections that somebody else accepted. */

import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";

export interface HttpServer {
  /** Takes over a connection that speaks HTTP/1 from its first byte on. */
  accept(socket: Socket): void;
  /** Ends connections without a request at once, the others with their answer. */
  close(): void;
}

export interface HttpServerOptions {
  /**
   * A client that sends nothing for this long is cut off, and so is one that takes longer for the header of a request, however
   * busily it drips. 5 min by default, as in etcd.
   */
  readonly headerMsMax?: number;
}

const headerMsMaxDefault = 300_000;

export function createHttpServer(handler: RequestListener, options: HttpServerOptions = {}): HttpServer {
  return new InjectedHttpServer(handler, options.headerMsMax ?? headerMsMaxDefault);
}

class InjectedHttpServer implements HttpServer {
  private readonly server: Server;
  /** Connections, and whether a request is under way on them. */
  private readonly busy = new Map<Socket, boolean>();
  private readonly headerMsMax: number;
  /** Connections that a request is awaited on, and what ends the wait. */
  private readonly waits = new Map<Socket, NodeJS.Timeout>();
  private closing = false;

  constructor(handler: RequestListener, headerMsMax: number) {
    this.headerMsMax = headerMsMax;
    this.server = createServer((request, response) => {
      const { socket } = request;
      this.busy.set(socket, true);
      clearTimeout(this.waits.get(socket));
      if (this.closing) response.shouldKeepAlive = false;
      response.once("close", () => this.answered(socket));
      handler(request, response);
    });
    this.server.timeout = headerMsMax;
    this.server.keepAliveTimeout = headerMsMax;
  }

  accept(socket: Socket): void {
    if (this.closing) {
      socket.destroy();
      return;
    }
    this.busy.set(socket, false);
    this.awaitRequest(socket);
    socket.once("close", () => {
      clearTimeout(this.waits.get(socket));
      this.waits.delete(socket);
      this.busy.delete(socket);
    });
    this.server.emit("connection", socket);
  }

  close(): void {
    this.closing = true;
    for (const [socket, busy] of this.busy) if (!busy) socket.destroy();
  }

  private answered(socket: Socket): void {
    if (this.closing) socket.end();
    else if (this.busy.has(socket)) {
      this.busy.set(socket, false);
      this.awaitRequest(socket);
    }
  }

  /** Node has such a bound, but keeps it only for servers that listen themselves. */
  private awaitRequest(socket: Socket): void {
    this.waits.set(
      socket,
      setTimeout(() => socket.destroy(), this.headerMsMax),
    );
  }
}
