/** Members in this process: one, or a cluster of three, in a temporary directory that goes away with them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InitialMember, ServerConfig } from "../config/config.js";
import { defaultConfig } from "../config/parse-config.js";
import { choosePorts } from "../dev/layout.js";
import { silentLogger } from "../runtime/logger.js";
import { makeCertificates, type ServerCertificates } from "./certificates.js";
import { ProxyFaults } from "./faults.js";
import { LocalMember } from "./member.js";
import type { TestServerOptions } from "./types.js";

export interface LocalServer {
  readonly members: readonly LocalMember[];
  readonly certificates: ServerCertificates | undefined;
  readonly faults: ProxyFaults | undefined;
  close(): Promise<void>;
}

/** A port may be taken by another test between its choice and its use; then others are chosen. */
const attemptsMax = 5;

/** Starts the members and resolves when they serve. */
export async function startLocalServer(options: TestServerOptions): Promise<LocalServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === attemptsMax || !isTaken(error)) throw error;
    }
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && (/EADDRINUSE/.test(error.message) || isTaken(error.cause));
}

async function startOnce(options: TestServerOptions): Promise<LocalServer> {
  const directory = await mkdtemp(join(tmpdir(), "litecd-test-"));
  const faults = options.faults === true ? await ProxyFaults.open(options.members ?? 1) : undefined;
  const members: LocalMember[] = [];
  const close = async (): Promise<void> => {
    await faults?.close();
    try {
      await Promise.all(members.map((member) => member.stop()));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  };
  try {
    const certificates = secured(options) ? await makeCertificates(directory) : undefined;
    const configs = await configsOf(options, { directory, certificates, faults });
    const logger = options.logger ?? silentLogger;
    members.push(...configs.map((config, at) => new LocalMember({ config, logger, proxy: faults?.proxy(at) })));
    await Promise.all(members.map((member) => member.start()));
    return { members, certificates, faults, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function secured({ tls = false }: TestServerOptions): boolean {
  return tls !== false;
}

interface Surroundings {
  readonly directory: string;
  readonly certificates: ServerCertificates | undefined;
  readonly faults: ProxyFaults | undefined;
}

async function configsOf(options: TestServerOptions, around: Surroundings): Promise<ServerConfig[]> {
  const { members: count = 1 } = options;
  const peers = await peersOf(count);
  return peers.map((peer, at) => {
    const scheme = secured(options) ? "https" : "http";
    const proxied = around.faults?.proxy(at).endpoint.replace("http:", `${scheme}:`);
    return {
      ...defaultConfig(),
      name: peer.name,
      dataDir: join(around.directory, peer.name),
      unsafeNoFsync: true,
      listenPeerUrls: count === 1 ? ["http://127.0.0.1:0"] : peer.peerUrls,
      initialAdvertisePeerUrls: peer.peerUrls,
      initialCluster: peers,
      listenClientUrls: [`${scheme}://127.0.0.1:0`],
      advertiseClientUrls: [proxied ?? `${scheme}://127.0.0.1:0`],
      // Passwords of tests are no secrets, and a login should not cost what it must cost elsewhere.
      bcryptCost: 4,
      ...tlsOf(options, around.certificates),
      ...options.config,
    };
  });
}

/** Members of a cluster have to be told each other's addresses before the first of them starts. */
async function peersOf(count: number): Promise<InitialMember[]> {
  if (count === 1) return defaultConfig().initialCluster.map((member) => member);
  const ports = await choosePorts(count);
  return ports.map((port, at) => ({ name: `m${at + 1}`, peerUrls: [`http://127.0.0.1:${port}`] }));
}

function tlsOf(
  { tls }: TestServerOptions,
  certificates: ServerCertificates | undefined,
): Partial<Pick<ServerConfig, "clientTls" | "clientCertAuth">> {
  if (certificates === undefined) return {};
  const mutual = tls === "mutual";
  const clientTls = {
    ...defaultConfig().clientTls,
    identity: { kind: "files", ...certificates.server } as const,
    requireCertificate: mutual,
    trustedCaFile: mutual ? certificates.caFile : undefined,
  };
  return { clientTls, clientCertAuth: mutual };
}
