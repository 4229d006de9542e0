/** The words of the test kit. */
import type { ClientOptions, EtcdClient } from "../../client/index.js";
import type { ServerConfig } from "../config/config.js";
import type { Logger } from "../runtime/logger.js";
import type { TcpProxy } from "./tcp-proxy.js";

export interface TestServerOptions {
  /** In this process: one member, or a cluster of three. One if absent. */
  readonly members?: 1 | 3;
  /** `true`: the server has a certificate. "mutual": clients need one as well. The kit makes them, and an authority. */
  readonly tls?: boolean | "mutual";
  /** Authentication is on, and there is a user root. */
  readonly auth?: boolean;
  /** Clients go through a proxy that can break; see `fault`. */
  readonly faults?: boolean;
  /** Settings of the members that differ; addresses and directories are chosen if not given. */
  readonly config?: Partial<ServerConfig>;
  readonly logger?: Logger;
  /**
   * An etcd that runs already, instead of a server in this process; nothing of the above but `faults` applies then, and
   * an undefined or empty one counts as absent. Its keys are safe: clients see a namespace that only this test has.
   */
  readonly endpoint?: string | readonly string[] | undefined;
  /** How to get into an etcd that runs already: TLS and authentication. */
  readonly access?: Pick<ClientOptions, "tls" | "auth">;
}

/** A server for a test. Disposing of it closes its clients, ends its members and removes their directories. */
export interface TestServer extends AsyncDisposable {
  /** `host:port` of the first endpoint. */
  readonly endpoint: string;
  /** URLs, one a member. */
  readonly endpoints: readonly string[];
  /** The members in this process; none if the server ran already. */
  readonly members: readonly TestMember[];
  /** What other clients need for TLS; undefined without. */
  readonly tls: TestCertificates | undefined;
  /** Who other clients may log in as; undefined without authentication. */
  readonly auth: { readonly username: string; readonly password: string } | undefined;
  readonly fault: Faults;
  /** A client that can do everything. It is closed with the server, if not before. */
  client(options?: Partial<ClientOptions>): EtcdClient;
  /** Heals all faults, starts members that were stopped, and removes keys, leases, alarms, and all users and roles but root. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** A member in this process. */
export interface TestMember {
  readonly name: string;
  readonly endpoint: string;
  readonly dataDir: string;
  readonly running: boolean;
  /** Ends it; its data stays. Clients see their connections end. */
  stop(): Promise<void>;
  /** Starts it again with the data and the addresses it had. A cluster without a quorum is waited for. */
  start(): Promise<void>;
}

/** PEM texts, for loopback addresses and `localhost`. */
export interface TestCertificates {
  readonly ca: string;
  /** A client certificate for root, signed by the same authority. */
  readonly cert: string;
  readonly key: string;
}

/**
 * What can go wrong between clients and members. Each acts on one member (0 is the first), or on all. Throws a TypeError
 * unless the server was started with `faults: true`.
 */
export interface Faults {
  /** Breaks the connections there are; new ones succeed. */
  cut(member?: number): void;
  /** Breaks the connections there are, and new ones, until healed. */
  refuse(member?: number): void;
  /** Swallows every byte both ways, as a network that has gone away without a word. */
  blackHole(member?: number): void;
  /** Lets requests through and swallows the replies: what was asked happens, and nobody learns of it. */
  loseReplies(member?: number): void;
  /** Delays every byte in both directions by so many milliseconds. */
  delay(ms: number, member?: number): void;
  /** Ends all faults. Connections whose bytes were swallowed are broken, since they could never be right again. */
  heal(member?: number): void;
  /** The proxy in front of a member, for finer faults. */
  proxy(member: number): TcpProxy;
}
