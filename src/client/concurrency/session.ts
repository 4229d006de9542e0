/** Sessions: the leases that locks, permits and leaderships are held under. */
import type { EtcdClient, Lease } from "../index.js";
import type { Bounds } from "./bounds.js";
import type { LockOptions } from "./types.js";

/** Seconds: how long others wait for a process that died, as etcdctl's lock has it. */
const ttlDefault = 10;

export interface SessionOptions {
  /** Seconds. Default 10. */
  readonly ttl?: number;
  /** A lease that exists, to be kept alive from now on. */
  readonly leaseId?: bigint;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** A lease to hold several things under. Disposing it gives all of them up at once. */
export function session(client: EtcdClient, options: SessionOptions = {}): Promise<Lease> {
  const { leaseId, ttl = ttlDefault, ...call } = options;
  return leaseId === undefined ? client.leases.grant(ttl, call) : client.leases.attach(leaseId, call);
}

/** A session of a holder: his own, or one he shares. */
export interface Session {
  readonly lease: Lease;
  readonly ownership: "own" | "shared";
}

export async function openSession(client: EtcdClient, options: LockOptions, bounds: Bounds): Promise<Session> {
  if (options.lease !== undefined) {
    options.lease.signal.throwIfAborted();
    return { lease: options.lease, ownership: "shared" };
  }
  const ttl = options.ttl ?? ttlDefault;
  return { lease: await bounds.call((call) => client.leases.grant(ttl, call)), ownership: "own" };
}
