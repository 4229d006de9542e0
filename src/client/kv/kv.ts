/** Reading and writing keys, with values seen through a codec. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { kvMethods } from "../calls/methods.js";
import { CompactedError, ConflictError, EtcdError, isEtcdError } from "../errors.js";
import type { Bytes, CallOptions } from "../options.js";
import type { Watch, WatchOptions } from "../watch/types.js";
import { startWatch } from "../watch/watch.js";
import { compactRevisionAt } from "../watch/watch-stream.js";
import { bytes } from "./codec.js";
import { deleteResultOf, headerOf, keyValueOf, putResultOf, rangeResultOf, sizeOf } from "./convert.js";
import { isSingleKey } from "./range.js";
import { deleteRequest, putRequest, rangeRequest } from "./requests.js";
import { branchResults, cmp, op, txnRequest, txnResultOf } from "./txn.js";
import type { Compare, Op, TxnResult, TxnSpec } from "./txn-types.js";
import type {
  Codec,
  DeleteOptions,
  DeleteResult,
  Key,
  KeyRange,
  KeyValue,
  Kv,
  ListOptions,
  PutOptions,
  PutResult,
  RangeResult,
  ReadOptions,
} from "./types.js";

export class KvView<V> implements Kv<V> {
  protected readonly calls: Calls;
  private readonly codec: Codec<V>;

  constructor(calls: Calls, codec: Codec<V>) {
    this.calls = calls;
    this.codec = codec;
  }

  async get(key: Key, options: ReadOptions = {}): Promise<KeyValue<V> | undefined> {
    const { kvs } = await this.range(key, options, {});
    return kvs[0] === undefined ? undefined : keyValueOf(kvs[0], this.codec);
  }

  async list(range: KeyRange, options: ListOptions = {}): Promise<RangeResult<V>> {
    const response = await this.range(range, options, {});
    return rangeResultOf(response, headerOf(response.header), this.codec);
  }

  async count(range: KeyRange, options: ReadOptions = {}): Promise<number> {
    return sizeOf((await this.range(range, options, { countOnly: true })).count);
  }

  async put(key: Key, value: V, options: PutOptions = {}): Promise<PutResult<V>> {
    const { lease } = options;
    if (typeof lease === "object") lease.signal.throwIfAborted();
    const encoded = this.codec.encode(value);
    const guard = guardOf(key, options);
    if (guard !== undefined) {
      const done = await this.guarded(key, guard, op.put(key, encoded, options), options);
      return branchResults<[Op<"put">], V>(done, this.codec)[0];
    }
    const response = await this.calls.unary(kvMethods.put, putRequest(key, encoded, options), options);
    return putResultOf(response, headerOf(response.header), this.codec);
  }

  async delete(range: KeyRange, options: DeleteOptions = {}): Promise<DeleteResult<V>> {
    if (options.ifRevision !== undefined) {
      if (!isSingleKey(range)) throw new TypeError("ifRevision guards one key, not a range");
      const guard = cmp.modRevision(range).equal(options.ifRevision);
      const done = await this.guarded(range, guard, op.delete(range, options), options);
      return branchResults<[Op<"delete">], V>(done, this.codec)[0];
    }
    const response = await this.calls.unary(kvMethods.deleteRange, deleteRequest(range, options), options);
    return deleteResultOf(response, headerOf(response.header), this.codec);
  }

  async txn<const T extends readonly Op[], const E extends readonly Op[] = []>(
    spec: TxnSpec<T, E>,
    options: CallOptions = {},
  ): Promise<TxnResult<T, E, V>> {
    const response = await this.calls.unary(kvMethods.txn, txnRequest(spec), options);
    return txnResultOf<T, E, V>(response, this.codec);
  }

  watch(range: KeyRange, options: WatchOptions = {}): Watch<V> {
    return startWatch({ calls: this.calls, codec: this.codec }, range, options);
  }

  as<U>(codec: Codec<U>): Kv<U> {
    return new KvView(this.calls, codec);
  }

  /** Runs one operation under one guard; a failed guard is a ConflictError with the key as it is. */
  private async guarded(key: Key, guard: Compare, operation: Op, options: CallOptions): Promise<rpc.TxnResponse> {
    // oxlint-disable-next-line unicorn/no-thenable -- etcd's word for the branch; an array is no thenable
    const request = txnRequest({ if: [guard], then: [operation], else: [op.get(key)] });
    const response = await this.calls.unary(kvMethods.txn, request, options);
    if (response.succeeded) return response;
    const [current] = branchResults<[Op<"range">], Bytes>(response, bytes);
    throw new ConflictError("the key is not as the guard demands", current.kvs[0]);
  }

  private async range(
    range: KeyRange,
    options: ListOptions,
    extra: { readonly countOnly?: boolean },
  ): Promise<rpc.RangeResponse> {
    const request = rangeRequest(range, options, extra);
    const response = await this.rangeOnce(request, options);
    const { minRevision } = options;
    if (minRevision === undefined || (response.header?.revision ?? 0n) >= minRevision) return response;
    // A member's own store may lag behind; a linearizable read waits for everything that was committed.
    const fresh = await this.rangeOnce({ ...request, serializable: false }, options);
    if ((fresh.header?.revision ?? 0n) >= minRevision) return fresh;
    throw new EtcdError(`the store has not reached revision ${minRevision}`, {
      code: "FutureRev",
      grpcStatus: Code.OUT_OF_RANGE,
      outcome: "not-applied",
      retryable: true,
      serverMessage: status.FutureRev.message,
    });
  }

  private async rangeOnce(request: rpc.RangeRequest, options: CallOptions): Promise<rpc.RangeResponse> {
    try {
      return await this.calls.unary(kvMethods.range, request, options);
    } catch (error) {
      if (!isEtcdError(error, "Compacted")) throw error;
      const { grpcStatus, endpoint, attempts, serverMessage } = error;
      const compactRevision = await compactRevisionAt(this.calls, request, options);
      throw new CompactedError(
        { compactRevision, resumeRevision: request.revision },
        { grpcStatus, endpoint, attempts, serverMessage, cause: error },
      );
    }
  }
}

function guardOf(key: Key, options: PutOptions): Compare | undefined {
  if (options.ifRevision !== undefined && options.ifAbsent === true) {
    throw new TypeError("ifRevision and ifAbsent exclude each other");
  }
  if (options.ifAbsent === true) return cmp.absent(key);
  return options.ifRevision === undefined ? undefined : cmp.modRevision(key).equal(options.ifRevision);
}
