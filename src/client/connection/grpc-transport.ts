/** A connection over @grpc/grpc-js: one channel to one endpoint, shared with nobody, and watched. */
import { type ChannelOptions, Client, connectivityState, type Interceptor } from "@grpc/grpc-js";
import { Code } from "../../../proto/status.js";
import { onAbort } from "../calls/abort.js";
import { publishConnection } from "../observe/channels.js";
import { type Door, doorFor } from "./door.js";
import { type EndpointUrl, parseEndpoint } from "./endpoint-url.js";
import { asBuffer, channelUnary, deadlineOf, GrpcDuplex, MetadataCache, messages, stubUnary } from "./grpc-calls.js";
import { DoorCredentials } from "./grpc-credentials.js";
import {
  type Connection,
  type ConnectionEvent,
  type ConnectionSettings,
  type Duplex,
  type Method,
  TransportError,
  type WireCall,
} from "./transport.js";

/** A connection that broke is dialled again soon: the caller's own back-off decides how often it is used. */
const reconnectBackoffMs = { initial: 100, max: 1_000 };
/** What a server may send on a stream ahead of its reader: enough for 100 MB/s over 10 ms. */
const streamWindowBytes = 1024 * 1024;
/** Timers may be early by so much. */
const timerEarlyMsMax = 2;
/** Timers count no further. */
const timerMsMax = 2 ** 31 - 1;

type Channel = ReturnType<Client["getChannel"]>;

/** Nothing is dialled before `ready()`. Throws a TypeError for an endpoint it cannot read. */
export function connectGrpc(endpoint: string, settings: ConnectionSettings): Connection {
  return new GrpcConnection(endpoint, settings);
}

class GrpcConnection implements Connection {
  private readonly endpoint: string;
  private readonly url: EndpointUrl;
  private readonly settings: ConnectionSettings;
  private readonly door: Door;
  private readonly metadata = new MetadataCache();
  private readonly intercepted: boolean;
  private readonly waiting = new Set<() => void>();
  private client: Client;
  private channel: Channel;
  private state: connectivityState = connectivityState.IDLE;
  private closed = false;
  /** When the attempt to connect began that is still going on. */
  private attemptSinceMs: number | undefined;

  constructor(endpoint: string, settings: ConnectionSettings) {
    this.endpoint = endpoint;
    this.settings = settings;
    this.url = parseEndpoint(endpoint, settings.tls !== undefined);
    this.door = doorFor(this.url, settings);
    this.intercepted = (settings.interceptors?.length ?? 0) > 0;
    this.client = this.dial();
    this.channel = this.client.getChannel();
    this.follow(this.channel);
  }

  isReady(): boolean {
    return this.state === connectivityState.READY;
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
    if (this.closed) throw notSent("the connection is closed");
    const state = this.channel.getConnectivityState(true);
    if (state === connectivityState.READY) return true;
    if (state === connectivityState.TRANSIENT_FAILURE) {
      const trouble = await this.door.trouble();
      if (trouble !== undefined) throw trouble;
      return true;
    }
    this.attemptSinceMs ??= performance.now();
    if (!(await this.changed(signals))) this.abandonStuckAttempt();
    return false;
  }

  /** Resolves with true when the channel's state changed, with false when a signal aborted first. */
  private changed(signals: readonly (AbortSignal | undefined)[]): Promise<boolean> {
    return new Promise((resolve) => {
      const undo: (() => void)[] = [];
      const settle = (value: boolean): void => {
        for (const each of undo) each();
        this.waiting.delete(notice);
        resolve(value);
      };
      const notice = (): void => settle(true);
      this.waiting.add(notice);
      for (const signal of signals) if (signal !== undefined) undo.push(onAbort(signal, () => settle(false)));
    });
  }

  /** grpc-js can wait for ever for a peer that accepts and then says nothing. */
  private abandonStuckAttempt(): void {
    if (this.attemptSinceMs === undefined || this.closed) return;
    const durationMs = performance.now() - this.attemptSinceMs;
    if (durationMs < this.settings.connectTimeoutMs - timerEarlyMsMax) return;
    this.attemptSinceMs = undefined;
    this.tell({ type: "failed", durationMs, cause: notSent(`no connection within ${Math.round(durationMs)} ms`) });
    const stuck = this.client;
    this.client = this.dial();
    this.channel = this.client.getChannel();
    this.state = connectivityState.IDLE;
    this.follow(this.channel);
    stuck.close();
  }

