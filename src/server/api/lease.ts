/** The Lease service: grants and revocations go through the log, renewals and times come from the lease clock. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerAt, headerNow } from "./header.js";
import { leaseGrantCostBytes, type Quota } from "./quota.js";
import type { CallContext, LeaseHandlers } from "./types.js";

export function createLease(deps: GuardedDependencies, quota: Quota): LeaseHandlers {
  return {
    leaseGrant: async (request, context) => {
      await quota.check(leaseGrantCostBytes, context);
      return grant(deps, request, context);
    },
    leaseRevoke: (request, context) => revoke(deps, request, context),
    leaseKeepAlive: (requests, context) => keepAlive(deps, requests, context),
    leaseTimeToLive: (request, context) => timeToLive(deps, request, context),
    leaseLeases: (_request, context) => leases(deps, context),
  };
}

/**
 * The id and the effective time to live are chosen here, so that every member agrees on them. A time that is too long and
 * an id in use are found when the entry is applied, after the alarms, as in etcd.
 */
async function grant(
  deps: GuardedDependencies,
  request: rpc.LeaseGrantRequest,
  context: CallContext,
): Promise<rpc.LeaseGrantResponse> {
  const { replica, guard, onCall } = deps;
  const id = request.ID === 0n ? replica.leases.nextId() : request.ID;
  const ttlMin = BigInt(replica.leases.ttlSecondsMin);
  const ttlSeconds = request.TTL < ttlMin ? ttlMin : request.TTL;
  const body = { $case: "leaseGrant", value: { id, ttlSeconds } } as const;
  const options = { signal: context.signal, caller: await guard.caller(context) };
  const { revision, response } = await replica.propose<"leaseGrant">(body, options);
  onCall?.("leaseGrant");
  return { header: headerAt(replica, revision), ID: response.id, TTL: BigInt(response.ttlSeconds), error: "" };
}

async function revoke(
  { replica, guard, onCall }: GuardedDependencies,
  request: rpc.LeaseRevokeRequest,
  context: CallContext,
): Promise<rpc.LeaseRevokeResponse> {
  const body = { $case: "leaseRevoke", value: { id: request.ID, onlyInTerm: 0n } } as const;
  const options = { signal: context.signal, caller: await guard.caller(context) };
  const { revision } = await replica.propose<"leaseRevoke">(body, options);
  onCall?.("leaseRevoke");
  return { header: headerAt(replica, revision) };
}

/**
 * One answer a request, in order; an unknown lease answers TTL 0 and the stream goes on. Who may not write the keys of a
 * lease may not keep them alive either; that ends the stream.
 */
async function* keepAlive(
  { replica, guard, onCall }: GuardedDependencies,
  requests: AsyncIterable<rpc.LeaseKeepAliveRequest>,
  context: CallContext,
): AsyncGenerator<rpc.LeaseKeepAliveResponse> {
  for await (const { ID } of requests) {
    // Sampled before the renewal: by the time the lease lives on, the store may have moved (spec 2).
    const header = headerNow(replica);
    replica.state.leaseKeys(ID, { caller: await guard.caller(context), right: "write" });
    const ttlSeconds = await replica.leases.renew(ID, context);
    if (ttlSeconds > 0) onCall?.("leaseRenew");
    yield { header, ID, TTL: BigInt(ttlSeconds) };
  }
}

/**
 * Only the leader knows how much time is left; it is asked, wherever it is. The keys are this member's, once it knows of all
 * that were attached before the call. Who wants to see them needs to be allowed to read them.
 */
async function timeToLive(
  { replica, guard }: GuardedDependencies,
  { ID, keys: withKeys }: rpc.LeaseTimeToLiveRequest,
  context: CallContext,
): Promise<rpc.LeaseTimeToLiveResponse> {
  const header = headerNow(replica);
  const caller = await (withKeys ? guard.caller(context) : guard.user(context));
  if (withKeys) replica.state.leaseKeys(ID, { caller, right: "read" });
  const time = await replica.leases.timeToLive(ID, context);
  if (time === undefined) return { header, ID, TTL: -1n, grantedTTL: 0n, keys: [] };
  if (withKeys) await replica.linearizableRead(context);
  const keys = withKeys ? [...replica.state.leaseKeys(ID, { caller, right: "read" })] : [];
  return { header, ID, TTL: BigInt(time.remainingSeconds), grantedTTL: BigInt(time.grantedSeconds), keys };
}

/** By remaining time on the leader; a member that keeps no time lists what it has stored. */
async function leases({ replica, guard }: GuardedDependencies, context: CallContext): Promise<rpc.LeaseLeasesResponse> {
  const stored = replica.state.leases(await guard.caller(context));
  const timed = replica.leases.ordered();
  const ids = timed.length > 0 ? timed : stored.map(({ id }) => id);
  return { header: headerNow(replica), leases: ids.map((ID) => ({ ID })) };
}
