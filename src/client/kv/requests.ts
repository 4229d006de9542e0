/** Requests from keys and options; shared by single calls and transactions. */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Bytes } from "../options.js";
import { revisionOf } from "./convert.js";
import { keyBytes, wireRange } from "./range.js";
import type { OpDeleteOptions, OpGetOptions, OpPutOptions } from "./txn-types.js";
import type { Binding, BindOptions, Key, KeyRange, PutOptions, Sort } from "./types.js";

const sortTargets = {
  key: rpc.RangeRequest_SortTarget.KEY,
  value: rpc.RangeRequest_SortTarget.VALUE,
  version: rpc.RangeRequest_SortTarget.VERSION,
  create: rpc.RangeRequest_SortTarget.CREATE,
  mod: rpc.RangeRequest_SortTarget.MOD,
} as const;

export function rangeRequest(
  range: KeyRange,
  options: OpGetOptions,
  extra: { readonly countOnly?: boolean } = {},
): rpc.RangeRequest {
  // Field by field, since spreads would cost a get a twentieth of its time.
  const { key, rangeEnd } = wireRange(range);
  const { sortOrder, sortTarget } = sortOf(options.sort);
  return {
    key,
    rangeEnd,
    limit: options.limit === undefined ? 0n : BigInt(options.limit),
    revision: options.revision === undefined ? 0n : revisionOf(options.revision),
    sortOrder,
    sortTarget,
    serializable: options.consistency === "serializable",
    keysOnly: options.keysOnly ?? false,
    countOnly: extra.countOnly ?? false,
    minModRevision: options.modRevision?.min ?? 0n,
    maxModRevision: options.modRevision?.max ?? 0n,
    minCreateRevision: options.createRevision?.min ?? 0n,
    maxCreateRevision: options.createRevision?.max ?? 0n,
  };
}

export function putRequest(key: Key, value: Bytes, options: OpPutOptions): rpc.PutRequest {
  const keep = options.lease === "keep";
  return {
    key: keyBytes(key),
    value,
    lease: leaseIdOf(options.lease),
    prevKv: options.previous ?? false,
    ignoreValue: false,
    ignoreLease: keep,
  };
}

/** The put that leaves the value alone. The server refuses it for a key that is not there. */
export function bindRequest(key: Key, lease: Binding, options: Pick<BindOptions, "previous">): rpc.PutRequest {
  const id = lease === "none" ? {} : { lease };
  return { ...putRequest(key, new Uint8Array(0), { ...id, previous: options.previous ?? false }), ignoreValue: true };
}

export function deleteRequest(range: KeyRange, options: OpDeleteOptions): rpc.DeleteRangeRequest {
  return { ...wireRange(range), prevKv: options.previous ?? false };
}

function leaseIdOf(lease: PutOptions["lease"]): bigint {
  if (lease === undefined || lease === "keep") return 0n;
  return typeof lease === "bigint" ? lease : lease.id;
}

const unsorted = {
  sortOrder: rpc.RangeRequest_SortOrder.NONE,
  sortTarget: rpc.RangeRequest_SortTarget.KEY,
} as const;

function sortOf(sort: Sort | undefined): Pick<rpc.RangeRequest, "sortOrder" | "sortTarget"> {
  if (sort === undefined) return unsorted;
  const { ASCEND, DESCEND } = rpc.RangeRequest_SortOrder;
  return { sortOrder: sort.order === "desc" ? DESCEND : ASCEND, sortTarget: sortTargets[sort.by] };
}
