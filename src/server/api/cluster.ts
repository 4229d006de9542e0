/**
 * The Cluster service. A server that cannot change its membership yet answers every request that is bound to fail as
 * etcd does; a request that would succeed is answered "not capable", etcd's word for what a cluster cannot do (yet).
 */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import type { Member } from "../state/types.js";
import type { ApiDependencies } from "./dependencies.js";
import { headerWithoutRevision } from "./header.js";
import { validPeerUrls } from "./member-urls.js";
import type { CallContext, ClusterHandlers } from "./types.js";

export function createCluster(deps: ApiDependencies): ClusterHandlers {
  return {
    memberAdd: async (request) => memberAdd(deps, request),
    memberRemove: async (request) => memberRemove(deps, request),
    memberUpdate: async (request) => memberUpdate(deps, request),
    memberList: (request, context) => memberList(deps, request, context),
    memberPromote: async (request) => memberPromote(deps, request),
  };
}

async function memberList(
  { replica }: ApiDependencies,
  request: rpc.MemberListRequest,
  context: CallContext,
): Promise<rpc.MemberListResponse> {
  if (request.linearizable) await replica.linearizableRead(context);
  const members = replica.state.members().map(wireMember);
  return { header: headerWithoutRevision(replica), members: members.toSorted((a, b) => (a.ID < b.ID ? -1 : 1)) };
}

/** Answers MemberBadURLs, PeerURLExist or, for a request that could be granted, NotCapable. */
function memberAdd({ replica }: ApiDependencies, request: rpc.MemberAddRequest): never {
  const urls = validPeerUrls(request.peerURLs);
  refuseUsedUrls(replica.state.members(), urls);
  throw new WireError(status.NotCapable);
}

/** Answers MemberNotFound, MemberNotEnoughStarted for the only voter, or NotCapable. */
function memberRemove({ replica }: ApiDependencies, request: rpc.MemberRemoveRequest): never {
  const members = replica.state.members();
  const member = memberWith(members, request.ID);
  const others = members.filter((other) => !other.learner && other.id !== member.id);
  if (!member.learner && others.length === 0) throw new WireError(status.MemberNotEnoughStarted);
  throw new WireError(status.NotCapable);
}

/** Answers MemberBadURLs (etcd takes any text and then panics, spec 15.1 no. 3), MemberNotFound, PeerURLExist or NotCapable. */
function memberUpdate({ replica }: ApiDependencies, request: rpc.MemberUpdateRequest): never {
  const urls = validPeerUrls(request.peerURLs);
  const members = replica.state.members();
  const member = memberWith(members, request.ID);
  refuseUsedUrls(
    members.filter((other) => other.id !== member.id),
    urls,
  );
  throw new WireError(status.NotCapable);
}

/** Answers MemberNotFound, MemberNotLearner for a voter, or NotCapable. */
function memberPromote({ replica }: ApiDependencies, request: rpc.MemberPromoteRequest): never {
  const member = memberWith(replica.state.members(), request.ID);
  throw new WireError(member.learner ? status.NotCapable : status.MemberNotLearner);
}

function memberWith(members: readonly Member[], id: bigint): Member {
  const member = members.find((candidate) => candidate.id === id);
  if (member === undefined) throw new WireError(status.MemberNotFound);
  return member;
}

function refuseUsedUrls(members: readonly Member[], urls: readonly string[]): void {
  const used = new Set(members.flatMap(({ peerUrls }) => peerUrls));
  if (urls.some((url) => used.has(url))) throw new WireError(status.PeerURLExist);
}

function wireMember({ id, name, peerUrls, clientUrls, learner }: Member): rpc.Member {
  return { ID: id, name, peerURLs: [...peerUrls], clientURLs: [...clientUrls], isLearner: learner };
}
