/** Calls about single members: status, hash, alarms, defragmentation, snapshots, and moving the leader. */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Calls } from "../calls/call.js";
import { maintenanceMethods, streamMethods } from "../calls/methods.js";
import { headerOf, revisionOf, sizeOf } from "../kv/convert.js";
import type { RevisionInput } from "../kv/types.js";
import type { Bytes, CallOptions } from "../options.js";
import { verifiedSnapshot } from "./snapshot.js";
import type { Alarm, HashKv, Maintenance, MemberStatus } from "./types.js";

const { GET, DEACTIVATE } = rpc.AlarmRequest_AlarmAction;
const { NONE, NOSPACE, CORRUPT } = rpc.AlarmType;

export class MaintenanceCalls implements Maintenance {
  private readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
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
    };
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

  async disarm({ memberId, alarm }: Alarm, options: CallOptions = {}): Promise<void> {
    const kind = alarm === "nospace" ? NOSPACE : CORRUPT;
    const request = { action: DEACTIVATE, memberID: memberId, alarm: kind };
    await this.calls.unary(maintenanceMethods.alarm, request, options);
  }

  async defragment(options: CallOptions = {}): Promise<void> {
    await this.calls.unary(maintenanceMethods.defragment, {}, options);
  }

  snapshot(options: CallOptions = {}): AsyncIterable<Bytes> {
    return verifiedSnapshot(this.calls.serverStream(streamMethods.snapshot, {}, options));
  }

  /** Only the leader can do this, so it is asked unless another member is named. */
  async moveLeader(memberId: bigint, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(maintenanceMethods.moveLeader, { targetID: memberId }, { target: "leader", ...options });
  }
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
