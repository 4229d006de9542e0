/**
 * Whether a member calls from where its certificate says it lives: by address, or by names that lead there. A certificate
 * without alternative names may come from anywhere, as in etcd (spec/server.md 13.5).
 */

import type { X509Certificate } from "node:crypto";
import { lookup, reverse } from "node:dns/promises";
import { alternativeNamesOf, isFor } from "./names.js";

/** The questions that names raise. */
export interface NameService {
  /** Names of an address. */
  reverse(address: string): Promise<readonly string[]>;
  /** Addresses of a name. */
  addresses(name: string): Promise<readonly string[]>;
}

/** The system's. */
export const systemNames: NameService = {
  reverse: (address) => reverse(address),
  addresses: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
};

/** Why a certificate does not fit the address it comes from; undefined if it does. `remote` is an IP address. */
export async function addressProblem(
  certificate: X509Certificate,
  remote: string,
  names: NameService = systemNames,
): Promise<string | undefined> {
  const address = plainAddress(remote);
  const { dnsNames, addresses } = alternativeNamesOf(certificate);
  if (dnsNames.length === 0 && addresses.length === 0) return undefined;
  if (addresses.length > 0 && isFor(certificate, address)) return undefined;
  const hosts = dnsNames.map((name) => name.toLowerCase());
  const verdicts = await Promise.all([
    isNamed(address, hosts, names),
    ...hosts.filter((host) => !host.startsWith("*.")).map((host) => leadsTo(host, address, names)),
  ]);
  if (verdicts.includes(true)) return undefined;
  const known = [...addresses, ...dnsNames].map((name) => JSON.stringify(name)).join(", ");
  return `the certificate is for ${known}, and its owner calls from ${address}`;
}

/** An IPv4 address stays one when it comes in over a port for both. */
function plainAddress(remote: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remote)?.[1] ?? remote;
}

async function isNamed(address: string, hosts: readonly string[], names: NameService): Promise<boolean> {
  const found = (await orNone(names.reverse(address))).map((name) => name.replace(/\.$/, "").toLowerCase());
  return found.some((name) =>
    hosts.some((host) => (host.startsWith("*.") ? name.endsWith(host.slice(1)) : name === host)),
  );
}

async function leadsTo(host: string, address: string, names: NameService): Promise<boolean> {
  return (await orNone(names.addresses(host))).includes(address);
}

/** Who is not known by name proves nothing. */
async function orNone(question: Promise<readonly string[]>): Promise<readonly string[]> {
  try {
    return await question;
  } catch {
    return [];
  }
}
