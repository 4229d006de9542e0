/**
 * Writes under a guard on their key's revision: one transaction checks and writes, so nothing comes in between. With
 * `retry: "idempotent"` calls/settle.ts finds out what became of an attempt whose answer was lost.
 */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { kvMethods } from "../calls/methods.js";
import { ConflictError } from "../errors.js";
import type { CallOptions } from "../options.js";
import { bytes } from "./codec.js";
import { deleteResultOf, headerOf, keyValueOf, putResultOf } from "./convert.js";
import { deleteRequest, rangeRequest } from "./requests.js";
import { cmp, wireCompares } from "./txn.js";
import type { Codec, DeleteOptions, DeleteResult, Key, PutOptions, PutResult } from "./types.js";

interface View<V> {
  readonly calls: Calls;
  readonly codec: Codec<V>;
}

/** The key's modification revision that the guard wants, 0n for no key; undefined if the put is not guarded. */
export function guardOf({ ifRevision, ifAbsent }: PutOptions): bigint | undefined {
  if (ifRevision !== undefined && ifAbsent === true) throw new TypeError("ifRevision and ifAbsent exclude each other");
  return ifAbsent === true ? 0n : ifRevision;
}

/** Rejects with a ConflictError if the key is not as the guard wants it. */
export async function guardedPut<V>(
  { calls, codec }: View<V>,
  { put, revision }: { readonly put: rpc.PutRequest; readonly revision: bigint },
  options: CallOptions,
): Promise<PutResult<V>> {
  const write = { $case: "requestPut", value: put } as const;
  const { answer, header } = await guarded(calls, { key: put.key, revision, write }, options);
  if (answer?.$case === "responsePut") return putResultOf(answer.value, header, codec);
  throw conflict(answer);
}

/** Rejects with a ConflictError if the key is not as the guard wants it. */
export async function guardedDelete<V>(
  { calls, codec }: View<V>,
  { key, revision }: { readonly key: Key; readonly revision: bigint },
  options: DeleteOptions,
): Promise<DeleteResult<V>> {
  const write = { $case: "requestDeleteRange", value: deleteRequest(key, options) } as const;
  const { answer, header } = await guarded(calls, { key, revision, write }, options);
  if (answer?.$case === "responseDeleteRange") return deleteResultOf(answer.value, header, codec);
  throw conflict(answer);
}

/** The answer to the write, or to the look at the key that is taken where the guard fails. */
async function guarded(
  calls: Calls,
  wanted: { readonly key: Key; readonly revision: bigint; readonly write: NonNullable<rpc.RequestOp["request"]> },
  options: CallOptions,
) {
  const { key, revision, write } = wanted;
  const guard = revision === 0n ? cmp.absent(key) : cmp.modRevision(key).equal(revision);
  const request: rpc.TxnRequest = {
    compare: wireCompares([guard]),
    success: [{ request: write }],
    failure: [{ request: { $case: "requestRange", value: rangeRequest(key, {}) } }],
  };
  const response = await calls.unary(kvMethods.txn, request, options);
  return { answer: response.responses[0]?.response, header: headerOf(response.header) };
}

function conflict(answer: rpc.ResponseOp["response"]): ConflictError {
  const current = answer?.$case === "responseRange" ? answer.value.kvs[0] : undefined;
  const kv = current === undefined ? undefined : keyValueOf(current, bytes);
  return new ConflictError("the key is not as the guard demands", kv);
}
