/** Short words for the messages that cases are made of. */

import {
  type Compare,
  Compare_CompareResult,
  Compare_CompareTarget,
  type DeepPartial,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type RequestOp,
  type ResponseHeader,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
} from "../../proto/gen/etcd/rpc.js";

export function bytes(value: string): Buffer {
  return Buffer.from(value);
}

export function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}

/** The range end that means "every key from here on". */
export const FROM_KEY = Buffer.from([0]);

/** The smallest key that is no longer under `prefix`; for ASCII prefixes. */
export function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end[last] = (end[last] ?? 0) + 1;
  return end;
}

export type Op = DeepPartial<RequestOp>;
export type Cmp = DeepPartial<Compare>;

export function rangeOp(key: Uint8Array, extra: DeepPartial<RangeRequest> = {}): Op {
  return { request: { $case: "requestRange", value: { key, ...extra } } };
}

export function putOp(key: Uint8Array, value = "", extra: DeepPartial<PutRequest> = {}): Op {
  return { request: { $case: "requestPut", value: { key, value: bytes(value), ...extra } } };
}

export function deleteOp(key: Uint8Array, extra: DeepPartial<DeleteRangeRequest> = {}): Op {
  return { request: { $case: "requestDeleteRange", value: { key, ...extra } } };
}

export function txnOp(txn: DeepPartial<TxnRequest>): Op {
  return { request: { $case: "requestTxn", value: txn } };
}

export const Result = Compare_CompareResult;
export const Target = Compare_CompareTarget;

type Sign = "=" | ">" | "<" | "!=";

const signs: Record<Sign, Compare_CompareResult> = {
  "=": Result.EQUAL,
  ">": Result.GREATER,
  "<": Result.LESS,
  "!=": Result.NOT_EQUAL,
};

/** compare(key).version("=", 0n) and so on; `rangeEnd` makes it hold for each key of an interval. */
export function compare(key: Uint8Array, rangeEnd: Uint8Array = new Uint8Array(0)) {
  const make = (target: Compare_CompareTarget, sign: Sign, targetUnion: NonNullable<Compare["targetUnion"]>): Cmp => ({
    key,
    rangeEnd,
    target,
    result: signs[sign],
    targetUnion,
  });
  return {
    version: (sign: Sign, value: bigint) => make(Target.VERSION, sign, { $case: "version", value }),
    create: (sign: Sign, value: bigint) => make(Target.CREATE, sign, { $case: "createRevision", value }),
    mod: (sign: Sign, value: bigint) => make(Target.MOD, sign, { $case: "modRevision", value }),
    value: (sign: Sign, value: string) => make(Target.VALUE, sign, { $case: "value", value: bytes(value) }),
    lease: (sign: Sign, value: bigint) => make(Target.LEASE, sign, { $case: "lease", value }),
  };
}

interface Responses {
  responseRange: RangeResponse;
  responsePut: PutResponse;
  responseDeleteRange: DeleteRangeResponse;
  responseTxn: TxnResponse;
}

/** The response of one op, which must be of the given kind. */
export function responseOf<K extends keyof Responses>(op: ResponseOp | undefined, kind: K): Responses[K] {
  if (op?.response?.$case !== kind) throw new Error(`expected ${kind}, got ${op?.response?.$case ?? "nothing"}`);
  return op.response.value as Responses[K];
}

/** The header of a response that must have one. */
export function headerOf(response: { header: ResponseHeader | undefined }): ResponseHeader {
  if (response.header === undefined) throw new Error("the response has no header");
  return response.header;
}
