/**
 * A range of any size, all of it as it was at one revision, in parts that fit into memory. The first part is a page: it
 * pins the revision and says which cluster answers. The rest comes by RangeStream where the server offers it, and by
 * pages where not. A stream that breaks is continued behind its last key, by a page first: that is a call with a
 * deadline, repeated elsewhere if need be, whose failure is the answer.
 */
import type * as wire from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { linkSignals } from "../calls/abort.js";
import type { Calls } from "../calls/call.js";
import { streamMethods } from "../calls/methods.js";
import type { Wiring } from "../calls/wiring.js";
import { isEtcdError } from "../errors.js";
import { keyValueOf } from "./convert.js";
import { keyAfter, wireRange } from "./range.js";
import { readRange } from "./read.js";
import { rangeRequest } from "./requests.js";
import type { Codec, KeyRange, KeyValue, Scan, ScanOptions, ScanPage } from "./types.js";

/** One part of a scan, in the order of keys; `kvs` may share memory with the frame they came in. */
export interface WirePage {
  /** The same for all parts. */
  readonly revision: bigint;
  readonly kvs: readonly wire.KeyValue[];
}

/** What a page should come to. Values are bounded by the server, so the first page is too: at 1.5 MiB each, 24 MiB. */
const pageBytes = 1024 * 1024;
const firstPageKeys = 16;
/** A page with more would read faster, and cost more memory when large values follow small ones. */
const pageKeysMaxDefault = 512;
/** Timers count no further: that is as good as for ever. */
const timerMsMax = 2 ** 31 - 1;

/** The clusters that were asked for RangeStream and do not offer it, by client. */
const withoutStream = new WeakMap<Wiring, Set<bigint>>();

/** Reads nothing before it is iterated; each iteration is a scan of its own. */
export function startScan<V>(
  view: { readonly calls: Calls; readonly codec: Codec<V> },
  range: KeyRange,
  options: ScanOptions,
): Scan<V> {
  const { calls, codec } = view;
  const pages = async function* (): AsyncGenerator<ScanPage<V>> {
    for await (const { revision, kvs } of scanPages(calls, range, options)) {
      yield { revision, kvs: kvs.map((kv) => keyValueOf(kv, codec)) };
    }
  };
  const entries = async function* (): AsyncGenerator<KeyValue<V>> {
    for await (const { kvs } of scanPages(calls, range, options)) for (const kv of kvs) yield keyValueOf(kv, codec);
  };
  return { pages, [Symbol.asyncIterator]: entries };
}

/** At least one part, if only to tell the revision. Rejects with an EtcdError. */
export async function* scanPages(calls: Calls, range: KeyRange, options: ScanOptions): AsyncGenerator<WirePage> {
  const { rangeEnd } = wireRange(range);
  const keysMax = Math.max(1, options.pageSize ?? pageKeysMaxDefault);
  let limit = Math.min(firstPageKeys, keysMax);
  let request = rangeRequest(range, options);
  for (;;) {
    const response = await readPage(calls, { ...request, limit: BigInt(limit) }, options);
    // Only the first answer says "now"; all others were asked for a revision, and their headers are younger.
    const revision = request.revision > 0n ? request.revision : (response.header?.revision ?? 0n);
    yield { revision, kvs: response.kvs };
    if (!response.more) return;
    limit = nextLimit(limit, keysMax, response.kvs);
    request = { ...request, revision, rangeEnd, key: keyBehind(response.kvs, request.key) };
    for await (const kvs of streamed(calls, request, { ...options, clusterId: response.header?.clusterId ?? 0n })) {
      if (kvs === "all") return;
      yield { revision, kvs };
      request = { ...request, key: keyBehind(kvs, request.key) };
    }
  }
}

/** A member that lags behind does not know the revision yet; a linearizable read waits until it does. */
async function readPage(calls: Calls, request: rpc.RangeRequest, options: ScanOptions): Promise<rpc.RangeResponse> {
  try {
    return await readRange(calls, request, options);
  } catch (error) {
    if (!request.serializable || !isEtcdError(error, "FutureRev")) throw error;
    return readRange(calls, { ...request, serializable: false }, options);
  }
}

/**
 * What the server streams, part by part, and "all" when it has said that this was all. Ends without it when the server
 * does not stream or the stream broke. Rejects only when the caller gave up or the client is closed.
 */
async function* streamed(
  calls: Calls,
  request: rpc.RangeRequest,
  options: ScanOptions & { readonly clusterId: bigint },
): AsyncGenerator<readonly wire.KeyValue[] | "all"> {
  const lacking = withoutStream.get(calls.wiring);
  if (lacking?.has(options.clusterId) === true) return;
  const stalled = new AbortController();
  const link = linkSignals(stalled.signal, options.signal);
  const endless = { ...options, timeoutMs: Number.POSITIVE_INFINITY, signal: link.signal, retry: "none" } as const;
  const answers = calls.serverStream(streamMethods.rangeStream, request, endless);
  try {
    for (;;) {
      const { done, value } = await watched(answers, stalled, options.timeoutMs ?? calls.wiring.settings.timeoutMs);
      if (done === true) return;
      const { rangeResponse } = value;
      if (rangeResponse !== undefined && rangeResponse.kvs.length > 0) yield rangeResponse.kvs;
      // Only the last answer has a header, so a stream that was cut off is not taken for a whole one.
      if (rangeResponse?.header !== undefined) return yield "all";
    }
  } catch (error) {
    if (isEtcdError(error, "Unsupported")) withoutStream.set(calls.wiring, new Set(lacking).add(options.clusterId));
    else if (options.signal?.aborted === true || !isEtcdError(error) || error.code === "ClientClosed") throw error;
  } finally {
    link.dispose();
    await answers.return(undefined);
  }
}

/** The next answer. The time runs while the server is waited for, and not while the reader is at work. */
async function watched<T>(
  answers: AsyncGenerator<T>,
  stalled: AbortController,
  timeoutMs: number,
): Promise<IteratorResult<T, unknown>> {
  const timer = timeoutMs > timerMsMax ? undefined : setTimeout(() => stalled.abort(), timeoutMs);
  try {
    return await answers.next();
  } finally {
    clearTimeout(timer);
  }
}

function keyBehind(kvs: readonly wire.KeyValue[], otherwise: Uint8Array): Uint8Array {
  const last = kvs.at(-1);
  return last === undefined ? otherwise : keyAfter(last.key);
}

/** As many keys as make a page of its size if they go on like these; growing by steps, for the next ones may be larger. */
function nextLimit(limit: number, keysMax: number, kvs: readonly wire.KeyValue[]): number {
  let bytes = 1;
  for (const { key, value } of kvs) bytes += key.length + value.length;
  const fitting = Math.floor((pageBytes * kvs.length) / bytes);
  return Math.max(1, Math.min(fitting, limit * 8, keysMax));
}