  unary<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): Promise<Res> {
    if (this.closed) return Promise.reject(notSent("the connection is closed"));
    const sending = { body: this.encode(method, request), metadata: this.metadata.get(call.metadata), call };
    return this.intercepted ? stubUnary(this.client, method, sending) : channelUnary(this.channel, method, sending);
  }

  serverStream<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): AsyncIterable<Res> {
    if (this.closed) throw notSent("the connection is closed");
    const stream = this.client.makeServerStreamRequest(
      method.path,
      asBuffer,
      (bytes) => method.decode(bytes),
      this.encode(method, request),
      this.metadata.get(call.metadata),
      deadlineOf(call),
    );
    return messages(stream, call.signal);
  }

  duplex<Req, Res>(method: Method<Req, Res>, call: WireCall): Duplex<Req, Res> {
    if (this.closed) throw notSent("the connection is closed");
    const stream = this.client.makeBidiStreamRequest<Req, Res>(
      method.path,
      (request) => asBuffer(method.encode(request)),
      (bytes) => method.decode(bytes),
      this.metadata.get(call.metadata),
      deadlineOf(call),
    );
    return new GrpcDuplex(stream, call.signal);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    const wasReady = this.isReady();
    this.state = connectivityState.SHUTDOWN;
    this.client.close();
    if (wasReady) this.tell({ type: "disconnected" });
    for (const notice of this.waiting) notice();
  }

  private dial(): Client {
    // The public type is the outline of this one.
    const interceptors = (this.settings.interceptors ?? []) as unknown as Interceptor[];
    return new Client(this.url.target, new DoorCredentials(this.door), {
      ...channelOptions(this.settings, this.url),
      ...(this.intercepted ? { interceptors } : {}),
    });
  }

  /** Learns of every change of the channel's state, until it is closed or replaced. */
  private follow(channel: Channel): void {
    channel.watchConnectivityState(this.state, Number.POSITIVE_INFINITY, () => {
      if (this.closed || channel !== this.channel) return;
      this.enter(channel.getConnectivityState(false));
      this.follow(channel);
    });
  }

  private enter(state: connectivityState): void {
    const before = this.state;
    this.state = state;
    const durationMs = this.attemptSinceMs === undefined ? {} : { durationMs: performance.now() - this.attemptSinceMs };
    if (before === connectivityState.READY) this.tell({ type: "disconnected" });
    switch (state) {
      case connectivityState.READY:
        this.attemptSinceMs = undefined;
        this.door.connected();
        this.tell({ type: "connected", ...durationMs });
        break;
      case connectivityState.TRANSIENT_FAILURE:
        this.attemptSinceMs = undefined;
        void this.tellFailure(durationMs);
        break;
      case connectivityState.CONNECTING:
        this.attemptSinceMs ??= performance.now();
        break;
      case connectivityState.IDLE:
      case connectivityState.SHUTDOWN:
        break;
    }
    for (const notice of this.waiting) notice();
  }

  private async tellFailure(duration: { durationMs?: number }): Promise<void> {
    const cause = await this.door.trouble();
    this.tell({ type: "failed", ...duration, ...(cause === undefined ? {} : { cause }) });
  }

  private tell(event: Omit<ConnectionEvent, "endpoint">): void {
    const whole = { ...event, endpoint: this.endpoint };
    publishConnection(whole);
    this.settings.onConnection?.(whole);
  }

  private encode<Req, Res>(method: Method<Req, Res>, request: Req): Uint8Array {
    const body = method.encode(request);
    if (body.length <= this.settings.requestBytesMax) return body;
    const text = `trying to send message larger than max (${body.length} vs. ${this.settings.requestBytesMax})`;
    throw new TransportError(text, { grpcStatus: Code.RESOURCE_EXHAUSTED, sent: false });
  }
}

function notSent(message: string): TransportError {
  return new TransportError(message, { grpcStatus: Code.UNAVAILABLE, sent: false });
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
    // Statistics of every call that nobody reads.
    "grpc.enable_channelz": 0,
    "grpc-node.flow_control_window": streamWindowBytes,
    ...(keepAlive === false
      ? {}
      : { "grpc.keepalive_time_ms": keepAlive.timeMs, "grpc.keepalive_timeout_ms": keepAlive.timeoutMs }),
    ...(url.secure && tls?.serverName !== undefined ? { "grpc.default_authority": tls.serverName } : {}),
  };
}
