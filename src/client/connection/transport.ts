/**
 * What the client needs of a connection to one endpoint. `grpc-transport.ts` is the one we ship; another may be given
 * to `createClient`.
 */
import type { DeepPartial } from "../../../proto/gen/etcd/rpc.js";
import type { GrpcInterceptor, LogEntry, TlsOptions } from "../options.js";

/** What decides how a call is made and repeated. */
export interface MethodFacts {
  /** `/package.Service/Method` */
  readonly path: string;
  /**
   * "read": may be repeated anywhere. "write": only on proof that it was not applied. "local": about the one member
   * asked, so it needs no leader.
   */
  readonly kind: "read" | "write" | "local";
  /**
   * "serves": the leader does the work, so going there saves a hop. "known": any member that knows a leader can answer.
   * "irrelevant": the member answers from what it has.
   */
  readonly leader: "serves" | "known" | "irrelevant";
}

/** One RPC as data. */
export interface Method<Req, Res> extends MethodFacts {
  encode(request: Req): Uint8Array;
  decode(bytes: Uint8Array): Res;
  fromPartial(request: DeepPartial<Req>): Req;
}

/** What travels with one call. `deadlineMs` is the time left, undefined for none. */
export interface WireCall {
  readonly metadata: Readonly<Record<string, string>>;
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** A call that ended with a status. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly grpcStatus: number;
  /** False only if the request surely never left. */
  readonly sent: boolean;
  /** True if this endpoint will refuse until someone changes a certificate or an option: waiting mends nothing. */
  readonly lasting: boolean;

  constructor(message: string, facts: { grpcStatus: number; sent: boolean; lasting?: boolean; cause?: unknown }) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.grpcStatus = facts.grpcStatus;
    this.sent = facts.sent;
    this.lasting = facts.lasting ?? false;
  }
}

/**
 * What happened to a connection. "connected" and "disconnected" alternate; "failed" is an attempt that did not lead to
 * a connection, after `durationMs`.
 */
export interface ConnectionEvent {
  readonly type: "connected" | "disconnected" | "failed";
  readonly endpoint: string;
  readonly durationMs?: number;
  readonly cause?: Error;
}

/** A two-way stream. Iterating rejects with a TransportError; breaking out of the loop cancels the stream. */
export interface Duplex<Req, Res> extends AsyncIterable<Res> {
  write(request: Req): void;
  /** No more requests; answers may still come. */
  end(): void;
  cancel(): void;
}

/** One connection. Calls on it need `ready()` first; all reject with a TransportError. */
export interface Connection {
  /** True if a call can be sent now. */
  isReady(): boolean;
  /**
   * Resolves when an attempt to connect has ended, well or not: a call then finds out. Rejects when that takes longer
   * than `timeoutMs` or the signal aborted. An attempt is thrown away after `connectTimeoutMs`.
   */
  ready(options: { timeoutMs: number; signal: AbortSignal | undefined }): Promise<void>;
  unary<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): Promise<Res>;
  serverStream<Req, Res>(method: Method<Req, Res>, request: Req, call: WireCall): AsyncIterable<Res>;
  duplex<Req, Res>(method: Method<Req, Res>, call: WireCall): Duplex<Req, Res>;
  close(): void;
}

export interface ConnectionSettings {
  readonly tls: TlsOptions | undefined;
  readonly interceptors?: readonly GrpcInterceptor[];
  /** Told of everything that happens to the connection. Must not throw. */
  readonly onConnection?: (event: ConnectionEvent) => void;
  readonly keepAlive: { readonly timeMs: number; readonly timeoutMs: number } | false;
  readonly requestBytesMax: number;
  readonly connectTimeoutMs: number;
  readonly log: (entry: LogEntry) => void;
}

export interface Transport {
  /** Lazy: nothing is dialled before `ready()`. Throws a TypeError for an endpoint it cannot read. */
  connect(endpoint: string, settings: ConnectionSettings): Connection;
}
