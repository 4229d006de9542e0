/** Ids of members and clusters, computed as etcd does, so that every founder comes to the same. Spec: server.md 6.3. */

import { createHash } from "node:crypto";
import type { InitialMember } from "./config.js";

/** Id of a founding member: its peer URLs and the cluster's token say who it is. */
export function memberIdOf(peerUrls: readonly string[], clusterToken: string): bigint {
  const hash = createHash("sha1").update(peerUrls.toSorted().join("")).update(clusterToken);
  return hash.digest().readBigUInt64BE(0);
}

/** Id of a cluster: its founders say which it is, in whatever order they are named. */
export function clusterIdOf(founders: readonly InitialMember[], clusterToken: string): bigint {
  const ids = founders.map((founder) => memberIdOf(founder.peerUrls, clusterToken));
  const bytes = Buffer.alloc(8 * ids.length);
  for (const [at, id] of ids.toSorted((a, b) => (a < b ? -1 : 1)).entries()) bytes.writeBigUInt64BE(id, 8 * at);
  return createHash("sha1").update(bytes).digest().readBigUInt64BE(0);
}
