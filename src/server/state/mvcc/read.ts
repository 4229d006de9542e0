/** Range: every option of spec/server.md 3.2, at the newest or at an older revision. */
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import { type RangeRequest, RangeRequest_SortOrder, RangeRequest_SortTarget } from "../../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../../proto/status.js";
import { revisionId, type StoredRevision } from "../../storage/revisions.js";
import type { Filter, Interval, KeyOnly, ScanOrder } from "../../storage/scan.js";
import type { StateSource } from "../../storage/state-store.js";
import type { RangeResult } from "../types.js";
import { intervalOf } from "./interval.js";

/** What a read may see: the newest revision, and the oldest one that was not compacted (-1: all). */
export interface ReadPoint {
  readonly revision: number;
  readonly compactRevision: number;
}

/** Larger limits are the same as none; keeps limit + 1 exact. */
const limitMax = 2 ** 31;
const int64Max = 2n ** 63n - 1n;
const noBytes = new Uint8Array(0);

/** Throws WireError FutureRev or Compacted. */
export function range(store: StateSource, point: ReadPoint, request: RangeRequest): RangeResult {
  assertReadable(request.revision, point);
  const newest = request.revision <= 0n || request.revision === BigInt(point.revision);
  if (newest && isPlainGet(request)) return getOne(store, point, request);
  const source: Source = newest ? latestSource(store, request) : pastSource(store, request);
  if (request.countOnly) return { kvs: [], count: source.count(), more: false, revision: point.revision };
  const limit = limitOf(request);
  const { kvs, filtered } = select(source, request, limit);
  const more = kvs.length > limit;
  // Only a read that was neither cut nor filtered has seen every key.
  const count = more || filtered ? source.count() : kvs.length;
  return { kvs: more ? kvs.slice(0, limit) : kvs, count, more, revision: point.revision };
}

/** Whether a read at `requested` is possible at all; at or below 0 means the newest. */
export function assertReadable(requested: bigint, { revision, compactRevision }: ReadPoint): void {
  if (requested <= 0n) return;
  if (requested > BigInt(revision)) throw new WireError(status.FutureRev);
  if (requested < BigInt(compactRevision)) throw new WireError(status.Compacted);
}

function isPlainGet(request: RangeRequest): boolean {
  const { rangeEnd, keysOnly, countOnly } = request;
  return rangeEnd.length === 0 && !keysOnly && !countOnly && filterOf(request) === undefined;
}

function getOne(store: StateSource, { revision }: ReadPoint, { key }: RangeRequest): RangeResult {
  const found = store.tables.scanner.latestOne(key);
  if (found === undefined) return { kvs: [], count: 0, more: false, revision };
  return { kvs: [KeyValue.decode(found.kv)], count: 1, more: false, revision };
}

/** The pairs of one interval at one revision. */
interface Source {
  /** Pairs in `order`, at most `rowsMax` of them (-1: all). */
  fetch(order: ScanOrder, rowsMax: number): readonly KeyValue[];
  /** Whether `fetch` sorts by something else than the key. */
  readonly sorts: boolean;
  /** Whether `fetch` leaves out what the filters exclude. */
  readonly filters: boolean;
  count(): number;
}

function latestSource({ tables: { scanner } }: StateSource, request: RangeRequest): Source {
  const interval = intervalOf(request);
  const filter = filterOf(request);
  const values = !request.keysOnly || request.sortTarget === RangeRequest_SortTarget.VALUE;
  return {
    sorts: true,
    filters: true,
    fetch: (order, rowsMax) => {
      const scan = { interval, order, filter, rowsMax };
      return values ? scanner.latest(scan).map(decode) : scanner.latestKeys(scan).map(fromKeyOnly);
    },
    count: () => scanner.countLatest(interval),
  };
}

function pastSource({ tables: { scanner } }: StateSource, request: RangeRequest): Source {
  const interval: Interval = intervalOf(request);
  const bound = revisionId(Number(request.revision) + 1, 0);
  const hidesLease = request.keysOnly && request.sortTarget !== RangeRequest_SortTarget.VALUE;
  return {
    sorts: false,
    filters: false,
    fetch: (order, rowsMax) => {
      const kvs = scanner.past({ interval, order, filter: undefined, rowsMax }, bound).map(decode);
      return hidesLease ? kvs.map((kv) => ({ ...kv, value: noBytes, lease: 0n })) : kvs;
    },
    count: () => scanner.countPast(interval, bound),
  };
}

