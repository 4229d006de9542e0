/** What must hold before a member without data may found its cluster. Source: spec/server.md 13.4. */

import type { InitialMember, ServerConfig } from "./config.js";

/**
 * One line that says why this config founds no cluster, or undefined when it does. To be asked only while the data
 * directory is empty: afterwards identity comes from the disk and the flags about the cluster count for nothing.
 */
export function bootstrapProblem(config: ServerConfig): string | undefined {
  const { initialCluster, name } = config;
  const self = initialCluster.find((member) => member.name === name);
  if (self === undefined) {
    return `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`;
  }
  const shared = sharedUrl(initialCluster);
  if (shared !== undefined) return `--initial-cluster names ${shared} twice`;
  if (!sameUrls(self.peerUrls, config.initialAdvertisePeerUrls)) {
    const [theirs, ours] = [self.peerUrls.join(","), config.initialAdvertisePeerUrls.join(",")];
    return `--initial-cluster gives ${name} the URLs ${theirs}, but --initial-advertise-peer-urls is ${ours}`;
  }
  if (config.initialClusterState === "existing")
    return "joining an existing cluster is not available in this version yet";
  if (initialCluster.length > 1) return "clusters of more than one member are not available in this version yet";
  return undefined;
}

function sharedUrl(members: readonly InitialMember[]): string | undefined {
  const urls = members.flatMap((member) => member.peerUrls);
  return urls.find((url, at) => urls.indexOf(url) !== at);
}

function sameUrls(some: readonly string[], others: readonly string[]): boolean {
  return some.toSorted().join(",") === others.toSorted().join(",");
}
