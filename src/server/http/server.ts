/** HTTP/1 over connections that somebody else accepted. */

import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";

export interface HttpServer {
  /** Takes over a connection that speaks HTTP/1 from its first byte on. */
  accept(socket: Socket): void;
  /** Ends connections without a request at once, the others with their answer. */
  close(): void;
}

/** A client that sends nothing for this long is cut off; etcd gives as long for the header of a request. */
const silentMsMax = 300_000;

export function createHttpServer(handler: RequestListener): HttpServer {
  return new InjectedHttpServer(handler);
}

class InjectedHttpServer implements HttpServer {
  private readonly server: Server;
  /** Connections, and whether a request is under way on them. */
  private readonly busy = new Map<Socket, boolean>();
  private closing = false;

  constructor(handler: RequestListener) {
    this.server = createServer((request, response) => {
      const { socket } = request;
      this.busy.set(socket, true);
      if (this.closing) response.shouldKeepAlive = false;
      response.once("close", () => this.answered(socket));
      handler(request, response);
    });
    this.server.timeout = silentMsMax;
    this.server.keepAliveTimeout = silentMsMax;
  }

  accept(socket: Socket): void {
    if (this.closing) {
      socket.destroy();
      return;
    }
    this.busy.set(socket, false);
    socket.once("close", () => this.busy.delete(socket));
    this.server.emit("connection", socket);
  }

  close(): void {
    this.closing = true;
    for (const [socket, busy] of this.busy) if (!busy) socket.destroy();
  }

  private answered(socket: Socket): void {
    if (this.closing) socket.end();
    else if (this.busy.has(socket)) this.busy.set(socket, false);
  }
}
