/** Transactions: what `op` and `cmp` make, and its way to the wire and back. */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Lease } from "../lease/types.js";
import { deleteResultOf, headerOf, putResultOf, rangeResultOf } from "./convert.js";
import { keyBytes, wireRange } from "./range.js";
import { deleteRequest, putRequest, rangeRequest } from "./requests.js";
import type {
  Compare,
  Comparison,
  Op,
  OpDeleteOptions,
  OpGetOptions,
  OpPutOptions,
  ResultsOf,
  TxnResult,
  TxnSpec,
} from "./txn-types.js";
import type { Binding, Codec, Header, Key, KeyRange, RevisionInput } from "./types.js";

/** Makes the operations of a transaction. */
export const op = {
  get: (range: KeyRange, options: OpGetOptions = {}): Op<"range"> => ({ kind: "range", range, options }),
  put: (key: Key, value: Key, options: OpPutOptions = {}): Op<"put"> => ({ kind: "put", key, value, options }),
  /** Puts the key under another lease, or none, with the value it has. */
  bind: (key: Key, lease: Binding, options: Pick<OpPutOptions, "previous"> = {}): Op<"put"> => ({
    kind: "put",
    key,
    value: undefined,
    options: lease === "none" ? options : { ...options, lease },
  }),
  delete: (range: KeyRange, options: OpDeleteOptions = {}): Op<"delete"> => ({ kind: "delete", range, options }),
  txn: <const T extends readonly Op[], const E extends readonly Op[] = []>(spec: TxnSpec<T, E>): Op<"txn", T, E> => ({
    kind: "txn",
    spec,
  }),
};

const nothing = new Uint8Array(0);

type NumberTarget = Exclude<Compare["target"], "value">;

function numberComparison(target: NumberTarget, range: KeyRange): Comparison<Lease | RevisionInput> {
  const make =
    (result: Compare["result"]) =>
    (operand: Lease | RevisionInput): Compare => ({
      target,
      result,
      range,
      operand: typeof operand === "object" ? operand.id : BigInt(operand),
    });
  return { equal: make("equal"), notEqual: make("notEqual"), greater: make("greater"), less: make("less") };
}

function valueComparison(range: KeyRange): Comparison<Key> {
  const make =
    (result: Compare["result"]) =>
    (operand: Key): Compare => ({ target: "value", result, range, operand });
  return { equal: make("equal"), notEqual: make("notEqual"), greater: make("greater"), less: make("less") };
}

/**
 * Makes the guards of a transaction. A guard on a range holds if it holds for every key in it; where there is none, and
 * for a key that is not there, numbers are compared with 0 and a guard on the value fails.
 */
export const cmp = {
  version: (range: KeyRange): Comparison<RevisionInput> => numberComparison("version", range),
  createRevision: (range: KeyRange): Comparison<RevisionInput> => numberComparison("createRevision", range),
  modRevision: (range: KeyRange): Comparison<RevisionInput> => numberComparison("modRevision", range),
  /** Of the lease a key is bound to, 0n for none. */
  lease: (range: KeyRange): Comparison<Lease | RevisionInput> => numberComparison("lease", range),
  value: valueComparison,
  exists: (key: Key): Compare => numberComparison("createRevision", key).greater(0n),
  absent: (key: Key): Compare => numberComparison("createRevision", key).equal(0n),
};

export function txnRequest(spec: TxnSpec<readonly Op[], readonly Op[]>): rpc.TxnRequest {
  return {
    compare: wireCompares(spec.if ?? []),
    success: spec.then.map(requestOp),
    failure: (spec.else ?? []).map(requestOp),
  };
}

export function wireCompares(compares: readonly Compare[]): rpc.Compare[] {
  return compares.map(wireCompare);
}

/** True if some guard failed, in the transaction or in one inside of the branch that ran. */
export function anyGuardFailed({ succeeded, responses }: rpc.TxnResponse): boolean {
  return (
    !succeeded || responses.some(({ response }) => response?.$case === "responseTxn" && anyGuardFailed(response.value))
  );
}

/** The results of the branch that ran, in the order of its operations. */
export function txnResultOf<T extends readonly Op[], E extends readonly Op[], V>(
  response: rpc.TxnResponse,
  codec: Codec<V>,
  outer?: Header,
): TxnResult<T, E, V> {
  const header = outer ?? headerOf(response.header);
  return response.succeeded
    ? { succeeded: true, header, results: branchResults<T, V>(response, codec, header) }
    : { succeeded: false, header, results: branchResults<E, V>(response, codec, header) };
}

/** The results of the branch that ran; the caller says which operations it had. */
function branchResults<T extends readonly Op[], V>(
  response: rpc.TxnResponse,
  codec: Codec<V>,
  header: Header,
): ResultsOf<T, V> {
  const results: unknown[] = response.responses.map((item) => resultOf(item, header, codec));
  // The server answers in the order of the request, which is the order of the tuple type.
  return results as ResultsOf<T, V>;
}

function resultOf<V>({ response }: rpc.ResponseOp, header: Header, codec: Codec<V>): unknown {
  if (response === undefined) return undefined;
  switch (response.$case) {
    case "responseRange":
      return rangeResultOf(response.value, header, codec);
    case "responsePut":
      return putResultOf(response.value, header, codec);
    case "responseDeleteRange":
      return deleteResultOf(response.value, header, codec);
    case "responseTxn":
      return txnResultOf(response.value, codec, header);
  }
}

function requestOp(operation: Op): rpc.RequestOp {
  switch (operation.kind) {
    case "range":
      return { request: { $case: "requestRange", value: rangeRequest(operation.range, operation.options) } };
    case "put": {
      const { key, value, options } = operation;
      const put = putRequest(key, value === undefined ? nothing : keyBytes(value), options);
      return { request: { $case: "requestPut", value: { ...put, ignoreValue: value === undefined } } };
    }
    case "delete":
      return { request: { $case: "requestDeleteRange", value: deleteRequest(operation.range, operation.options) } };
    case "txn":
      return { request: { $case: "requestTxn", value: txnRequest(operation.spec) } };
  }
}

const results = {
  equal: rpc.Compare_CompareResult.EQUAL,
  notEqual: rpc.Compare_CompareResult.NOT_EQUAL,
  greater: rpc.Compare_CompareResult.GREATER,
  less: rpc.Compare_CompareResult.LESS,
} as const;

function wireCompare(compare: Compare): rpc.Compare {
  const result = results[compare.result];
  const range = wireRange(compare.range);
  const { operand } = compare;
  const number = typeof operand === "bigint" ? operand : 0n;
  const { VERSION, CREATE, MOD, VALUE, LEASE } = rpc.Compare_CompareTarget;
  switch (compare.target) {
    case "version":
      return { ...range, result, target: VERSION, targetUnion: { $case: "version", value: number } };
    case "createRevision":
      return { ...range, result, target: CREATE, targetUnion: { $case: "createRevision", value: number } };
    case "modRevision":
      return { ...range, result, target: MOD, targetUnion: { $case: "modRevision", value: number } };
    case "lease":
      return { ...range, result, target: LEASE, targetUnion: { $case: "lease", value: number } };
    case "value": {
      const value = typeof operand === "bigint" ? keyBytes(String(operand)) : keyBytes(operand);
      return { ...range, result, target: VALUE, targetUnion: { $case: "value", value } };
    }
  }
}
