/** Response headers. Which revision each call shows is in spec/server.md 2. */
import type { ResponseHeader } from "../../../proto/gen/etcd/rpc.js";
import type { Replica } from "../replica/types.js";

/** Names this member, its term, and a revision: that of the call's own effect or read. */
export function headerAt(replica: Replica, revision: number): ResponseHeader {
  const { clusterId, memberId, term } = replica.status();
  return { clusterId, memberId, revision: BigInt(revision), raftTerm: BigInt(term) };
}

/** With the store's current revision. */
export function headerNow(replica: Replica): ResponseHeader {
  return headerAt(replica, replica.state.revision());
}

/** With no revision, as the calls about members answer. */
export function headerWithoutRevision(replica: Replica): ResponseHeader {
  return headerAt(replica, 0);
}
