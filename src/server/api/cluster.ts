/**
 * The Cluster service (spec/server.md 6). Whether a change is allowed is decided by the leader, behind the replica; here the
 * input is checked, which etcd does before anything else.
 */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Member } from "../state/types.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerWithoutRevision } from "./header.js";
import { validPeerUrls } from "./member-urls.js";
import type { CallContext, ClusterHandlers } from "./types.js";

export function createCluster(deps: GuardedDependencies): ClusterHandlers {
  const { replica, guard } = deps;
  return {
    memberAdd: (request, context) => memberAdd(deps, request, context),
    memberRemove: async ({ ID }, context) => {
      await guard.admin(context);
      await replica.members.remove(ID, context);
      return withMembers(deps);
    },
    memberUpdate: async ({ ID, peerURLs }, context) => {
      // etcd takes any text here, and then no member can start any more (spec 15.1 no. 3).
      const peerUrls = validPeerUrls(peerURLs);
      await guard.admin(context);
      await replica.members.update(ID, peerUrls, context);
      return withMembers(deps);
    },
    memberList: async ({ linearizable }, context) => {
      if (linearizable) await replica.linearizableRead(context);
      await guard.user(context);
      return withMembers(deps);
    },
    memberPromote: async ({ ID }, context) => {
      await guard.admin(context);
      await replica.members.promote(ID, context);
      return withMembers(deps);
    },
  };
}

async function memberAdd(
  deps: GuardedDependencies,
  { peerURLs, isLearner }: rpc.MemberAddRequest,
  context: CallContext,
): Promise<rpc.MemberAddResponse> {
  const peerUrls = validPeerUrls(peerURLs);
  await deps.guard.admin(context);
  const added = await deps.replica.members.add({ peerUrls, learner: isLearner }, context);
  return { ...withMembers(deps), member: wireMember(added) };
}

interface MembersNow {
  readonly header: rpc.ResponseHeader;
  readonly members: rpc.Member[];
}

/** The members as this member knows them, sorted by id. */
function withMembers({ replica }: GuardedDependencies): MembersNow {
  const members = replica.state.members().map(wireMember);
  return { header: headerWithoutRevision(replica), members: members.toSorted((a, b) => (a.ID < b.ID ? -1 : 1)) };
}

function wireMember({ id, name, peerUrls, clientUrls, learner }: Member): rpc.Member {
  return { ID: id, name, peerURLs: [...peerUrls], clientURLs: [...clientUrls], isLearner: learner };
}
