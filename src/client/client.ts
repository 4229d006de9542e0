/** Builds a client out of its parts and closes them again. */
import type * as rpc from "../../proto/gen/etcd/rpc.js";
import { Calls } from "./call.js";
import { ClusterCalls } from "./cluster.js";
import { utf8 } from "./codec.js";
import { headerOf, revisionOf } from "./convert.js";
import { Credentials } from "./credentials.js";
import { Endpoints } from "./endpoints.js";
import { grpcTransport } from "./grpc-transport.js";
import { Renewals } from "./keepalive.js";
import { KvView } from "./kv.js";
import { LeaseBook } from "./lease.js";
import { MaintenanceCalls } from "./maintenance.js";
import { authMethods, kvMethods } from "./methods.js";
import { type CallOptions, type ClientOptions, settingsOf } from "./options.js";
import { rawClient } from "./raw.js";
import type { RawClient } from "./raw-types.js";
import { LeaderTracker } from "./routing.js";
import type { Cluster, EtcdClient, Header, Leases, Maintenance, RevisionInput } from "./types.js";
import { Wiring } from "./wiring.js";

/** A client that connects when it is first used. The caller closes it. Throws a TypeError if no endpoint is named. */
export function createClient(options: ClientOptions): EtcdClient {
  const settings = settingsOf(options);
  const endpoints = new Endpoints(settings, options.transport ?? grpcTransport);
  const credentials = new Credentials(settings.auth, (login) => authenticate(calls, login));
  const wiring = new Wiring({ settings, endpoints, credentials, leader: new LeaderTracker() });
  const calls = new Calls(wiring);
  return new Client(calls);
}

async function authenticate(calls: Calls, login: rpc.AuthenticateRequest): Promise<string> {
  return (await calls.unary(authMethods.authenticate, login)).token;
}

class Client extends KvView<string> implements EtcdClient {
  readonly leases: Leases;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  readonly raw: RawClient;
  private readonly leaseBook: LeaseBook;

  constructor(calls: Calls) {
    super(calls, utf8);
    const renewals = new Renewals(calls);
    this.leaseBook = new LeaseBook(calls, renewals);
    this.leases = this.leaseBook;
    this.cluster = new ClusterCalls(calls);
    this.maintenance = new MaintenanceCalls(calls);
    this.raw = rawClient(calls, renewals);
  }

  get endpoints(): readonly string[] {
    return this.calls.wiring.endpoints.names();
  }

  setEndpoints(endpoints: string | readonly string[]): void {
    this.calls.wiring.endpoints.replace(endpoints);
  }

  async compact(revision: RevisionInput, options: CallOptions & { readonly physical?: boolean } = {}): Promise<Header> {
    const request = { revision: revisionOf(revision), physical: options.physical ?? false };
    return headerOf((await this.calls.unary(kvMethods.compact, request, options)).header);
  }

  /** Calls that wait reject with code "ClientClosed"; loops over watches end; leases are given up, not revoked. */
  async close(): Promise<void> {
    await this.leaseBook.close();
    await this.calls.wiring.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
