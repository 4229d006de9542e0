/**
 * The space quota as the API checks it, before a request is even validated (spec/server.md 1.1 stage 9, 14).
 * The state decides for itself whether an alarm refuses a write; this spares the log a write that is bound to fail.
 */
import {
  AlarmRequest_AlarmAction,
  AlarmType,
  type PutRequest,
  type RequestOp,
  type TxnRequest,
} from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { theServer } from "../state/auth/types.js";
import type { ApiDependencies } from "./dependencies.js";
import type { CallContext } from "./types.js";

/** The quota when none is configured: 2 GiB. */
export const quotaBytesDefault = 2 * 1024 * 1024 * 1024;
/** Bytes that a grant counts for. */
export const leaseGrantCostBytes = 64;
const putOverheadBytes = 256;

/** The quota in force, in bytes; negative when it is switched off. */
export function quotaBytes(configuredBytes: number): number {
  return configuredBytes === 0 ? quotaBytesDefault : configuredBytes;
}

export function putCostBytes(put: PutRequest): number {
  return putOverheadBytes + put.key.length + put.value.length;
}

/** The costlier branch, nested transactions included. Nesting deeper than `depthMax` is refused later anyway. */
export function txnCostBytes(txn: TxnRequest, depthMax: number): number {
  return Math.max(opsCostBytes(txn.success, depthMax), opsCostBytes(txn.failure, depthMax));
}

function opsCostBytes(ops: readonly RequestOp[], depthMax: number): number {
  return ops.reduce((sum, op) => sum + opCostBytes(op, depthMax), 0);
}

function opCostBytes({ request }: RequestOp, depthMax: number): number {
  switch (request?.$case) {
    case "requestPut":
      return putCostBytes(request.value);
    case "requestTxn":
      return depthMax > 0 ? txnCostBytes(request.value, depthMax - 1) : 0;
    case "requestRange":
    case "requestDeleteRange":
    case undefined:
      return 0;
  }
}

/** How long a size that was read may be used, when what was written since would still fit. */
const sizeAgeMsMax = 1000;

/** One for all services of a server: it remembers the size of the state, which is not free to ask for. */
export class Quota {
  private readonly deps: ApiDependencies;
  private readAtMs = Number.NEGATIVE_INFINITY;
  /** The size that was read, and the costs of what was let through since. */
  private estimateBytes = 0;

  constructor(deps: ApiDependencies) {
    this.deps = deps;
  }

  /** Rejects with NoSpace, and raises this member's alarm, if `costBytes` more would reach the quota. 0 always passes. */
  async check(costBytes: number, context: CallContext): Promise<void> {
    if (costBytes === 0 || this.passes(costBytes)) return;
    const { replica, logger } = this.deps;
    const { memberId } = replica.status();
    const raised = replica.state.alarms().some((alarm) => alarm.memberId === memberId && alarm.type === "NOSPACE");
    if (!raised) {
      logger.warn("quota exceeded, raising the NOSPACE alarm", { sizeBytes: this.estimateBytes, costBytes });
      await raiseAlarm(this.deps, memberId, context);
    }
    throw new WireError(status.NoSpace);
  }

  private passes(costBytes: number): boolean {
    const quota = quotaBytes(this.deps.limits.quotaBackendBytes);
    if (quota < 0) return true;
    const nowMs = this.deps.clock.monotonicMs();
    if (nowMs - this.readAtMs > sizeAgeMsMax || this.estimateBytes + costBytes >= quota) {
      this.estimateBytes = this.deps.replica.state.size().allocatedBytes;
      this.readAtMs = nowMs;
    }
    if (this.estimateBytes + costBytes >= quota) return false;
    this.estimateBytes += costBytes;
    return true;
  }
}

async function raiseAlarm(
  { replica, logger }: ApiDependencies,
  memberID: bigint,
  { signal }: CallContext,
): Promise<void> {
  const value = { action: AlarmRequest_AlarmAction.ACTIVATE, memberID, alarm: AlarmType.NOSPACE };
  try {
    await replica.propose<"alarm">({ $case: "alarm", value }, { signal, caller: theServer });
  } catch (error) {
    // The write is refused all the same, and the next one tries again.
    logger.warn("failed to raise the NOSPACE alarm", { error });
  }
}
