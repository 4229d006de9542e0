/** Builds a client out of its parts and closes them again. */
import type * as rpc from "../../proto/gen/etcd/rpc.js";
import { AuthCalls } from "./admin/auth.js";
import { ClusterCalls } from "./admin/cluster.js";
import { MaintenanceCalls } from "./admin/maintenance.js";
import type { AuthAdmin, Cluster, Maintenance } from "./admin/types.js";
import { Calls } from "./calls/call.js";
import { type ClusterInfo, Membership } from "./calls/membership.js";
import { authMethods, kvMethods } from "./calls/methods.js";
import { LeaderTracker } from "./calls/routing.js";
import { type ClientState, Links, StatusBoard, type StatusEvent } from "./calls/status-board.js";
import { Wiring } from "./calls/wiring.js";
import { Credentials } from "./connection/credentials.js";
import { Endpoints } from "./connection/endpoints.js";
import { grpcTransport } from "./connection/lazy-grpc.js";
import { utf8 } from "./kv/codec.js";
import { headerOf, revisionOf } from "./kv/convert.js";
import { KvView } from "./kv/kv.js";
import { NamespacedCalls } from "./kv/namespace.js";
import type { Header, RevisionInput } from "./kv/types.js";
import { Renewals } from "./lease/keepalive.js";
import { LeaseBook } from "./lease/lease.js";
import type { Leases } from "./lease/types.js";
import { type CallOptions, type ClientOptions, settingsOf } from "./options.js";
import { rawClient } from "./raw/raw.js";
import type { RawClient } from "./raw/raw-types.js";
import type { EtcdClient } from "./types.js";

/** A client that connects when it is first used. The caller closes it. Throws a TypeError if no endpoint is named. */
export function createClient(options: ClientOptions): EtcdClient {
  const settings = settingsOf(options);
  const board = new StatusBoard();
  const links = new Links(board);
  const endpoints = new Endpoints(settings, options.transport ?? grpcTransport, links);
  const credentials = new Credentials(settings.auth, (login) => authenticate(calls, login));
  const leader = new LeaderTracker((change) => board.publish({ type: "leader", ...change }));
  const wiring = new Wiring({ settings, endpoints, credentials, leader, board, links });
  const calls: Calls = new Calls(wiring);
  const { namespace = "" } = options;
  return new Client(namespace.length === 0 ? calls : new NamespacedCalls(calls, namespace));
}

async function authenticate(calls: Calls, login: rpc.AuthenticateRequest): Promise<string> {
  return (await calls.unary(authMethods.authenticate, login)).token;
}

class Client extends KvView<string> implements EtcdClient {
  readonly leases: Leases;
  readonly auth: AuthAdmin;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  readonly raw: RawClient;
  private readonly leaseBook: LeaseBook;
  private readonly membership: Membership;

  constructor(calls: Calls) {
    super(calls, utf8);
    const renewals = new Renewals(calls);
    this.leaseBook = new LeaseBook(calls, renewals);
    this.leases = this.leaseBook;
    this.auth = new AuthCalls(calls);
    this.cluster = new ClusterCalls(calls);
    this.maintenance = new MaintenanceCalls(calls);
    this.raw = rawClient(calls, renewals);
    this.membership = new Membership(calls);
  }

  get state(): ClientState {
    return this.calls.wiring.state;
  }

  get endpoints(): readonly string[] {
    return this.calls.wiring.endpoints.names();
  }

  setEndpoints(endpoints: string | readonly string[]): void {
    this.calls.wiring.endpoints.replace(endpoints);
  }

  sync(options: CallOptions = {}): Promise<void> {
    return this.membership.sync(options);
  }

  ready(options: CallOptions = {}): Promise<ClusterInfo> {
    return this.membership.ready(options);
  }

  status(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<StatusEvent> {
    return this.calls.wiring.board.subscribe(options.signal);
  }

  async compact(revision: RevisionInput, options: CallOptions & { readonly physical?: boolean } = {}): Promise<Header> {
    const request = { revision: revisionOf(revision), physical: options.physical ?? false };
    return headerOf((await this.calls.unary(kvMethods.compact, request, options)).header);
  }

  /** Calls that wait reject with code "ClientClosed"; loops over watches end; leases are given up, not revoked. */
  async close(): Promise<void> {
    await this.leaseBook.close();
    await this.calls.wiring.close();
    await this.membership.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
