/** What the cluster knows about its members and its version. */

import { DowngradeRequest_DowngradeAction as Action, type DowngradeRequest } from "../../../proto/gen/etcd/rpc.js";
import type { ClusterVersionSet, MemberPublish } from "../../../proto/gen/internal/command.js";
import { status, WireError } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import type { MembershipChange } from "../raft/types.js";
import type { StateStore } from "../storage/state-store.js";
import type { StateHash } from "./state-hash.js";
import type { CommandBody, Member } from "./types.js";

/** What the machine's helpers for members and versions work on. */
export interface ClusterParts {
  readonly store: StateStore;
  readonly hash: StateHash;
}

/** A member tells its name and client URLs. Throws WireError MemberNotFound. */
export function publishMember(parts: ClusterParts, { id, name, clientUrls }: MemberPublish): void {
  const member = find(parts, id);
  if (member === undefined) throw new WireError(status.MemberNotFound);
  put(parts, { ...member, name, clientUrls });
}

/**
 * Carries out a change of the membership, which the core has put into force when it was committed. The leader has checked it
 * against the state that it applies to, so what does not fit here can not happen.
 */
export function changeMembers(parts: ClusterParts, change: MembershipChange, body: CommandBody): void {
  const { member: id } = change;
  const known = find(parts, id);
  const facts = { op: change.op, command: body.$case, id };
  invariant(isFor(change, body), "a change of the membership and its command differ", facts);
  invariant((known === undefined) === (body.$case === "memberAdd"), "a change names a member that does not fit", facts);
  invariant(!parts.store.tables.removed.has(id), "a change names a member that was removed", facts);
  if (body.$case === "memberAdd") {
    const { peerUrls, learner } = body.value;
    put(parts, { id, name: "", peerUrls, clientUrls: [], learner });
  }
  if (known === undefined) return;
  if (body.$case === "memberUpdate") put(parts, { ...known, peerUrls: body.value.peerUrls });
  if (body.$case === "memberRemove") remove(parts, id);
  if (body.$case === "memberPromote") {
    invariant(known.learner, "a voter is promoted", facts);
    put(parts, { ...known, learner: false });
  }
}

/** Whether a command does to the members what the change beside it does to the configuration. */
function isFor({ op, member }: MembershipChange, body: CommandBody): boolean {
  switch (op) {
    case "addVoter":
    case "addLearner":
      return body.$case === "memberAdd" && body.value.id === member && body.value.learner === (op === "addLearner");
    case "promote":
      return body.$case === "memberPromote" && body.value.id === member;
    case "remove":
      return body.$case === "memberRemove" && body.value.id === member;
    case "update":
      return body.$case === "memberUpdate" && body.value.id === member;
  }
}

function find({ store }: ClusterParts, id: bigint): Member | undefined {
  return store.tables.members.all().find((known) => known.id === id);
}

function put({ store, hash }: ClusterParts, member: Member): void {
  const { id, name, peerUrls, clientUrls, learner } = member;
  store.tables.members.put(member);
  hash.note("member", id, name, peerUrls, clientUrls, learner);
}

function remove({ store, hash }: ClusterParts, id: bigint): void {
  store.tables.members.remove(id);
  store.tables.removed.insert(id);
  hash.note("removed", id);
}

export function setClusterVersion({ store, hash }: ClusterParts, { version }: ClusterVersionSet): void {
  store.tables.meta.putText("cluster_version", version);
  hash.note("clusterVersion", version);
}

/** Remembers or forgets the version to go back to; the request was checked before it was proposed. */
export function downgrade({ store, hash }: ClusterParts, { action, version }: DowngradeRequest): void {
  const { meta } = store.tables;
  switch (action) {
    case Action.VALIDATE:
      return;
    case Action.ENABLE:
      if (meta.text("downgrade_target") !== undefined) throw new WireError(status.DowngradeInProcess);
      meta.putText("downgrade_target", version);
      hash.note("downgrade", version);
      return;
    case Action.CANCEL:
      meta.removeText("downgrade_target");
      hash.note("downgrade", "");
      return;
  }
  throw new WireError(status.UnknownMethod);
}
