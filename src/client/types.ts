/** The client: every part of the SDK that needs a connection. */
import type { AuthAdmin, Cluster, Maintenance } from "./admin/types.js";
import type { ClusterInfo } from "./calls/membership.js";
import type { ClientState, StatusEvent } from "./calls/status-board.js";
import type { Header, Kv, RevisionInput } from "./kv/types.js";
import type { Leases } from "./lease/types.js";
import type { CallOptions } from "./options.js";
import type { RawClient } from "./raw/raw-types.js";

/** Lazy: nothing is connected before the first call, and making a client never fails for the network's sake. */
export interface EtcdClient extends Kv, AsyncDisposable {
  readonly leases: Leases;
  readonly auth: AuthAdmin;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  /** etcd's own requests and responses, with this client's routing, authentication and deadlines. */
  readonly raw: RawClient;
  /** As they were given, or as they were found by DNS or in the member list since. */
  readonly endpoints: readonly string[];
  readonly state: ClientState;
  /**
   * New calls use these at once. Calls under way on endpoints that are left out finish there; watches and leases move
   * at the next quiet moment, or after 5 s.
   */
  setEndpoints(endpoints: string | readonly string[]): void;
  /**
   * Takes the endpoints from the member list: the client URLs of all started voting members. Rejects with code
   * "ConnectFailed", and keeps the endpoints, if none of those can be used from here.
   */
  sync(options?: CallOptions): Promise<void>;
  /** Connects, and resolves with what the cluster looks like once a member has answered. */
  ready(options?: CallOptions): Promise<ClusterInfo>;
  /**
   * What happens to the client from now on; ends when it closes, or when the signal aborts. A listener that is slow
   * loses the oldest of more than 256 events. Listening connects to nothing.
   */
  status(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<StatusEvent>;
  compact(revision: RevisionInput, options?: CallOptions & { readonly physical?: boolean }): Promise<Header>;
  close(): Promise<void>;
}
