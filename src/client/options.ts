/** What a caller may choose: for the whole client and for one call. Defaults, and their why, are here too. */
import type { SrvResolver } from "./connection/srv.js";
import type { Transport } from "./connection/transport.js";

export type Bytes = Uint8Array;
/**
 * Where calls go. "leader-writes": writes to the leader, reads in turn. "nearest": writes to the leader, reads to the
 * endpoint with the shortest round trip. "spread": all in turn. "pinned": all on the first endpoint that works.
 */
export type Routing = "leader-writes" | "spread" | "nearest" | "pinned";
/** Which member answers one call. */
export type Target = "any" | "leader" | { readonly endpoint: string } | { readonly memberId: bigint };
/** A value, or a function that is asked each time one is needed. */
export type Provider<T extends string> = T | (() => T | Promise<T>);
/** PEM text, PEM bytes, or a file that holds them. */
export type Pem = string | Bytes | { readonly file: string };

/** Milliseconds that only grow; the wall clock plays no part in the client. */
export interface MonotonicClock {
  now(): number;
}

/**
 * TLS with the server, mutual if `cert` and `key` are given. Files are read again when they have changed, for every new
 * connection; while they do not fit together, as in the middle of a rotation, the last that did stay in use.
 */
export interface TlsOptions {
  /**
   * Roots to trust, one or many in one PEM; if absent the ones Node trusts (NODE_EXTRA_CA_CERTS and --use-system-ca are
   * Node's ways to add to them).
   */
  readonly ca?: Pem;
  /** The client's certificate, followed by the intermediate ones. */
  readonly cert?: Pem;
  /** The key of `cert`, not encrypted. */
  readonly key?: Pem;
  /** The name to expect in the server's certificate instead of the endpoint's host. */
  readonly serverName?: string;
  /** Take any certificate: whoever can reach the wire can read and change everything. Warns once, loudly. */
  readonly insecureSkipVerify?: boolean;
  /** Do not look at the files again within this time; 0, the default, looks for every new connection. */
  readonly reloadIntervalMs?: number;
}

/**
 * An interceptor of `@grpc/grpc-js` (its type `Interceptor`, of which this is the outline: no type of a third party is
 * part of this package's face). It sees every call of the client, and costs a few microseconds each.
 */
export type GrpcInterceptor = (options: never, nextCall: never) => object;

export interface PasswordAuth {
  readonly username: string;
  readonly password: Provider<string>;
}
export interface TokenAuth {
  readonly token: Provider<string>;
}

/** How reads, and writes that surely were not applied, are repeated within the call's deadline. */
export interface RetryPolicy {
  readonly maxAttempts: number;
  readonly baseMs: number;
  readonly maxMs: number;
}

export interface LogEntry {
  readonly level: "debug" | "info" | "warn";
  readonly message: string;
  readonly endpoint?: string;
  readonly cause?: unknown;
}

export interface ClientOptions {
  /**
   * `host:port`, `http://…`, `https://…`, `unix:…`, `unixs:…`, or `etcd+srv://domain?service=name` for what DNS says;
   * several may also be joined by commas.
   */
  readonly endpoints: string | readonly string[];
  readonly tls?: TlsOptions;
  readonly auth?: PasswordAuth | TokenAuth;
  /**
   * "leader-writes" by default. It needs several endpoints, each with a member of its own: one that several members
   * share, as behind a proxy, is used in turn.
   */
  readonly routing?: Routing;
  /** Ask members that know no leader to refuse at once. On for writes, watches and leases unless false. */
  readonly requireLeader?: boolean;
  /** For every call that sets none; 8 s by default, which lets a server's own "request timed out" arrive. */
  readonly timeoutMs?: number;
  /** An attempt to connect is given up after this; 3 s by default. */
  readonly connectTimeoutMs?: number;
  /** Take the endpoints from the member list this often, as `sync()` does. Off by default. */
  readonly syncIntervalMs?: number;
  /** Looks up SRV records, instead of Node's own resolver. */
  readonly resolveSrv?: SrvResolver;
  readonly keepAlive?: { readonly timeMs: number; readonly timeoutMs: number } | false;
  readonly retry?: Partial<RetryPolicy>;
  /** Largest request the client will send. etcd accepts 1.5 MiB unless told otherwise. */
  readonly requestBytesMax?: number;
  /** Begin every key with this, and show none of it: the client sees no other part of the store. */
  readonly namespace?: string | Bytes;
  readonly clock?: MonotonicClock;
  readonly transport?: Transport;
  /** Passed to `@grpc/grpc-js`, outermost first. Another `transport` does not know them. */
  readonly interceptors?: readonly GrpcInterceptor[];
  /** Silent if absent. */
  readonly log?: (entry: LogEntry) => void;
}

