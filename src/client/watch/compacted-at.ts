/** Where the store is compacted: reads that are refused for compaction do not say it, watches do. */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { isEtcdError } from "../errors.js";
import type { CallOptions } from "../options.js";
import { WatchSession } from "./session.js";

const patienceMs = 5_000;

/** The compact revision, learned from a watch that starts before it; 0n if that does not tell. */
export async function compactRevisionAt(
  calls: Calls,
  request: Pick<rpc.RangeRequest, "key" | "rangeEnd" | "revision">,
  options: CallOptions,
): Promise<bigint> {
  const { key, rangeEnd, revision: startRevision } = request;
  const create = rpc.WatchCreateRequest.fromPartial({ key, rangeEnd, startRevision });
  const session = new WatchSession(calls, create, {
    ...options,
    maxDisconnectedMs: patienceMs,
    stream: "own",
    deliver: "everything",
  });
  const timer = setTimeout(() => session.inbox.end(), patienceMs);
  try {
    for await (const response of session.inbox) {
      if (response.canceled) return response.compactRevision;
      if (!response.created) return 0n;
    }
    return 0n;
  } catch (error) {
    if (isEtcdError(error)) return 0n;
    throw error;
  } finally {
    clearTimeout(timer);
    await session.close();
  }
}
