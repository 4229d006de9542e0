/** Calls about single members: status, hashes, alarms, defragmentation, snapshots, moving the leader, downgrades. */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { maintenanceMethods } from "../calls/methods.js";
import { headerOf, revisionOf, sizeOf } from "../kv/convert.js";
import type { RevisionInput } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import { Download } from "./snapshot.js";
import type {
  Alarm,
  Downgrade,
  Hash,
  HashKv,
  Maintenance,
  MemberStatus,
  SnapshotDownload,
  SnapshotOptions,
} from "./types.js";

const { GET, DEACTIVATE } = rpc.AlarmRequest_AlarmAction;
const { VALIDATE, ENABLE, CANCEL } = rpc.DowngradeRequest_DowngradeAction;
const { NONE, NOSPACE, CORRUPT } = rpc.AlarmType;

export class MaintenanceCalls implements Maintenance {
  readonly downgrade: Downgrade;
  private readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
    this.downgrade = downgrades(calls);
  }

  async status(options: CallOptions = {}): Promise<MemberStatus> {
    const reply = await this.calls.unary(maintenanceMethods.status, {}, options);
    return {
      header: headerOf(reply.header),
      version: reply.version,
      storageVersion: reply.storageVersion,
      dbSize: sizeOf(reply.dbSize),
      dbSizeInUse: sizeOf(reply.dbSizeInUse),
      dbSizeQuota: sizeOf(reply.dbSizeQuota),
      leader: reply.leader === 0n ? undefined : reply.leader,
      raftIndex: reply.raftIndex,
      raftTerm: reply.raftTerm,
      raftAppliedIndex: reply.raftAppliedIndex,
      learner: reply.isLearner,
      errors: reply.errors,
      downgradeTo: reply.downgradeInfo?.enabled === true ? reply.downgradeInfo.targetVersion : undefined,
    };
  }

  async hash(options: CallOptions = {}): Promise<Hash> {
    const { header, hash } = await this.calls.unary(maintenanceMethods.hash, {}, options);
    return { header: headerOf(header), hash };
  }

  async hashKv(options: CallOptions & { readonly revision?: RevisionInput } = {}): Promise<HashKv> {
    const request = { revision: revisionOf(options.revision ?? 0n) };
    const reply = await this.calls.unary(maintenanceMethods.hashKV, request, options);
    const { hash, compactRevision, hashRevision } = reply;
    return { header: headerOf(reply.header), hash, compactRevision, hashRevision };
  }

  async alarms(options: CallOptions = {}): Promise<Alarm[]> {
    const reply = await this.calls.unary(maintenanceMethods.alarm, { action: GET, alarm: NONE }, options);
    return reply.alarms.flatMap(({ memberID, alarm }) => alarmOf(memberID, alarm));
  }

  async disarm(alarms: Alarm | readonly Alarm[], options: CallOptions = {}): Promise<Alarm[]> {
    const disarmed: Alarm[] = [];
    for (const { memberId, alarm } of [alarms].flat()) {
      const kind = alarm === "nospace" ? NOSPACE : CORRUPT;
      const request = { action: DEACTIVATE, memberID: memberId, alarm: kind };
      const reply = await this.calls.unary(maintenanceMethods.alarm, request, options);
      disarmed.push(...reply.alarms.flatMap((each) => alarmOf(each.memberID, each.alarm)));
    }
    return disarmed;
  }

  async defragment(options: CallOptions = {}): Promise<void> {
    await this.calls.unary(maintenanceMethods.defragment, {}, options);
  }

  snapshot(options: SnapshotOptions = {}): SnapshotDownload {
    return new Download(this.calls, options);
  }

  /** Only the leader can do this, so it is asked unless another member is named. */
  async moveLeader(memberId: bigint, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(maintenanceMethods.moveLeader, { targetID: memberId }, { target: "leader", ...options });
  }
}

/** The version of the cluster is agreed upon by its members, so any of them may be asked. */
function downgrades(calls: Calls): Downgrade {
  const send = async (request: rpc.DowngradeRequest, options?: CallOptions): Promise<string> =>
    (await calls.unary(maintenanceMethods.downgrade, request, options)).version;
  return {
    validate: (version, options) => send({ action: VALIDATE, version }, options),
    enable: (version, options) => send({ action: ENABLE, version }, options),
    cancel: (options) => send({ action: CANCEL, version: "" }, options),
  };
}

function alarmOf(memberId: bigint, alarm: rpc.AlarmType): Alarm[] {
  switch (alarm) {
    case NOSPACE:
      return [{ memberId, alarm: "nospace" }];
    case CORRUPT:
      return [{ memberId, alarm: "corrupt" }];
    case NONE:
      return [];
  }
}
