/** The KV service: validate, read behind a barrier or propose, add the header (spec/server.md 3). */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerAt } from "./header.js";
import {
  isReadOnly,
  isSerializable,
  validateCompaction,
  validateDeleteRange,
  validatePut,
  validateRange,
  validateTxn,
} from "./kv-validate.js";
import { putCostBytes, type Quota, txnCostBytes } from "./quota.js";
import { rangeStream } from "./range-stream.js";
import type { CallContext, KvHandlers } from "./types.js";

export function createKv(dependencies: GuardedDependencies, quota: Quota): KvHandlers {
  const deps = { ...dependencies, quota };
  return {
    range: (request, context) => range(deps, request, context),
    rangeStream: (request, context) => rangeStream(deps, request, context),
    put: (request, context) => put(deps, request, context),
    deleteRange: (request, context) => deleteRange(deps, request, context),
    txn: (request, context) => txn(deps, request, context),
    compact: (request, context) => compact(deps, request, context),
  };
}

async function range(
  { replica, guard, onCall }: GuardedDependencies,
  request: rpc.RangeRequest,
  context: CallContext,
): Promise<rpc.RangeResponse> {
  validateRange(request);
  if (!request.serializable) await replica.linearizableRead(context);
  const { kvs, count, more, revision } = replica.state.range(request, await guard.caller(context));
  onCall?.("range");
  return { header: headerAt(replica, revision), kvs: [...kvs], more, count: BigInt(count) };
}

interface KvDependencies extends GuardedDependencies {
  readonly quota: Quota;
}

async function put(deps: KvDependencies, request: rpc.PutRequest, context: CallContext): Promise<rpc.PutResponse> {
  await deps.quota.check(putCostBytes(request), context);
  validatePut(request);
  const options = { signal: context.signal, caller: await deps.guard.caller(context) };
  const { revision, response } = await deps.replica.propose<"put">({ $case: "put", value: request }, options);
  deps.onCall?.("put");
  return { header: headerAt(deps.replica, revision), prevKv: response.previous };
}

async function deleteRange(
  { replica, guard, onCall }: GuardedDependencies,
  request: rpc.DeleteRangeRequest,
  context: CallContext,
): Promise<rpc.DeleteRangeResponse> {
  validateDeleteRange(request);
  const body = { $case: "deleteRange", value: request } as const;
  const options = { signal: context.signal, caller: await guard.caller(context) };
  const { revision, response } = await replica.propose<"deleteRange">(body, options);
  onCall?.("deleteRange");
  const { deleted, previous } = response;
  return { header: headerAt(replica, revision), deleted: BigInt(deleted), prevKvs: [...previous] };
}

async function txn(deps: KvDependencies, request: rpc.TxnRequest, context: CallContext): Promise<rpc.TxnResponse> {
  const { replica, limits } = deps;
  await deps.quota.check(txnCostBytes(request, limits.txnOpsMax), context);
  validateTxn(request, limits.txnOpsMax);
  const { revision, response } = isReadOnly(request)
    ? await readTxn(deps, request, context)
    : await writeTxn(deps, request, context);
  deps.onCall?.("txn");
  return { ...response, header: headerAt(replica, revision) };
}

interface TxnResult {
  readonly revision: number;
  readonly response: rpc.TxnResponse;
}

/** A transaction that only compares uses the barrier too: etcd answers it from local state (spec 15.1 no. 11). */
async function readTxn(
  { replica, guard }: GuardedDependencies,
  request: rpc.TxnRequest,
  context: CallContext,
): Promise<TxnResult> {
  if (!isSerializable(request)) await replica.linearizableRead(context);
  return replica.state.readTxn(request, await guard.caller(context));
}

async function writeTxn(
  { replica, guard }: GuardedDependencies,
  request: rpc.TxnRequest,
  context: CallContext,
): Promise<TxnResult> {
  const options = { signal: context.signal, caller: await guard.caller(context) };
  const { revision, response } = await replica.propose<"txn">({ $case: "txn", value: request }, options);
  return { revision, response: response.response };
}

async function compact(
  { replica, guard }: GuardedDependencies,
  request: rpc.CompactionRequest,
  context: CallContext,
): Promise<rpc.CompactionResponse> {
  validateCompaction(request);
  const options = { signal: context.signal, caller: await guard.caller(context) };
  const { revision } = await replica.propose<"compact">({ $case: "compact", value: request }, options);
  if (request.physical) await replica.maintenance.compactionFinished(context);
  return { header: headerAt(replica, revision) };
}
