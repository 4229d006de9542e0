/**
 * What must hold before a member without data may found a cluster or join one, and who it then is. To be asked only while
 * the data directory is empty: afterwards identity comes from the disk. Source: spec/server.md 13.4; key words as etcd's.
 */

import type { InitialMember, ServerConfig } from "./config.js";
import { memberIdOf } from "./identity.js";

/** A running cluster as one of its members describes it. */
export interface ClusterView {
  readonly clusterId: bigint;
  readonly members: readonly ViewedMember[];
  /** x.y.z; empty as long as it is not decided. */
  readonly clusterVersion: string;
  /** Ids that must not come back. */
  readonly removed: readonly bigint[];
}

export interface ViewedMember {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
  /** Empty until the member has started once. */
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

/** Who this member is in a cluster that it joins. */
export interface JoiningIdentity {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/** One line that says why this config lets a member neither found nor join, or undefined when it may try. */
export function bootstrapProblem(config: ServerConfig): string | undefined {
  const { initialCluster, initialAdvertisePeerUrls, name } = config;
  const self = initialCluster.find((member) => member.name === name);
  if (self === undefined) {
    return `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`;
  }
  if (!sameUrls(self.peerUrls, initialAdvertisePeerUrls)) {
    const [theirs, ours] = [self.peerUrls.join(","), initialAdvertisePeerUrls.join(",")];
    return `--initial-cluster has ${name}=${theirs}, which differs from --initial-advertise-peer-urls=${ours}`;
  }
  const shared = sharedUrl(initialCluster);
  return shared === undefined ? undefined : `the initial cluster has a duplicate url: ${shared}`;
}

/** Where a member that starts without data can ask about the cluster: the peer URLs of all others. */
export function otherPeerUrls({ initialCluster, name }: ServerConfig): readonly string[] {
  return initialCluster.filter((member) => member.name !== name).flatMap(({ peerUrls }) => peerUrls);
}

/**
 * Why a founder may not found: the cluster that it would found knows it already, so it has been a member of it and has lost
 * its data. With an empty log it could help to elect a leader that misses what it once acknowledged.
 */
export function foundingProblem(config: ServerConfig, view: ClusterView): string | undefined {
  return returningProblem(view, memberIdOf(config.initialAdvertisePeerUrls, config.initialClusterToken));
}

/** Once a member has told its client URLs, it had data: who comes without any now must be added anew, under another id. */
function lostProblem({ id, clientUrls }: ViewedMember): string | undefined {
  return clientUrls.length > 0 ? `member ${id.toString(16)} has already been bootstrapped` : undefined;
}

/**
 * The identity of a member that joins, or a string that says why it cannot. One view that lets it in is enough, for another
 * member may not have heard of it yet; but that it was there before and lost its data, as for a founder, or was removed, is
 * final whoever says so: a member that lags does not know it yet. `ours` is this server's version.
 */
export function joiningIdentity(
  config: ServerConfig,
  views: readonly ClusterView[],
  ours: string,
): JoiningIdentity | string {
  let problem = "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs";
  let returning: string | undefined;
  for (const view of views) {
    const identity = identityIn(config, view, ours);
    if (typeof identity === "string") {
      problem = identity;
      continue;
    }
    const final = views.map((other) => returningProblem(other, identity.memberId)).find((text) => text !== undefined);
    if (final === undefined) return identity;
    returning = final;
  }
  return returning ?? problem;
}

/** Why a member of this id does not come without data. */
function returningProblem(view: ClusterView, memberId: bigint): string | undefined {
  if (view.removed.includes(memberId)) return removedText(memberId);
  const known = view.members.find(({ id }) => id === memberId);
  return known === undefined ? undefined : lostProblem(known);
}

/** Its peer URLs say which of the cluster's members it is. */
function identityIn(config: ServerConfig, view: ClusterView, ours: string): JoiningIdentity | string {
  const problem = mismatch(config.initialCluster, view.members) ?? versionProblem(view.clusterVersion, ours);
  if (problem !== undefined) return problem;
  const learners = view.members.filter(({ learner }) => learner).length;
  if (learners > config.learnersMax) {
    return `the cluster has ${learners} learners, but --max-learners is ${config.learnersMax}`;
  }
  const self = view.members.find(({ peerUrls }) => sameUrls(peerUrls, config.initialAdvertisePeerUrls));
  if (self === undefined) return `the cluster has no member at ${config.initialAdvertisePeerUrls.join(",")}`;
  return { clusterId: view.clusterId, memberId: self.id };
}

function removedText(id: bigint): string {
  return `member ${id.toString(16)} has been permanently removed from the cluster`;
}

/** The initial cluster must be the cluster there is, member by member. */
function mismatch(initial: readonly InitialMember[], members: readonly ViewedMember[]): string | undefined {
  if (initial.length !== members.length) {
    return `error validating peerURLs: member count is unequal (${initial.length} in --initial-cluster, ${members.length} in the cluster)`;
  }
  const stranger = members.find(({ peerUrls }) => !initial.some((named) => sameUrls(named.peerUrls, peerUrls)));
  if (stranger === undefined) return undefined;
  return `error validating peerURLs: no match found for existing member (${stranger.id.toString(16)}, ${stranger.peerUrls.join(",")})`;
}

/** A server can join a cluster of its own major version that is not ahead of it. */
function versionProblem(clusterVersion: string, ours: string): string | undefined {
  if (clusterVersion === "") return undefined;
  const [theirMajor, theirMinor] = clusterVersion.split(".").map(Number);
  const [ourMajor, ourMinor = 0] = ours.split(".").map(Number);
  if (theirMajor === ourMajor && (theirMinor ?? 0) <= ourMinor) return undefined;
  return `incompatible with current running cluster: its version is ${clusterVersion}, this server's ${ours}`;
}

function sharedUrl(members: readonly InitialMember[]): string | undefined {
  const urls = members.flatMap((member) => member.peerUrls);
  return urls.find((url, at) => urls.indexOf(url) !== at);
}

function sameUrls(some: readonly string[], others: readonly string[]): boolean {
  return some.toSorted().join(",") === others.toSorted().join(",");
}
