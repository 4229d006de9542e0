/** Where the members of a development cluster live: directories and ports, remembered where the data is kept. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { DevConfig } from "../config/dev.js";

export interface DevMember {
  readonly name: string;
  readonly dataDir: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
}

export interface DevLayout {
  readonly directory: string;
  /** Whether the directory outlives the cluster. */
  readonly kept: boolean;
  readonly members: readonly DevMember[];
}

/** The development cluster cannot start as asked. */
export class DevRefused extends Error {
  override readonly name = "DevRefused";
  readonly reason = "dev";
}

/** Ports of one cluster, as its directory remembers them: the members know each other by these. */
interface Remembered {
  readonly ports: readonly number[];
}

const rememberedFile = "dev.json";
const host = "127.0.0.1";

/** Makes the directory and chooses the ports. Throws DevRefused if the directory holds another cluster. */
export async function layOut({ memberCount, portBase, dataDir }: DevConfig): Promise<DevLayout> {
  const kept = dataDir !== undefined;
  const directory = kept ? resolve(dataDir) : mkdtempSync(join(tmpdir(), "litecd-dev-"));
  if (kept) mkdirSync(directory, { recursive: true });
  const remembered = kept ? readRemembered(directory) : undefined;
  if (remembered !== undefined) refuseOther(remembered, { memberCount, portBase, directory });
  const ports = remembered?.ports ?? (await choosePorts(2 * memberCount, portBase));
  if (kept && remembered === undefined)
    writeFileSync(join(directory, rememberedFile), `${JSON.stringify({ ports })}\n`);
  const members = Array.from({ length: memberCount }, (_, at) => memberAt(directory, { at, ports }));
  return { directory, kept, members };
}

function memberAt(
  directory: string,
  { at, ports }: { readonly at: number; readonly ports: readonly number[] },
): DevMember {
  const name = `m${at + 1}`;
  const [clientUrl, peerUrl] = [ports[2 * at], ports[2 * at + 1]].map((port) => `http://${host}:${port}`);
  return { name, dataDir: join(directory, name), clientUrl: clientUrl ?? "", peerUrl: peerUrl ?? "" };
}

function readRemembered(directory: string): Remembered | undefined {
  const path = join(directory, rememberedFile);
  if (!existsSync(path)) return undefined;
  const { ports } = JSON.parse(readFileSync(path, "utf8")) as Partial<Remembered>;
  if (!Array.isArray(ports) || !ports.every(Number.isInteger)) throw new DevRefused(`${path} cannot be read`);
  return { ports };
}

interface Wanted {
  readonly memberCount: number;
  readonly portBase: number;
  readonly directory: string;
}

function refuseOther({ ports }: Remembered, { memberCount, portBase, directory }: Wanted): void {
  const count = ports.length / 2;
  if (count !== memberCount) throw new DevRefused(`${directory} holds a cluster of ${count}, not of ${memberCount}`);
  if (portBase !== 0 && ports[0] !== portBase) {
    throw new DevRefused(`${directory} holds a cluster whose ports begin with ${ports[0]}, not with ${portBase}`);
  }
}

/** Ports from the base on, or free ones, held all together until the last is found, so that none comes twice. */
export async function choosePorts(count: number, portBase = 0): Promise<readonly number[]> {
  if (portBase !== 0) return Array.from({ length: count }, (_, at) => portBase + at);
  const servers = await Promise.all(Array.from({ length: count }, () => listenAnywhere()));
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function listenAnywhere(): Promise<Server> {
  return new Promise((done, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, host, () => done(server));
  });
}
