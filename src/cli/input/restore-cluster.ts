/** The new cluster that `snapshot restore` is told of: its flags read and compared as etcdutl does (spec/cli.md 9.2). Pure. */
import { goQuote } from "../output/go-quote.js";
import { InputError } from "./go-number.js";
import { peerUrlProblem } from "./peer-urls.js";

export interface ClusterFlags {
  readonly name: string;
  readonly "initial-cluster": string;
  readonly "initial-advertise-peer-urls": string;
}

/** A member of the new cluster; its URLs are in order. */
export interface ClusterMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/** Throws InputError with etcd's words. */
export function restoreCluster(flags: ClusterFlags): readonly ClusterMember[] {
  const advertised = checkedUrls(flags["initial-advertise-peer-urls"].split(","));
  const members = membersOf(flags["initial-cluster"]);
  const self = members.find(({ name }) => name === flags.name);
  if (self === undefined) {
    throw new InputError(`couldn't find local name ${goQuote(flags.name)} in the initial cluster configuration`);
  }
  const problem = mismatch(self, advertised);
  if (problem !== undefined) throw new InputError(problem);
  const urls = members.flatMap(({ peerUrls }) => peerUrls);
  if (new Set(urls).size < urls.length) {
    throw new InputError(`initial cluster ${clusterText(members)} has duplicate url`);
  }
  return members;
}

/** `name=url,…`; a name may come several times, with a URL each. */
function membersOf(text: string): readonly ClusterMember[] {
  const urls = new Map<string, string[]>();
  for (const item of text === "" ? [] : text.split(",")) {
    const [name = "", ...rest] = item.trim().split("=");
    urls.set(name, [...(urls.get(name) ?? []), rest.join("=")]);
  }
  return [...urls].map(([name, words]) => ({ name, peerUrls: checkedUrls(words) }));
}

function checkedUrls(words: readonly string[]): readonly string[] {
  const urls = words.map((word) => word.trim());
  const problem = urls.map(peerUrlProblem).find((text) => text !== undefined);
  if (problem !== undefined) throw new InputError(problem);
  return urls.toSorted();
}

function mismatch({ name, peerUrls }: ClusterMember, advertised: readonly string[]): string | undefined {
  const named = (urls: readonly string[]): string => urls.map((url) => `${name}=${url}`).join(",");
  const missing = peerUrls.filter((url) => !advertised.includes(url));
  if (missing.length > 0) {
    const flag = `--initial-advertise-peer-urls=${advertised.join(",")}`;
    return `--initial-cluster has ${named(missing)} but missing from ${flag} (${difference(advertised, peerUrls)})`;
  }
  const surplus = advertised.filter((url) => !peerUrls.includes(url));
  if (surplus.length === 0) return undefined;
  return `--initial-advertise-peer-urls has ${surplus.join(",")} but missing from --initial-cluster=${named(peerUrls)}`;
}

function difference(advertised: readonly string[], peerUrls: readonly string[]): string {
  if (advertised.length !== peerUrls.length) return `len(${goStrings(advertised)}) != len(${goStrings(peerUrls)})`;
  const at = peerUrls.findIndex((url, index) => url !== advertised[index]);
  return `resolved urls: ${goQuote(advertised[at] ?? "")} != ${goQuote(peerUrls[at] ?? "")}`;
}

function goStrings(words: readonly string[]): string {
  return `[${words.map((word) => goQuote(word)).join(" ")}]`;
}

function clusterText(members: readonly ClusterMember[]): string {
  const items = members.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`));
  return items.toSorted().join(",");
}
