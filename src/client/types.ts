/** The client: every part of the SDK that needs a connection. */
import type { Cluster, Maintenance } from "./admin/types.js";
import type { Header, Kv, RevisionInput } from "./kv/types.js";
import type { Leases } from "./lease/types.js";
import type { CallOptions } from "./options.js";
import type { RawClient } from "./raw/raw-types.js";

/** Lazy: nothing is connected before the first call, and making a client never fails for the network's sake. */
export interface EtcdClient extends Kv, AsyncDisposable {
  readonly leases: Leases;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  /** etcd's own requests and responses, with this client's routing, authentication and deadlines. */
  readonly raw: RawClient;
  readonly endpoints: readonly string[];
  setEndpoints(endpoints: string | readonly string[]): void;
  compact(revision: RevisionInput, options?: CallOptions & { readonly physical?: boolean }): Promise<Header>;
  close(): Promise<void>;
}
