/** Builds a client out of its parts and closes them again. */
import type * as rpc from "../../proto/gen/etcd/rpc.js";
import { ClusterCalls } from "./admin/cluster.js";
import { MaintenanceCalls } from "./admin/maintenance.js";
import type { Cluster, Maintenance } from "./admin/types.js";
import { Calls } from "./calls/call.js";
import { authMethods, kvMethods } from "./calls/methods.js";
import { LeaderTracker } from "./calls/routing.js";
import { Wiring } from "./calls/wiring.js";
import { Credentials } from "./connection/credentials.js";
import { Endpoints } from "./connection/endpoints.js";
import { grpcTransport } from "./connection/grpc-transport.js";
import { utf8 } from "./kv/codec.js";
import { headerOf, revisionOf } from "./kv/convert.js";
import { KvView } from "./kv/kv.js";
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
  const endpoints = new Endpoints(settings, options.transport ?? grpcTransport);
  const credentials = new Credentials(settings.auth, (login) => authenticate(calls, login));
  const wiring = new Wiring({ settings, endpoints, credentials, leader: new LeaderTracker() });
  const calls: Calls = new Calls(wiring);
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
