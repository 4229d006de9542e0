/** TLS as the config wants it: read, checked and ready before anything else is opened, so that a bad file stops a start. */

import { join } from "node:path";
import type { ServerConfig } from "./config/config.js";
import { hostOf } from "./config/url.js";
import type { Logger } from "./runtime/logger.js";
import type { Admission } from "./tls/acceptor.js";
import type { TlsDialer } from "./tls/dialer.js";
import { defaultDialer, openTls, type TlsSurroundings } from "./tls/open.js";

export interface Security {
  /** Which clients are let in over TLS; undefined if none of their URLs has it. */
  readonly clients: Admission | undefined;
  readonly peers: {
    readonly admission: Admission | undefined;
    readonly dialer: TlsDialer;
  };
}

/** Rejects with TlsRefused. */
export async function openSecurity(config: ServerConfig, logger: Logger): Promise<Security> {
  return { clients: await clientsOf(config, logger.in("tls")), peers: await peersOf(config, logger.in("tls")) };
}

async function clientsOf(config: ServerConfig, logger: Logger): Promise<Admission | undefined> {
  const { clientTls, listenClientUrls, listenClientHttpUrls, listenMetricsUrls, advertiseClientUrls } = config;
  const listenUrls = [...listenClientUrls, ...listenClientHttpUrls, ...listenMetricsUrls];
  if (!listenUrls.some(isSecure)) return undefined;
  const hosts = hostsOf([...listenUrls.filter(isSecure), ...advertiseClientUrls]);
  return (await openTls(clientTls, around(config, { side: "client", hosts, logger }))).admission;
}

/** A member without a certificate of its own may still call others that have one. */
async function peersOf(config: ServerConfig, logger: Logger): Promise<Security["peers"]> {
  const { peerTls, listenPeerUrls, initialAdvertisePeerUrls } = config;
  const { identity, callerIdentity, trustedCaFile, crlFile } = peerTls;
  const isTold = [identity, callerIdentity, trustedCaFile, crlFile].some((told) => told !== undefined);
  if (!isTold) return { admission: undefined, dialer: defaultDialer(logger) };
  const hosts = hostsOf([...listenPeerUrls, ...initialAdvertisePeerUrls]);
  return openTls(peerTls, around(config, { side: "peer", hosts, logger }));
}

interface Surroundings extends Omit<TlsSurroundings, "directory"> {
  readonly side: string;
}

/** Where etcd keeps what it makes for itself. */
function around({ dataDir }: ServerConfig, { side, hosts, logger }: Surroundings): TlsSurroundings {
  return { directory: join(dataDir, "fixtures", side), hosts, logger };
}

const loopback = ["localhost", "127.0.0.1", "::1"];

/** What a URL says, and what else this machine is called by those who run on it. */
function hostsOf(urls: readonly string[]): readonly string[] {
  const hosts = urls.map((url) => hostOf(url) ?? "localhost").filter((host) => host !== "");
  const isLocal = hosts.some((host) => [...loopback, "0.0.0.0", "::"].includes(host));
  return [...new Set([...hosts, ...(isLocal ? loopback : [])])];
}

function isSecure(url: string): boolean {
  return /^(https|unixs):/.test(url);
}
