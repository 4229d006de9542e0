/**
 * What became of a guarded transaction whose answer was lost. It is sent again, which is safe, because it changes the
 * key whose revision guards it: it cannot be applied twice. But when its guard then fails, either its first attempt
 * was applied or somebody else was faster, and the history of the key decides which. A put is known by its value and
 * lease. A key that is gone does not tell who deleted it, so a delete is at best known not to be ours.
 */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { EtcdError, isEtcdError } from "../errors.js";

/** Changes of the key that are looked through, from the newest back. */
const changesMax = 64;

export interface LostAnswer {
  readonly request: rpc.TxnRequest;
  /** The answer to the repeated transaction, whose guard failed. */
  readonly response: rpc.TxnResponse;
  /** Why the outcome of an earlier attempt is unknown. */
  readonly doubt: EtcdError;
  /** A linearizable read, within the bounds of the call. */
  readonly read: (request: { key: Uint8Array; revision: bigint }) => Promise<rpc.RangeResponse>;
}

/** A guard on one key's mod revision, and what the transaction then does to that key. */
interface Guarded {
  readonly key: Uint8Array;
  /** 0n: the key must not exist. */
  readonly revision: bigint;
  readonly write: rpc.PutRequest | rpc.DeleteRangeRequest;
}

/** The first change of the key since its guard was true, and the key before it. */
interface Change {
  readonly revision: bigint;
  readonly before: KeyValue | undefined;
  readonly after: KeyValue;
}

/**
 * The answer the caller is to have: that of the repeated transaction if the first was not applied, one made up from the
 * history if it was. Throws the first attempt's error where history does not tell ("unknown"), or where the results
 * cannot be had any more ("applied").
 */
export async function settled(lost: LostAnswer): Promise<rpc.TxnResponse> {
  const guarded = guardedKey(lost.request);
  if (guarded === undefined) throw lost.doubt;
  const change = await firstChange(guarded, lost);
  if (change === undefined) throw lost.doubt;
  if (isOwn(change, guarded.write)) return ownResponse(lost, guarded, change);
  // Where the key had to be absent, ours may have come and gone before the one that is there now.
  if (guarded.revision === 0n) throw lost.doubt;
  return lost.response;
}

function guardedKey({ compare, success }: rpc.TxnRequest): Guarded | undefined {
  for (const { key, rangeEnd, result, targetUnion } of compare) {
    if (rangeEnd.length > 0 || result !== rpc.Compare_CompareResult.EQUAL || targetUnion === undefined) continue;
    const { $case, value } = targetUnion;
    const absent = ($case === "createRevision" || $case === "version") && value === 0n;
    const revision = $case === "modRevision" ? value : absent ? 0n : undefined;
    const write = success.map((operation) => writeTo(key, operation)).find((own) => own !== undefined);
    if (revision !== undefined && write !== undefined) return { key, revision, write };
  }
  return undefined;
}

function writeTo(key: Uint8Array, { request }: rpc.RequestOp): Guarded["write"] | undefined {
  switch (request?.$case) {
    case undefined:
    case "requestRange":
    case "requestTxn":
      return undefined;
    case "requestPut":
      return same(request.value.key, key) ? request.value : undefined;
    case "requestDeleteRange":
      return same(request.value.key, key) && request.value.rangeEnd.length === 0 ? request.value : undefined;
  }
}

/** Undefined if history does not tell: it is compacted, too long, or the key has been deleted since. */
async function firstChange({ key, revision }: Guarded, { read, doubt }: LostAnswer): Promise<Change | undefined> {
  try {
    let after = (await read({ key, revision: 0n })).kvs[0];
    if (after === undefined) return undefined;
    if (revision === 0n) return await creation(key, after, read);
    if (after.createRevision > revision) return undefined;
    for (let looked = 0; looked < changesMax; looked++) {
      const before: KeyValue | undefined = (await read({ key, revision: after.modRevision - 1n })).kvs[0];
      if (before === undefined) return undefined;
      if (before.modRevision === revision) return { revision: after.modRevision, before, after };
      after = before;
    }
    return undefined;
  } catch (error) {
    if (!isEtcdError(error)) throw error;
    // The read could not help: what is to be told is why there was doubt in the first place.
    throw doubt;
  }
}

/** A key that had to be absent: only the write that made it can be ours, and only if it looks like ours. */
async function creation(key: Uint8Array, now: KeyValue, read: LostAnswer["read"]): Promise<Change | undefined> {
  const first = now.version === 1n ? now : (await read({ key, revision: now.createRevision })).kvs[0];
  return first === undefined ? undefined : { revision: first.modRevision, before: undefined, after: first };
}

function isOwn({ before, after }: Change, write: Guarded["write"]): boolean {
  if (!("value" in write)) return false;
  const value = write.ignoreValue ? before?.value : write.value;
  const lease = write.ignoreLease ? before?.lease : write.lease;
  return value !== undefined && same(value, after.value) && lease === after.lease;
}

function ownResponse({ request, response, doubt }: LostAnswer, guarded: Guarded, change: Change): rpc.TxnResponse {
  const header = response.header && { ...response.header, revision: change.revision };
  const responses = request.success.map((operation) => responseTo(operation, guarded, change));
  if (responses.every((each) => each !== undefined)) return { header, succeeded: true, responses };
  const { message, code, grpcStatus, endpoint, attempts, serverMessage, cause } = doubt;
  const facts = { code, grpcStatus, endpoint, attempts, serverMessage, cause };
  throw new EtcdError(`applied, but its results are lost: ${message}`, { ...facts, outcome: "applied" });
}

/** Undefined for what only the lost answer could say. */
function responseTo({ request }: rpc.RequestOp, { key }: Guarded, change: Change): rpc.ResponseOp | undefined {
  switch (request?.$case) {
    case undefined:
    case "requestRange":
    case "requestTxn":
    case "requestDeleteRange":
      return undefined;
    case "requestPut": {
      const { prevKv: wantsPrevious } = request.value;
      if (wantsPrevious && !same(request.value.key, key)) return undefined;
      const prevKv = wantsPrevious ? change.before : undefined;
      return { response: { $case: "responsePut", value: { header: undefined, prevKv } } };
    }
  }
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
