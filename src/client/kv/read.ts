/** Reading a range: no older than the caller allows, and with the revisions that a refusal for compaction needs. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { kvMethods } from "../calls/methods.js";
import { CompactedError, EtcdError, isEtcdError } from "../errors.js";
import type { CallOptions } from "../options.js";
import { compactRevisionAt } from "../watch/compacted-at.js";
import type { ReadOptions } from "./types.js";

/** Rejects with an EtcdError; a CompactedError for a revision that is gone. */
export async function readRange(
  calls: Calls,
  request: rpc.RangeRequest,
  options: ReadOptions,
): Promise<rpc.RangeResponse> {
  const response = await readOnce(calls, request, options);
  const { minRevision } = options;
  if (minRevision === undefined || (response.header?.revision ?? 0n) >= minRevision) return response;
  // A member's own store may lag behind; a linearizable read waits for everything that was committed.
  const fresh = await readOnce(calls, { ...request, serializable: false }, options);
  if ((fresh.header?.revision ?? 0n) >= minRevision) return fresh;
  throw new EtcdError(`the store has not reached revision ${minRevision}`, {
    code: "FutureRev",
    grpcStatus: Code.OUT_OF_RANGE,
    outcome: "not-applied",
    retryable: true,
    serverMessage: status.FutureRev.message,
  });
}

async function readOnce(calls: Calls, request: rpc.RangeRequest, options: CallOptions): Promise<rpc.RangeResponse> {
  try {
    return await calls.unary(kvMethods.range, request, options);
  } catch (error) {
    if (!isEtcdError(error, "Compacted")) throw error;
    const { grpcStatus, endpoint, attempts, serverMessage } = error;
    const compactRevision = await compactRevisionAt(calls, request, options);
    throw new CompactedError(
      { compactRevision, resumeRevision: request.revision },
      { grpcStatus, endpoint, attempts, serverMessage, cause: error },
    );
  }
}
