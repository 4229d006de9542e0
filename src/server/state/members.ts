/** What the cluster knows about its members and its version. */

import { DowngradeRequest_DowngradeAction as Action, type DowngradeRequest } from "../../../proto/gen/etcd/rpc.js";
import type { ClusterVersionSet, MemberPublish } from "../../../proto/gen/internal/command.js";
import { status, WireError } from "../../../proto/status.js";
import type { StateStore } from "../storage/state-store.js";

/** A member tells its name and client URLs. Throws WireError MemberNotFound. */
export function publishMember({ tables: { members } }: StateStore, { id, name, clientUrls }: MemberPublish): void {
  const member = members.all().find((known) => known.id === id);
  if (member === undefined) throw new WireError(status.MemberNotFound);
  members.put({ ...member, name, clientUrls });
}

export function setClusterVersion({ tables: { meta } }: StateStore, { version }: ClusterVersionSet): void {
  meta.putText("cluster_version", version);
}

/** Remembers or forgets the version to go back to; the request was checked before it was proposed. */
export function downgrade({ tables: { meta } }: StateStore, { action, version }: DowngradeRequest): void {
  switch (action) {
    case Action.VALIDATE:
      return;
    case Action.ENABLE:
      if (meta.text("downgrade_target") !== undefined) throw new WireError(status.DowngradeInProcess);
      meta.putText("downgrade_target", version);
      return;
    case Action.CANCEL:
      meta.removeText("downgrade_target");
      return;
  }
  throw new WireError(status.UnknownMethod);
}
