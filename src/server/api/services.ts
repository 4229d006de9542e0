/** Every service of the server, built once from what it stands on. */
import { Guard } from "./auth/identity.js";
import { createAuth } from "./auth.js";
import { createCluster } from "./cluster.js";
import type { ApiDependencies } from "./dependencies.js";
import { createElection } from "./election.js";
import { createHealth } from "./health.js";
import { createKv } from "./kv.js";
import { createLease } from "./lease.js";
import { createLock } from "./lock.js";
import { createMaintenance } from "./maintenance.js";
import { Quota } from "./quota.js";
import type { Services } from "./types.js";
import { createWatch } from "./watch.js";

export function createServices(unguarded: ApiDependencies): Services {
  const deps = { ...unguarded, guard: new Guard(unguarded) };
  const quota = new Quota(deps);
  const kv = createKv(deps, quota);
  const lease = createLease(deps, quota);
  const layers = { ...deps, kv, lease };
  return {
    kv,
    lease,
    watch: createWatch(deps),
    cluster: createCluster(deps),
    maintenance: createMaintenance(deps),
    auth: createAuth(deps),
    lock: createLock(layers),
    election: createElection(layers),
    health: createHealth(),
  };
}
