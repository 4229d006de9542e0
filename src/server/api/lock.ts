/** The Lock service: the oldest key under a name holds the lock (spec/server.md 9.1). */
import type { LockRequest, LockResponse } from "../../../proto/gen/etcd/lock.js";
import { RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import {
  type LayerDependencies,
  layered,
  leaseFor,
  leave,
  oldest,
  type Place,
  placeKey,
  queuePrefix,
  takePlace,
  waitForTurn,
} from "./key-queue.js";
import type { CallContext, LockHandlers } from "./types.js";

export function createLock(deps: LayerDependencies): LockHandlers {
  return {
    lock: (request, context) => layered(context, () => lock(deps, request, context)),
    unlock: ({ key }, context) =>
      layered(context, async () => {
        const { header } = await deps.kv.deleteRange({ key, rangeEnd: new Uint8Array(), prevKv: false }, context);
        return { header };
      }),
  };
}

async function lock(deps: LayerDependencies, request: LockRequest, context: CallContext): Promise<LockResponse> {
  const lease = await leaseFor(deps, request.lease, context);
  const key = placeKey(request.name, lease);
  const prefix = queuePrefix(request.name);
  const place = await takePlace(deps, { key, lease, value: new Uint8Array() }, context);
  const first = await oldest(deps, prefix, context);
  if (first.kv?.createRevision === place.createRevision) return { header: place.header, key };
  try {
    await waitForTurn(deps, prefix, place, context);
  } catch (error) {
    await leave(deps, place, context);
    throw error;
  }
  return verified(deps, place, context);
}

/** The lease may have ended while its holder waited, and the key with it: then nothing is held (spec 15.5 no. 50). */
async function verified(deps: LayerDependencies, place: Place, context: CallContext): Promise<LockResponse> {
  const { header, kvs } = await deps.kv.range(RangeRequest.create({ key: place.key }), context);
  if (kvs[0]?.createRevision !== place.createRevision) throw new WireError(status.MutexSessionExpired);
  return { header, key: place.key };
}
