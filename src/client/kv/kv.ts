/** Reading and writing keys, with values seen through a codec. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { kvMethods } from "../calls/methods.js";
import { leasesIn, leasesOf, underLeases } from "../lease/bound.js";
import type { CallOptions } from "../options.js";
import { startFollow } from "../watch/follow.js";
import type { Delta, FollowOptions, Snapshot, Watch, WatchOptions } from "../watch/types.js";
import { startWatch } from "../watch/watch.js";
import { deleteResultOf, headerOf, keyValueOf, putResultOf, rangeResultOf, sizeOf } from "./convert.js";
import { guardedDelete, guardedPut, guardOf } from "./guard.js";
import { NamespacedCalls } from "./namespace.js";
import { isSingleKey } from "./range.js";
import { readRange } from "./read.js";
import { bindRequest, deleteRequest, putRequest, rangeRequest } from "./requests.js";
import { startScan } from "./scan.js";
import { anyGuardFailed, txnRequest, txnResultOf } from "./txn.js";
import type { Op, TxnResult, TxnSpec } from "./txn-types.js";
import type {
  Binding,
  BindOptions,
  Codec,
  DeleteOptions,
  DeleteResult,
  EdgeOptions,
  Key,
  KeyRange,
  KeyValue,
  Kv,
  ListOptions,
  PutOptions,
  PutResult,
  RangeResult,
  ReadOptions,
  Scan,
  ScanOptions,
  Sort,
} from "./types.js";

export class KvView<V> implements Kv<V> {
  protected readonly calls: Calls;
  private readonly codec: Codec<V>;

  constructor(calls: Calls, codec: Codec<V>) {
    this.calls = calls;
    this.codec = codec;
  }

  async get(key: Key, options: ReadOptions = {}): Promise<KeyValue<V> | undefined> {
    if (!isSingleKey(key)) throw new TypeError("get reads one key; list reads a range");
    return this.one(key, options);
  }

  async list(range: KeyRange, options: ListOptions = {}): Promise<RangeResult<V>> {
    const response = await this.range(range, options);
    return rangeResultOf(response, headerOf(response.header), this.codec);
  }

  scan(range: KeyRange, options: ScanOptions = {}): Scan<V> {
    return startScan({ calls: this.calls, codec: this.codec }, range, options);
  }

  async first(range: KeyRange, options: EdgeOptions = {}): Promise<KeyValue<V> | undefined> {
    return this.one(range, edgeOf(options, "asc"));
  }

  async last(range: KeyRange, options: EdgeOptions = {}): Promise<KeyValue<V> | undefined> {
    return this.one(range, edgeOf(options, "desc"));
  }

  async count(range: KeyRange, options: ReadOptions = {}): Promise<number> {
    return sizeOf((await this.range(range, options, { countOnly: true })).count);
  }

  async put(key: Key, value: V, options: PutOptions = {}): Promise<PutResult<V>> {
    const request = putRequest(key, this.codec.encode(value), options);
    return underLeases(leasesOf([{ options }]), options, (bound) => this.write(request, guardOf(options), bound));
  }

  async bind(key: Key, lease: Binding, options: BindOptions = {}): Promise<PutResult<V>> {
    const held = typeof lease === "object" ? [lease] : [];
    const request = bindRequest(key, lease, options);
    return underLeases(held, options, (bound) => this.write(request, options.ifRevision, bound));
  }

  async delete(range: KeyRange, options: DeleteOptions = {}): Promise<DeleteResult<V>> {
    const { ifRevision: revision } = options;
    if (revision !== undefined) {
      if (!isSingleKey(range)) throw new TypeError("ifRevision guards one key, not a range");
      return guardedDelete({ calls: this.calls, codec: this.codec }, { key: range, revision }, options);
    }
    const response = await this.calls.unary(kvMethods.deleteRange, deleteRequest(range, options), options);
    return deleteResultOf(response, headerOf(response.header), this.codec);
  }

  async txn<const T extends readonly Op[], const E extends readonly Op[] = []>(
    spec: TxnSpec<T, E>,
    options: CallOptions = {},
  ): Promise<TxnResult<T, E, V>> {
    const request = txnRequest(spec);
    const { response, doubt } = await underLeases(leasesIn(spec), options, (bound) =>
      this.calls.timed(kvMethods.txn, request, bound),
    );
    // What a guard on the whole decides is settled. One inside may have failed because an earlier attempt was applied.
    if (doubt !== undefined && response.succeeded && anyGuardFailed(response)) throw doubt;
    return txnResultOf<T, E, V>(response, this.codec);
  }

  watch(range: KeyRange, options: WatchOptions = {}): Watch<V> {
    return startWatch({ calls: this.calls, codec: this.codec }, range, options);
  }

  follow(range: KeyRange, options: FollowOptions = {}): AsyncIterable<Snapshot<V> | Delta<V>> {
    return startFollow(this, range, options);
  }

  namespace(prefix: Key): Kv<V> {
    return new KvView(new NamespacedCalls(this.calls, prefix), this.codec);
  }

  as<U>(codec: Codec<U>): Kv<U> {
    return new KvView(this.calls, codec);
  }

  private async write(put: rpc.PutRequest, revision: bigint | undefined, options: CallOptions): Promise<PutResult<V>> {
    const { calls, codec } = this;
    if (revision !== undefined) return guardedPut({ calls, codec }, { put, revision }, options);
    const response = await calls.unary(kvMethods.put, put, options);
    return putResultOf(response, headerOf(response.header), codec);
  }

  private async one(range: KeyRange, options: ListOptions): Promise<KeyValue<V> | undefined> {
    const { kvs } = await this.range(range, options);
    return kvs[0] === undefined ? undefined : keyValueOf(kvs[0], this.codec);
  }

  private range(
    range: KeyRange,
    options: ListOptions,
    extra?: { readonly countOnly: boolean },
  ): Promise<rpc.RangeResponse> {
    return readRange(this.calls, rangeRequest(range, options, extra), options);
  }
}

function edgeOf({ by = "key", ...options }: EdgeOptions, order: NonNullable<Sort["order"]>): ListOptions {
  return { ...options, limit: 1, sort: { by, order } };
}