/** What every call takes. */
export interface CallOptions {
  /** Gives the call up; the error then has code "Aborted" and the signal's reason as its cause. */
  readonly signal?: AbortSignal;
  /** Time for the whole call, all attempts together. `Infinity` waits for ever. */
  readonly timeoutMs?: number;
  readonly target?: Target;
  /**
   * "safe": reads are repeated, writes only on proof that they were not applied. "idempotent": the caller vouches that
   * applying the write twice does no harm. A transaction guarded by a mod revision is not applied twice even so: if its
   * guard fails after a lost answer, the key's history decides whether it was the first attempt that changed it, where
   * an equal put by someone else counts as that; of a delete the outcome then is "unknown". "none": one attempt on a working connection.
   */
  readonly retry?: "safe" | "idempotent" | "none";
  readonly requireLeader?: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Options with every default filled in. */
export interface Settings {
  readonly endpoints: readonly string[];
  readonly tls: TlsOptions | undefined;
  readonly auth: PasswordAuth | TokenAuth | undefined;
  readonly routing: Routing;
  readonly syncIntervalMs: number | undefined;
  readonly resolveSrv: SrvResolver | undefined;
  readonly requireLeader: boolean;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly keepAlive: { readonly timeMs: number; readonly timeoutMs: number } | false;
  readonly retry: RetryPolicy;
  readonly requestBytesMax: number;
  readonly clock: MonotonicClock;
  readonly interceptors: readonly GrpcInterceptor[];
  readonly log: (entry: LogEntry) => void;
}

/** etcd's own limit is 5 s and two elections (7 s); a little more lets its answer arrive instead of our silence. */
const timeoutMsDefault = 8_000;
const connectTimeoutMsDefault = 3_000;
/** A server closes connections that ping more often than every 5 s, so 10 s leaves room. */
const keepAliveDefault = { timeMs: 10_000, timeoutMs: 5_000 };
/** Attempts are bounded by the deadline; the count is a stop against a server that refuses without delay. */
const retryDefault: RetryPolicy = { maxAttempts: 1_000, baseMs: 25, maxMs: 1_000 };
const requestBytesMaxDefault = 2 * 1024 * 1024;

/** The log of a client that was given none. */
export const silent = (): void => {};

/** Throws a TypeError if no endpoint is named. */
export function settingsOf(options: ClientOptions): Settings {
  const endpoints = endpointList(options.endpoints);
  return {
    endpoints,
    tls: options.tls,
    auth: options.auth,
    routing: options.routing ?? "leader-writes",
    syncIntervalMs: options.syncIntervalMs,
    resolveSrv: options.resolveSrv,
    requireLeader: options.requireLeader ?? true,
    timeoutMs: options.timeoutMs ?? timeoutMsDefault,
    connectTimeoutMs: options.connectTimeoutMs ?? connectTimeoutMsDefault,
    keepAlive: options.keepAlive ?? keepAliveDefault,
    retry: { ...retryDefault, ...options.retry },
    requestBytesMax: options.requestBytesMax ?? requestBytesMaxDefault,
    clock: options.clock ?? performance,
    interceptors: options.interceptors ?? [],
    log: options.log ?? silent,
  };
}

/** The endpoints one by one, without spaces, empties and repeats. */
export function endpointList(endpoints: string | readonly string[]): readonly string[] {
  const named = (typeof endpoints === "string" ? [endpoints] : endpoints).flatMap((text) => text.split(","));
  const list = [...new Set(named.map((text) => text.trim()).filter((text) => text !== ""))];
  if (list.length === 0) throw new TypeError("a client needs at least one endpoint");
  return list;
}
