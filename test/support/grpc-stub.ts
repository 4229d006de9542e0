/** The smallest gRPC server: answers every call with the same bytes, or not at all. For tests of connections. */
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";

export interface GrpcStubOptions {
  /** Speaks TLS with this. */
  readonly tls?: http2.SecureServerOptions;
  /** Listens on this socket instead of a port. */
  readonly path?: string;
  /** What a call is answered with; null leaves it open. Empty by default. */
  readonly answer?: Uint8Array | null;
}

export interface GrpcStub extends AsyncDisposable {
  /** `http://127.0.0.1:port`, `https://…`, `unix:path`. */
  readonly endpoint: string;
  /** Of every call, in order. */
  readonly headers: readonly http2.IncomingHttpHeaders[];
  /** Serial numbers of the certificates that clients showed, in order of their connections; "" for none. */
  readonly clientSerials: readonly string[];
  readonly connectionCount: number;
  /** Ends every connection. */
  cut(): void;
}

/** The caller disposes of it. */
export async function startGrpcStub(options: GrpcStubOptions = {}): Promise<GrpcStub> {
  const { tls, path, answer = new Uint8Array() } = options;
  const server = tls === undefined ? http2.createServer() : http2.createSecureServer(tls);
  const sessions = new Set<http2.ServerHttp2Session>();
  const headers: http2.IncomingHttpHeaders[] = [];
  const clientSerials: string[] = [];
  server.on("secureConnection", (socket: TLSSocket) => {
    clientSerials.push(socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? "");
  });
  server.on("session", (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
  });
  server.on("stream", (stream: http2.ServerHttp2Stream, received: http2.IncomingHttpHeaders) => {
    headers.push(received);
    stream.on("error", () => stream.destroy());
    if (answer !== null) respond(stream, answer);
  });
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(path, resolve);
  });
  const port = (server.address() as AddressInfo).port;
  const cut = (): void => {
    for (const session of sessions) session.destroy();
  };
  return {
    endpoint: path === undefined ? `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}` : `unix:${path}`,
    headers,
    clientSerials,
    get connectionCount() {
      return sessions.size;
    },
    cut,
    [Symbol.asyncDispose]: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function respond(stream: http2.ServerHttp2Stream, answer: Uint8Array): void {
  stream.resume();
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  const frame = Buffer.alloc(5 + answer.length);
  frame.writeUInt32BE(answer.length, 1);
  frame.set(answer, 5);
  stream.end(frame);
}