function select(source: Source, request: RangeRequest, limit: number): { kvs: readonly KeyValue[]; filtered: boolean } {
  const filter = filterOf(request);
  const plan = planOf(request, source, limit);
  let kvs = source.fetch(plan.order, plan.rowsMax);
  if (plan.filter !== undefined) kvs = applyFilter(kvs, plan.filter);
  if (plan.compare !== undefined) kvs = kvs.toSorted(plan.compare);
  const dropsValue = request.keysOnly && request.sortTarget === RangeRequest_SortTarget.VALUE;
  if (dropsValue) kvs = kvs.map((kv) => ({ ...kv, value: noBytes }));
  return { kvs, filtered: filter !== undefined };
}

/** How a request is answered from a source: what the source does, and what is left to do with the pairs. */
interface Plan {
  readonly order: ScanOrder;
  readonly rowsMax: number;
  readonly filter: Filter | undefined;
  readonly compare: ((a: KeyValue, b: KeyValue) => number) | undefined;
}

function planOf(request: RangeRequest, source: Source, limit: number): Plan {
  const { sortOrder, sortTarget } = request;
  const filter = source.filters ? undefined : filterOf(request);
  const cut = limit === limitMax ? -1 : limit + 1;
  const descending = sortOrder === RangeRequest_SortOrder.DESCEND;
  if (sortTarget === RangeRequest_SortTarget.KEY) {
    const rowsMax = filter === undefined ? cut : -1;
    return { order: descending ? "keyDescending" : "keyAscending", rowsMax, filter, compare: undefined };
  }
  // Order NONE with a target: etcd applies the limit first and sorts then; clients can see it, so it is copied.
  const cutBeforeSort = sortOrder === RangeRequest_SortOrder.NONE && filterOf(request) === undefined;
  const column = sortColumn(sortTarget);
  if (source.sorts && column !== undefined && !cutBeforeSort) {
    return { order: `${column}${descending ? "Descending" : "Ascending"}`, rowsMax: cut, filter, compare: undefined };
  }
  const compare = comparator(sortTarget, descending ? -1 : 1);
  return { order: "keyAscending", rowsMax: cutBeforeSort ? cut : -1, filter, compare };
}

/** What `cur` can be sorted by; it holds no values. */
function sortColumn(target: RangeRequest_SortTarget): "create" | "mod" | "version" | undefined {
  switch (target) {
    case RangeRequest_SortTarget.CREATE:
      return "create";
    case RangeRequest_SortTarget.MOD:
      return "mod";
    case RangeRequest_SortTarget.VERSION:
      return "version";
    case RangeRequest_SortTarget.KEY:
    case RangeRequest_SortTarget.VALUE:
      return undefined;
  }
}

/** Ties keep the order of keys: the sort is stable and starts from key order. */
function comparator(target: RangeRequest_SortTarget, sign: 1 | -1): (a: KeyValue, b: KeyValue) => number {
  switch (target) {
    case RangeRequest_SortTarget.CREATE:
      return (a, b) => sign * Number(a.createRevision - b.createRevision);
    case RangeRequest_SortTarget.MOD:
      return (a, b) => sign * Number(a.modRevision - b.modRevision);
    case RangeRequest_SortTarget.VERSION:
      return (a, b) => sign * Number(a.version - b.version);
    case RangeRequest_SortTarget.VALUE:
      return (a, b) => sign * Buffer.compare(a.value, b.value);
    case RangeRequest_SortTarget.KEY:
      return (a, b) => sign * Buffer.compare(a.key, b.key);
  }
}

/** Undefined if no filter is on. 0 switches a bound off; a negative maximum excludes everything. */
function filterOf(request: RangeRequest): Filter | undefined {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if ((minModRevision | maxModRevision | minCreateRevision | maxCreateRevision) === 0n) return undefined;
  return {
    modMin: minModRevision,
    modMax: maxModRevision === 0n ? int64Max : maxModRevision,
    createMin: minCreateRevision,
    createMax: maxCreateRevision === 0n ? int64Max : maxCreateRevision,
  };
}

function applyFilter(kvs: readonly KeyValue[], { modMin, modMax, createMin, createMax }: Filter): readonly KeyValue[] {
  return kvs.filter(
    ({ modRevision, createRevision }) =>
      modRevision >= modMin && modRevision <= modMax && createRevision >= createMin && createRevision <= createMax,
  );
}

function limitOf({ limit }: RangeRequest): number {
  return limit <= 0n || limit > BigInt(limitMax) ? limitMax : Number(limit);
}

function decode({ kv }: StoredRevision): KeyValue {
  return KeyValue.decode(kv);
}

function fromKeyOnly({ key, createRevision, modRevision, version }: KeyOnly): KeyValue {
  return { key, createRevision, modRevision, version, value: noBytes, lease: 0n };
}
