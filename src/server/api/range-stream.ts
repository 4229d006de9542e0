/**
 * A range in chunks, all read at one revision. Only the last message carries header, count and more, so that merging
 * the messages gives the answer of the unary call (spec/server.md 3.7).
 */
import {
  type RangeRequest,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  type RangeResponse,
  type RangeStreamResponse,
} from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import type { RangeResult } from "../state/types.js";
import { keyAfter, keyBytes, keyText } from "../watch/ranges.js";
import { abortError, pause } from "./abort.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerAt } from "./header.js";
import { validateRange } from "./kv-validate.js";
import type { CallContext } from "./types.js";

/** Keys of the first chunk. */
const firstChunkKeys = 10;

export async function* rangeStream(
  deps: GuardedDependencies,
  request: RangeRequest,
  context: CallContext,
): AsyncGenerator<RangeStreamResponse> {
  const { replica, guard, clock, onCall } = deps;
  validateRangeStream(request);
  if (!request.serializable) await replica.linearizableRead(context);
  const caller = await guard.caller(context);
  onCall?.("range");
  let chunkKeys = firstChunkKeys;
  let sent = 0;
  let first: RangeResult | undefined;
  let rest = request;
  for (;;) {
    const result = replica.state.range(chunkOf(rest, chunkKeys, sent), caller);
    first ??= result;
    sent += result.kvs.length;
    const last = result.kvs.at(-1);
    const limited = request.limit > 0n && BigInt(sent) >= request.limit;
    if (last === undefined || !result.more || limited) {
      const ending = { header: headerAt(replica, first.revision), count: BigInt(first.count), more: result.more };
      yield { rangeResponse: { ...ending, kvs: [...result.kvs] } };
      return;
    }
    yield { rangeResponse: chunk(result) };
    await pause(clock);
    if (context.signal.aborted) throw abortError(context.signal, status.Canceled);
    chunkKeys = nextChunkKeys(chunkKeys, sizeBytes(result), deps.limits.requestBytesMax);
    const revision = request.revision > 0n ? request.revision : BigInt(first.revision);
    rest = { ...request, revision, key: keyBytes(keyAfter(keyText(last.key))) };
  }
}

function validateRangeStream(request: RangeRequest): void {
  validateRange(request);
  const { sortOrder, sortTarget } = request;
  const natural =
    sortOrder === RangeRequest_SortOrder.NONE ||
    (sortOrder === RangeRequest_SortOrder.ASCEND && sortTarget === RangeRequest_SortTarget.KEY);
  if (!natural) throw new WireError(status.RangeStreamSortUnsupported);
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  const bounds = [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision];
  if (bounds.some((bound) => bound !== 0n)) throw new WireError(status.RangeStreamFilterUnsupported);
}

/** The next `keys` keys of a request, and never more than its own limit leaves. */
function chunkOf(request: RangeRequest, keys: number, sent: number): RangeRequest {
  const left = request.limit > 0n ? request.limit - BigInt(sent) : BigInt(keys);
  const limit = left < BigInt(keys) ? left : BigInt(keys);
  return { ...request, limit, sortOrder: RangeRequest_SortOrder.NONE, sortTarget: RangeRequest_SortTarget.KEY };
}

function chunk({ kvs }: RangeResult): RangeResponse {
  return { header: undefined, kvs: [...kvs], more: false, count: 0n };
}

function sizeBytes({ kvs }: RangeResult): number {
  return kvs.reduce((sum, kv) => sum + kv.key.length + kv.value.length, 0);
}

/** Doubles while chunks are small, halves when one is large. */
function nextChunkKeys(keys: number, bytes: number, requestBytesMax: number): number {
  if (bytes < requestBytesMax / 2) return keys * 2;
  return bytes > requestBytesMax * 2 ? Math.max(1, Math.floor(keys / 2)) : keys;
}
