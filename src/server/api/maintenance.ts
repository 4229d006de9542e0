/** The Maintenance service (spec/server.md 7). */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { serverVersion, storageVersion } from "../runtime/version.js";
import type { Alarm } from "../state/types.js";
import type { GuardedDependencies } from "./dependencies.js";
import { downgrade } from "./downgrade.js";
import { headerAt, headerNow } from "./header.js";
import { quotaBytes } from "./quota.js";
import { snapshot } from "./snapshot.js";
import type { CallContext, MaintenanceHandlers } from "./types.js";

export function createMaintenance(deps: GuardedDependencies): MaintenanceHandlers {
  const { replica, guard } = deps;
  return {
    alarm: (request, context) => alarm(deps, request, context),
    status: async (_request, context) => {
      await guard.user(context);
      return statusNow(deps);
    },
    defragment: async (_request, context) => {
      await guard.admin(context);
      await replica.maintenance.defragment();
      return { header: undefined };
    },
    hash: async (_request, context) => {
      await guard.admin(context);
      const hash = await replica.maintenance.hashAll();
      return { header: headerNow(replica), hash };
    },
    hashKv: async (request, context) => {
      await guard.admin(context);
      return hashKv(deps, request);
    },
    snapshot: (_request, context) => snapshot(deps, context),
    moveLeader: async ({ targetID }, context) => {
      await guard.admin(context);
      await replica.members.transfer(targetID, context);
      return { header: undefined };
    },
    downgrade: (request, context) => downgrade(deps, request, context),
  };
}

/** Values that the API does not name are refused: etcd stops at an unknown action (spec 15.1 no. 4). */
async function alarm(
  { replica, guard }: GuardedDependencies,
  request: rpc.AlarmRequest,
  context: CallContext,
): Promise<rpc.AlarmResponse> {
  const known = isOneOf(rpc.AlarmRequest_AlarmAction, request.action) && isOneOf(rpc.AlarmType, request.alarm);
  if (!known) throw new WireError(status.InvalidAlarm);
  const options = { signal: context.signal, caller: await guard.caller(context) };
  const { revision, response } = await replica.propose<"alarm">({ $case: "alarm", value: request }, options);
  const alarms = response.alarms.map(({ memberId, type }) => ({ memberID: memberId, alarm: rpc.AlarmType[type] }));
  return { header: headerAt(replica, revision), alarms };
}

function isOneOf(names: Readonly<Record<string, number>>, value: number): boolean {
  return Object.values(names).includes(value);
}

/** Answered from this member alone, also while there is no leader. */
function statusNow({ replica, limits }: GuardedDependencies): rpc.StatusResponse {
  const { leader, committedIndex, appliedIndex, term, learner } = replica.status();
  const { allocatedBytes, inUseBytes } = replica.state.size();
  const target = replica.state.downgradeTarget();
  const noLeader = leader === undefined ? [status.NoLeader.message] : [];
  return {
    header: headerNow(replica),
    version: serverVersion,
    dbSize: BigInt(allocatedBytes),
    leader: leader ?? 0n,
    raftIndex: BigInt(committedIndex),
    raftTerm: BigInt(term),
    raftAppliedIndex: BigInt(appliedIndex),
    errors: [...noLeader, ...replica.state.alarms().map(alarmText)],
    dbSizeInUse: BigInt(inUseBytes),
    isLearner: learner,
    storageVersion,
    dbSizeQuota: BigInt(quotaBytes(limits.quotaBackendBytes)),
    downgradeInfo: { enabled: target !== undefined, targetVersion: target ?? "" },
  };
}

/** An alarm in protobuf's text form, which etcd shows among the errors: zero fields are left out. */
function alarmText({ memberId, type }: Alarm): string {
  return memberId === 0n ? `alarm:${type}` : `memberID:${memberId} alarm:${type}`;
}

/** Revision 0 means the current one. A negative one never existed; etcd hashes something useless for it. */
async function hashKv({ replica }: GuardedDependencies, request: rpc.HashKVRequest): Promise<rpc.HashKVResponse> {
  if (request.revision < 0n) throw new WireError(status.Compacted);
  if (request.revision > BigInt(replica.state.revision())) throw new WireError(status.FutureRev);
  const { hash, compactRevision, hashRevision, revision } = await replica.maintenance.hashKv(Number(request.revision));
  return {
    header: headerAt(replica, revision),
    hash,
    compactRevision: BigInt(compactRevision),
    hashRevision: BigInt(hashRevision),
  };
}
