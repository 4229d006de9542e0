/**
 * Writes under a guard on their key's revision. One transaction checks and writes, so a guard cannot fail in between.
 * With `retry: "idempotent"` it is repeated after an attempt whose outcome is unknown: sending it again reads the guard
 * and writes in one step. If the guard then fails, that attempt may have been the reason; the history of the key
 * decides, and what it cannot decide stays unknown.
 */
import type * as wire from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { kvMethods } from "../calls/methods.js";
import { ConflictError, type EtcdError, isEtcdError } from "../errors.js";
import type { CallOptions } from "../options.js";
import { bytes } from "./codec.js";
import { deleteResultOf, headerOf, keyValueOf, putResultOf } from "./convert.js";
import { sameBytes } from "./range.js";
import { readRange } from "./read.js";
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
  const done = await attempt(calls, { key: put.key, revision, write: { $case: "requestPut", value: put } }, options);
  const header = headerOf(done.response.header);
  const answer = done.response.responses[0]?.response;
  if (answer?.$case === "responsePut") return putResultOf(answer.value, header, codec);
  const { written, replaced } = await settlePut({ calls, put, revision, ...refusal(done) }, options);
  const previous = put.prevKv && replaced !== undefined ? { previous: keyValueOf(replaced, codec) } : {};
  return { header: { ...header, revision: written.modRevision }, ...previous };
}

/** Rejects with a ConflictError if the key is not as the guard wants it. */
export async function guardedDelete<V>(
  { calls, codec }: View<V>,
  { key, revision }: { readonly key: Key; readonly revision: bigint },
  options: DeleteOptions,
): Promise<DeleteResult<V>> {
  const value = deleteRequest(key, options);
  const done = await attempt(calls, { key, revision, write: { $case: "requestDeleteRange", value } }, options);
  const answer = done.response.responses[0]?.response;
  if (answer?.$case === "responseDeleteRange") {
    return deleteResultOf(answer.value, headerOf(done.response.header), codec);
  }
  throw await deleteRefused({ calls, key, revision, ...refusal(done) }, options);
}

interface Attempted {
  readonly response: rpc.TxnResponse;
  /** The failure of an earlier attempt that may have been applied. */
  readonly doubt: EtcdError | undefined;
}

async function attempt(
  calls: Calls,
  guarded: { readonly key: Key; readonly revision: bigint; readonly write: NonNullable<rpc.RequestOp["request"]> },
  options: CallOptions,
): Promise<Attempted> {
  const { key, revision, write } = guarded;
  const guard = revision === 0n ? cmp.absent(key) : cmp.modRevision(key).equal(revision);
  const request: rpc.TxnRequest = {
    compare: wireCompares([guard]),
    success: [{ request: write }],
    failure: [{ request: { $case: "requestRange", value: rangeRequest(key, {}) } }],
  };
  return calls.timed(kvMethods.txn, request, options);
}

interface Refusal {
  /** The key as the guard found it when it failed. */
  readonly current: wire.KeyValue | undefined;
  readonly doubt: EtcdError;
}

/** What is known of a guard that failed. Throws a ConflictError if there was but one attempt: then that is the answer. */
function refusal({ response, doubt }: Attempted): Refusal {
  const answer = response.responses[0]?.response;
  const current = answer?.$case === "responseRange" ? answer.value.kvs[0] : undefined;
  if (doubt === undefined) throw conflict(current);
  return { current, doubt };
}

function conflict(current: wire.KeyValue | undefined): ConflictError {
  const kv = current === undefined ? undefined : keyValueOf(current, bytes);
  return new ConflictError("the key is not as the guard demands", kv);
}

interface Refused extends Refusal {
  readonly calls: Calls;
  readonly revision: bigint;
}

/** What the write that ended the guard's truth wrote, if that was ours, and what it replaced. */
async function settlePut(
  refused: Refused & { readonly put: rpc.PutRequest },
  options: CallOptions,
): Promise<{ written: wire.KeyValue; replaced: wire.KeyValue | undefined }> {
  const { calls, put, revision, current, doubt } = refused;
  if (revision === 0n) {
    // The key may have been created, deleted and created again: a first value that is not ours proves nothing.
    const written = current === undefined ? undefined : await at(calls, put.key, current.createRevision, options);
    if (written !== undefined && isOurs(written, put)) return { written, replaced: undefined };
    throw doubt;
  }
  const replaced = await guardedKey(refused, put.key, options);
  const next = current?.createRevision === replaced.createRevision && current.version === replaced.version + 1n;
  if (current === undefined || !next) throw doubt;
  if (isOurs(current, put)) return { written: current, replaced };
  throw conflict(current);
}

/** Why a delete was refused: nobody can tell whose delete it was that a key is gone by. */
async function deleteRefused(refused: Refused & { readonly key: Key }, options: CallOptions): Promise<unknown> {
  const { current, doubt } = refused;
  const guarded = await guardedKey(refused, refused.key, options);
  return current?.createRevision === guarded.createRevision ? conflict(current) : doubt;
}

/** The key as the guard wanted it. Throws a ConflictError if it never was so, and the doubt if history is gone. */
async function guardedKey({ calls, revision, current, doubt }: Refused, key: Key, options: CallOptions) {
  let found: wire.KeyValue | undefined;
  try {
    found = await at(calls, key, revision, options);
  } catch (error) {
    throw isEtcdError(error) ? doubt : error;
  }
  if (found?.modRevision === revision) return found;
  throw conflict(current);
}

async function at(calls: Calls, key: Key, revision: bigint, options: CallOptions): Promise<wire.KeyValue | undefined> {
  return (await readRange(calls, rangeRequest(key, { revision }), options)).kvs[0];
}

/** The same value under the same lease, where the put says which: whoever wants to be told apart makes them differ. */
function isOurs(kv: wire.KeyValue, put: rpc.PutRequest): boolean {
  const sameLease = put.ignoreLease || kv.lease === put.lease;
  return sameLease && (put.ignoreValue || sameBytes(kv.value, put.value));
}
