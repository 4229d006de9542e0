/** The Lease service: grants and revocations go through the log, renewals and times come from the lease clock. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { ApiDependencies } from "./dependencies.js";
import { headerAt, headerNow } from "./header.js";
import { leaseGrantCostBytes, type Quota } from "./quota.js";
import type { CallContext, LeaseHandlers } from "./types.js";

export function createLease(deps: ApiDependencies, quota: Quota): LeaseHandlers {
  return {
    leaseGrant: async (request, context) => {
      await quota.check(leaseGrantCostBytes, context);
      return grant(deps, request, context);
    },
    leaseRevoke: (request, context) => revoke(deps, request, context),
    leaseKeepAlive: (requests, context) => keepAlive(deps, requests, context),
    leaseTimeToLive: (request, context) => timeToLive(deps, request, context),
    leaseLeases: async () => leases(deps),
  };
}

/**
 * The id and the effective time to live are chosen here, so that every member agrees on them. A time that is too long and
 * an id in use are found when the entry is applied, after the alarms, as in etcd.
 */
async function grant(
  deps: ApiDependencies,
  request: rpc.LeaseGrantRequest,
  context: CallContext,
): Promise<rpc.LeaseGrantResponse> {
  const { replica, onCall } = deps;
  const id = request.ID === 0n ? replica.leases.nextId() : request.ID;
  const ttlMin = BigInt(replica.leases.ttlSecondsMin);
  const ttlSeconds = request.TTL < ttlMin ? ttlMin : request.TTL;
  const body = { $case: "leaseGrant", value: { id, ttlSeconds } } as const;
  const { revision, response } = await replica.propose<"leaseGrant">(body, context);
  onCall?.("leaseGrant");
  return { header: headerAt(replica, revision), ID: response.id, TTL: BigInt(response.ttlSeconds), error: "" };
}

async function revoke(
  { replica, onCall }: ApiDependencies,
  request: rpc.LeaseRevokeRequest,
  context: CallContext,
): Promise<rpc.LeaseRevokeResponse> {
  const body = { $case: "leaseRevoke", value: { id: request.ID, onlyInTerm: 0n } } as const;
  const { revision } = await replica.propose<"leaseRevoke">(body, context);
  onCall?.("leaseRevoke");
  return { header: headerAt(replica, revision) };
}

/** One answer a request, in order; an unknown lease answers TTL 0 and the stream goes on. */
async function* keepAlive(
  { replica, onCall }: ApiDependencies,
  requests: AsyncIterable<rpc.LeaseKeepAliveRequest>,
  context: CallContext,
): AsyncGenerator<rpc.LeaseKeepAliveResponse> {
  for await (const { ID } of requests) {
    // Sampled before the renewal: by the time the lease lives on, the store may have moved (spec 2).
    const header = headerNow(replica);
    const ttlSeconds = await replica.leases.renew(ID, context);
    if (ttlSeconds > 0) onCall?.("leaseRenew");
    yield { header, ID, TTL: BigInt(ttlSeconds) };
  }
}

/**
 * Only the leader knows how much time is left; it is asked, wherever it is. The keys are this member's, once it knows of all
 * that were attached before the call.
 */
async function timeToLive(
  { replica }: ApiDependencies,
  { ID, keys: withKeys }: rpc.LeaseTimeToLiveRequest,
  context: CallContext,
): Promise<rpc.LeaseTimeToLiveResponse> {
  const header = headerNow(replica);
  const time = await replica.leases.timeToLive(ID, context);
  if (time === undefined) return { header, ID, TTL: -1n, grantedTTL: 0n, keys: [] };
  if (withKeys) await replica.linearizableRead(context);
  const keys = withKeys ? [...replica.state.leaseKeys(ID)] : [];
  return { header, ID, TTL: BigInt(time.remainingSeconds), grantedTTL: BigInt(time.grantedSeconds), keys };
}

/** By remaining time on the leader; a member that keeps no time lists what it has stored. */
function leases({ replica }: ApiDependencies): rpc.LeaseLeasesResponse {
  const timed = replica.leases.ordered();
  const ids = timed.length > 0 ? timed : replica.state.leases().map(({ id }) => id);
  return { header: headerNow(replica), leases: ids.map((ID) => ({ ID })) };
}
