/** The transport over @grpc/grpc-js, the only file that imports it. One channel a connection, nothing shared. */
import type { ConnectionOptions } from "node:tls";
import {
  CallCredentials,
  ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { Code } from "../../../proto/status.js";
import { onAbort } from "../calls/abort.js";
import type { TlsOptions } from "../options.js";
import { type EndpointUrl, parseEndpoint } from "./endpoint-url.js";
import { handshakeOptions, secure, secureContextOf } from "./tls.js";
import {
  type Connection,
  type ConnectionSettings,
  type Duplex,
  type Method,
  type Transport,
  TransportError,
  type WireCall,
} from "./transport.js";

/** A connection that broke is dialled again soon: the caller's own back-off decides how often it is used. */
const reconnectBackoffMs = { initial: 100, max: 1_000 };

/** Timers may be early by so much. */
const timerEarlyMsMax = 2;
/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;

export const grpcTransport: Transport = {
  connect: (endpoint, settings) => new GrpcConnection(endpoint, settings),
};

class GrpcConnection implements Connection {
  private readonly target: string;
  private readonly credentials: ChannelCredentials;
  private readonly options: ChannelOptions;
  private readonly requestBytesMax: number;
  private readonly connectTimeoutMs: number;
  private client: Client;
  private closed = false;
  /** When the attempt to connect began that is still going on. */
  private attemptSinceMs: number | undefined;

  constructor(endpoint: string, settings: ConnectionSettings) {
    const url = parseEndpoint(endpoint, settings.tls !== undefined);
    this.target = url.target;
    this.credentials = credentialsFor(url, settings);
    this.options = channelOptions(settings, url);
    this.requestBytesMax = settings.requestBytesMax;
    this.connectTimeoutMs = settings.connectTimeoutMs;
    this.client = this.dial();
  }

  isReady(): boolean {
    return this.client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  async ready({ timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal | undefined }): Promise<void> {
    const patience = new AbortController();
    // Not unref'd: grpc-js holds the process for calls only, and there is none before there is a connection.
    const timer = setTimeout(() => patience.abort(), Math.ceil(Math.min(timeoutMs, timerMsMax)));
    try {
      while (!(await this.attemptEnded([patience.signal, signal]))) {
        if (signal?.aborted === true) throw notSent("given up while connecting");
        if (patience.signal.aborted) throw notSent(`no connection within ${Math.round(timeoutMs)} ms`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** True if the connection is up or was refused; false after any other change, or when a signal aborted. */
  private async attemptEnded(signals: readonly (AbortSignal | undefined)[]): Promise<boolean> {
    const channel = this.client.getChannel();
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) {
      this.attemptSinceMs = undefined;
      return true;
    }
    if (this.closed) throw notSent("the connection is closed");
    this.attemptSinceMs ??= performance.now();
    if (!(await changed(channel, state, signals))) this.abandonStuckAttempt();
    return false;
  }

  /** grpc-js can wait for ever for a peer that accepts and then says nothing. */
  private abandonStuckAttempt(): void {
    if (this.attemptSinceMs === undefined || this.closed) return;
    if (performance.now() - this.attemptSinceMs < this.connectTimeoutMs - timerEarlyMsMax) return;
    this.attemptSinceMs = undefined;
    this.client.close();
    this.client = this.dial();
  }

  unary<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): Promise<Res> {
    const body = this.encode(method, request);
    return new Promise((resolve, reject) => {
      let unlisten: (() => void) | undefined;
      const wire = this.client.makeUnaryRequest(
        method.path,
        asBuffer,
        (bytes) => method.decode(bytes),
        body,
        metadataOf(call),
        deadlineOf(call),
        (error, response) => {
          unlisten?.();
          if (error !== null) reject(transportError(error));
          else if (response === undefined) reject(new TransportError("no answer", noAnswer));
          else resolve(response);
        },
      );
      if (call.signal !== undefined) unlisten = onAbort(call.signal, () => wire.cancel());
    });
  }

  serverStream<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): AsyncIterable<Res> {
    const stream = this.client.makeServerStreamRequest(
      method.path,
      asBuffer,
      (bytes) => method.decode(bytes),
      this.encode(method, request),
      metadataOf(call),
      deadlineOf(call),
    );
    return messages(stream, call.signal);
  }

  duplex<Req, Res>(method: Method<Req, Res>, call: WireCall): Duplex<Req, Res> {
    const stream = this.client.makeBidiStreamRequest<Req, Res>(
      method.path,
      (request) => asBuffer(method.encode(request)),
      (bytes) => method.decode(bytes),
      metadataOf(call),
      deadlineOf(call),
    );
    return new GrpcDuplex(stream, call.signal);
  }

  close(): void {
    this.closed = true;
    this.client.close();
  }

  private dial(): Client {
    return new Client(this.target, this.credentials, this.options);
  }

  private encode<Req, Res>(method: Method<Req, Res>, request: Req): Uint8Array {
    const body = method.encode(request);
    if (body.length <= this.requestBytesMax) return body;
    throw new TransportError(`trying to send message larger than max (${body.length} vs. ${this.requestBytesMax})`, {
      grpcStatus: Code.RESOURCE_EXHAUSTED,
      sent: false,
    });
  }
}

class GrpcDuplex<Req, Res> implements Duplex<Req, Res> {
  private readonly stream: ClientDuplexStream<Req, Res>;
  private readonly iterable: AsyncGenerator<Res>;

  constructor(stream: ClientDuplexStream<Req, Res>, signal: AbortSignal | undefined) {
    this.stream = stream;
    this.iterable = messages(stream, signal);
  }

  write(request: Req): void {
    this.stream.write(request);
  }

  end(): void {
    this.stream.end();
  }

  cancel(): void {
    this.stream.cancel();
  }

  [Symbol.asyncIterator](): AsyncIterator<Res> {
    return this.iterable;
  }
}

/** Reads a stream at the reader's pace, so that HTTP/2 holds the server back; cancels it when the reader leaves. */
function messages<Res>(
  stream: ClientReadableStream<Res> | ClientDuplexStream<unknown, Res>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Res> {
  // An error may come before anyone reads; it is kept here and thrown to the reader below.
  let failure: TransportError | undefined;
  stream.on("error", (error: ServiceError) => {
    failure ??= transportError(error);
  });
  const unlisten = signal === undefined ? undefined : onAbort(signal, () => stream.cancel());
  return (async function* () {
    try {
      for await (const message of stream) yield message as Res;
    } catch (error) {
      if (failure === undefined) throw error;
    } finally {
      unlisten?.();
      stream.cancel();
    }
    if (failure !== undefined) throw failure;
  })();
}

/** Resolves with true when the channel's state changed, with false when a signal aborted first. */
function changed(
  channel: ReturnType<Client["getChannel"]>,
  state: connectivityState,
  signals: readonly (AbortSignal | undefined)[],
): Promise<boolean> {
  return new Promise((resolve) => {
    const undo: (() => void)[] = [];
    const settle = (value: boolean): void => {
      for (const each of undo) each();
      resolve(value);
    };
    for (const signal of signals) if (signal !== undefined) undo.push(onAbort(signal, () => settle(false)));
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => settle(true));
  });
}

/** Texts by which grpc-js says that a call found no connection, so that it surely never left. */
function neverLeft({ code, details }: ServiceError): boolean {
  const status: number = code;
  switch (status) {
    case Code.UNAVAILABLE:
      return details.startsWith("No connection established") || details.startsWith("Name resolution failed");
    case Code.DEADLINE_EXCEEDED:
      return details.includes("Waiting for LB pick");
  }
  return false;
}

function transportError(error: ServiceError): TransportError {
  return new TransportError(error.details, { grpcStatus: error.code, sent: !neverLeft(error), cause: error });
}

const noAnswer = { grpcStatus: Code.INTERNAL, sent: true };

function notSent(message: string): TransportError {
  return new TransportError(message, { grpcStatus: Code.UNAVAILABLE, sent: false });
}

function metadataOf(call: WireCall): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(call.metadata)) metadata.set(key, value);
  return metadata;
}

function deadlineOf(call: WireCall): { deadline?: number } {
  return call.deadlineMs === undefined ? {} : { deadline: Date.now() + call.deadlineMs };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function channelOptions(settings: ConnectionSettings, url: EndpointUrl): ChannelOptions {
  const { keepAlive, tls } = settings;
  return {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.initial_reconnect_backoff_ms": reconnectBackoffMs.initial,
    "grpc.max_reconnect_backoff_ms": reconnectBackoffMs.max,
    "grpc.service_config_disable_resolution": 1,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    ...(keepAlive === false
      ? {}
      : { "grpc.keepalive_time_ms": keepAlive.timeMs, "grpc.keepalive_timeout_ms": keepAlive.timeoutMs }),
    ...(url.secure && tls?.serverName !== undefined ? { "grpc.default_authority": tls.serverName } : {}),
  };
}

type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/** TLS by our own handshake: grpc-js would ask for an address as if it were a name, and Node warns about that. */
class TlsCredentials extends ChannelCredentials {
  private readonly handshake: ConnectionOptions;

  constructor(tls: TlsOptions, host: string) {
    super();
    this.handshake = handshakeOptions(tls, secureContextOf(tls), host);
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(_target: unknown, _options: unknown, calls?: CallCredentials): Connector {
    return {
      connect: async (socket) => ({ socket: await secure(socket, this.handshake), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => calls ?? CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}

function credentialsFor(endpoint: EndpointUrl, settings: ConnectionSettings): ChannelCredentials {
  if (!endpoint.secure) return ChannelCredentials.createInsecure();
  const tls = settings.tls ?? {};
  if (tls.insecureSkipVerify === true) {
    settings.log({ level: "warn", message: "TLS: the server's certificate is not verified" });
  }
  return new TlsCredentials(tls, endpoint.host);
}
