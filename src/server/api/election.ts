/** The Election service: the oldest key under a name leads; its value is what the leader proclaims (spec/server.md 9.2). */
import type * as election from "../../../proto/gen/etcd/election.js";
import { Event_EventType } from "../../../proto/gen/etcd/kv.js";
import { RangeRequest, type RequestOp } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { prefixEnd } from "../watch/ranges.js";
import {
  follow,
  type LayerDependencies,
  layered,
  layeredError,
  leaseFor,
  leave,
  oldest,
  type Place,
  placeKey,
  plainPut,
  queuePrefix,
  takePlace,
  waitForTurn,
  whileHeld,
} from "./key-queue.js";
import type { CallContext, ElectionHandlers } from "./types.js";

export function createElection(deps: LayerDependencies): ElectionHandlers {
  return {
    campaign: (request, context) => layered(context, () => campaign(deps, request, context)),
    proclaim: (request, context) => layered(context, () => proclaim(deps, request, context)),
    leader: (request, context) => layered(context, () => leader(deps, request, context)),
    observe: (request, context) => observe(deps, request, context),
    resign: (request, context) => layered(context, () => resign(deps, request, context)),
  };
}

async function campaign(
  deps: LayerDependencies,
  request: election.CampaignRequest,
  context: CallContext,
): Promise<election.CampaignResponse> {
  const { name, value } = request;
  const lease = await leaseFor(deps, request.lease, context);
  const key = placeKey(name, lease);
  const place = await takePlace(deps, { key, lease, value }, context);
  try {
    const header = await withValue(deps, place, { lease, value }, context);
    await waitForTurn(deps, queuePrefix(name), place, context);
    await verify(deps, place, context);
    return { header, leader: { name, key, rev: place.createRevision, lease } };
  } catch (error) {
    if (context.signal.aborted) await leave(deps, place, context);
    throw error;
  }
}

/** Puts the value anew if the candidate stood here already with another one. Returns the header of the last write. */
async function withValue(
  deps: LayerDependencies,
  place: Place,
  wanted: { readonly lease: bigint; readonly value: Uint8Array },
  context: CallContext,
): Promise<Place["header"]> {
  if (place.found === undefined || Buffer.compare(place.found.value, wanted.value) === 0) return place.header;
  const { held, header } = await whileHeld(deps, place, putOp(place.key, wanted), context);
  if (!held) throw new WireError(status.ElectionNotLeader);
  return header;
}

/** The lease may have ended while the candidate waited, and the candidacy with it. */
async function verify(deps: LayerDependencies, place: Place, context: CallContext): Promise<void> {
  const { kvs } = await deps.kv.range(RangeRequest.create({ key: place.key }), context);
  if (kvs[0]?.createRevision !== place.createRevision) throw new WireError(status.ElectionNotLeader);
}

async function proclaim(
  deps: LayerDependencies,
  { leader: key, value }: election.ProclaimRequest,
  context: CallContext,
): Promise<election.ProclaimResponse> {
  if (key === undefined) throw new WireError(status.ElectionLeaderMissing);
  const place = { key: key.key, createRevision: key.rev };
  const { held, header } = await whileHeld(deps, place, putOp(key.key, { lease: key.lease, value }), context);
  if (!held) throw new WireError(status.ElectionNotLeader);
  return { header };
}

async function leader(
  deps: LayerDependencies,
  { name }: election.LeaderRequest,
  context: CallContext,
): Promise<election.LeaderResponse> {
  const { kv, header } = await oldest(deps, queuePrefix(name), context);
  if (kv === undefined) throw new WireError(status.ElectionNoLeader);
  return { header, kv };
}

/** A leader that is gone already is no failure. */
async function resign(
  deps: LayerDependencies,
  { leader: key }: election.ResignRequest,
  context: CallContext,
): Promise<election.ResignResponse> {
  if (key === undefined) throw new WireError(status.ElectionLeaderMissing);
  const op: RequestOp = {
    request: { $case: "requestDeleteRange", value: { key: key.key, rangeEnd: new Uint8Array(), prevKv: false } },
  };
  const { header } = await whileHeld(deps, { key: key.key, createRevision: key.rev }, op, context);
  return { header };
}

/** The leader there is, each of its proclamations, and each leader after it; nothing while there is none. */
async function* observe(
  deps: LayerDependencies,
  { name }: election.LeaderRequest,
  context: CallContext,
): AsyncGenerator<election.LeaderResponse> {
  const prefix = queuePrefix(name);
  try {
    for (;;) {
      const { kv, header } = await oldest(deps, prefix, context);
      const startRevision = header.revision + 1n;
      if (kv === undefined) {
        await firstPut(deps, prefix, startRevision, context);
        continue;
      }
      yield { header, kv };
      for await (const event of follow(deps, { key: kv.key, rangeEnd: new Uint8Array(), startRevision }, context)) {
        if (event.type === Event_EventType.DELETE || event.kv === undefined) break;
        yield { header: { ...header, revision: event.kv.modRevision }, kv: event.kv };
      }
    }
  } catch (error) {
    throw layeredError(error, context);
  }
}

async function firstPut(
  deps: LayerDependencies,
  prefix: Uint8Array,
  startRevision: bigint,
  context: CallContext,
): Promise<void> {
  const followed = { key: prefix, rangeEnd: prefixEnd(prefix), startRevision };
  for await (const event of follow(deps, followed, context)) if (event.type === Event_EventType.PUT) return;
}

function putOp(key: Uint8Array, { lease, value }: { readonly lease: bigint; readonly value: Uint8Array }): RequestOp {
  return { request: { $case: "requestPut", value: { ...plainPut, key, lease, value } } };
}
