/**
 * The transport the client has unless it is given another: gRPC, loaded when the first connection is wanted. Whoever
 * imports this package without calling a server does not pay for gRPC.
 */
import { Code } from "../../../proto/status.js";
import { parseEndpoint } from "./endpoint-url.js";
import {
  type Connection,
  type ConnectionSettings,
  type Duplex,
  type Method,
  type Transport,
  TransportError,
  type WireCall,
} from "./transport.js";

export const grpcTransport: Transport = {
  connect(endpoint, settings) {
    parseEndpoint(endpoint, settings.tls !== undefined);
    return new LazyConnection(endpoint, settings);
  },
};

/** Every call comes after `ready()`, which is what loads the module. */
class LazyConnection implements Connection {
  private readonly endpoint: string;
  private readonly settings: ConnectionSettings;
  private inner: Connection | undefined;
  private closed = false;

  constructor(endpoint: string, settings: ConnectionSettings) {
    this.endpoint = endpoint;
    this.settings = settings;
  }

  isReady(): boolean {
    return this.inner?.isReady() ?? false;
  }

  async ready(options: { timeoutMs: number; signal: AbortSignal | undefined }): Promise<void> {
    if (this.inner === undefined) {
      const { connectGrpc } = await import("./grpc-transport.js");
      if (this.closed) throw closedError();
      this.inner ??= connectGrpc(this.endpoint, this.settings);
    }
    return this.inner.ready(options);
  }

  unary<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): Promise<Res> {
    return this.inner === undefined ? Promise.reject(closedError()) : this.inner.unary(method, request, call);
  }

  serverStream<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): AsyncIterable<Res> {
    return this.opened().serverStream(method, request, call);
  }

  duplex<Req, Res>(method: Method<Req, Res>, call: WireCall): Duplex<Req, Res> {
    return this.opened().duplex(method, call);
  }

  close(): void {
    this.closed = true;
    this.inner?.close();
  }

  private opened(): Connection {
    if (this.inner === undefined) throw closedError();
    return this.inner;
  }
}

function closedError(): TransportError {
  return new TransportError("the connection is not open", { grpcStatus: Code.UNAVAILABLE, sent: false });
}
