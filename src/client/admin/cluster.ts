/** The members of the cluster. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { clusterMethods } from "../calls/methods.js";
import { EtcdError } from "../errors.js";
import type { ReadOptions } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import type { Cluster, MemberInfo } from "./types.js";

export class ClusterCalls implements Cluster {
  private readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
  }

  async members(
    options: CallOptions & { readonly consistency?: ReadOptions["consistency"] } = {},
  ): Promise<MemberInfo[]> {
    const request = { linearizable: options.consistency !== "serializable" };
    const { members } = await this.calls.unary(clusterMethods.memberList, request, options);
    return members.map(memberOf);
  }

  add(peerUrls: readonly string[], options: CallOptions = {}): Promise<MemberInfo> {
    return this.addAs({ peerURLs: [...peerUrls], isLearner: false }, options);
  }

  addLearner(peerUrls: readonly string[], options: CallOptions = {}): Promise<MemberInfo> {
    return this.addAs({ peerURLs: [...peerUrls], isLearner: true }, options);
  }

  async update(id: bigint, peerUrls: readonly string[], options: CallOptions = {}): Promise<MemberInfo[]> {
    const request = { ID: id, peerURLs: [...peerUrls] };
    return (await this.calls.unary(clusterMethods.memberUpdate, request, options)).members.map(memberOf);
  }

  async promote(id: bigint, options: CallOptions = {}): Promise<MemberInfo[]> {
    return (await this.calls.unary(clusterMethods.memberPromote, { ID: id }, options)).members.map(memberOf);
  }

  async remove(id: bigint, options: CallOptions = {}): Promise<MemberInfo[]> {
    return (await this.calls.unary(clusterMethods.memberRemove, { ID: id }, options)).members.map(memberOf);
  }

  private async addAs(request: rpc.MemberAddRequest, options: CallOptions): Promise<MemberInfo> {
    const { member } = await this.calls.unary(clusterMethods.memberAdd, request, options);
    if (member !== undefined) return memberOf(member);
    throw new EtcdError("the server did not say which member it added", {
      code: "Other",
      grpcStatus: Code.INTERNAL,
      outcome: "applied",
    });
  }
}

function memberOf(member: rpc.Member): MemberInfo {
  return {
    id: member.ID,
    name: member.name,
    peerUrls: member.peerURLs,
    clientUrls: member.clientURLs,
    learner: member.isLearner,
  };
}
