/**
 * The servers that the conformance suite runs against: ours in this process, ours as a process, and a real etcd.
 * LITECD_CONFORMANCE_TARGETS (comma list of "in-process", "process", "etcd") chooses among them.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Flags of etcd 3.7 without the dashes. */
export type Flags = Readonly<Record<string, string>>;

export interface TargetServer {
  /** "host:port" of gRPC and HTTP. */
  readonly endpoint: string;
  close(): Promise<void>;
}

export interface Target {
  readonly name: "in-process" | "process" | "etcd";
  /** Whether this is a real etcd of the 3.5 series, which differs from our level (3.7) here and there. */
  readonly isEtcd35: boolean;
  /** Why the target cannot run here, if it cannot. */
  readonly unavailable: string | undefined;
  start(flags?: Flags): Promise<TargetServer>;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const etcdDirectory = process.env["LITECD_TEST_ETCD"];
const READY = "ready to serve client requests";
const READY_MS = 20_000;

const inProcess: Target = {
  name: "in-process",
  isEtcd35: false,
  unavailable: undefined,
  async start(flags = {}) {
    const path = "../../src/server/testing.js";
    const testing = (await import(path)) as { startTestServer(options: { flags: Flags }): Promise<TargetServer> };
    return testing.startTestServer({ flags });
  },
};

const ourProcess: Target = {
  name: "process",
  isEtcd35: false,
  unavailable: existsSync(join(root, "dist/src/server/main.js")) ? undefined : "dist is not built: run npm run build",
  start: (flags = {}) => startProcess({ command: process.execPath, args: [join(root, "bin/litecd.js")], flags }),
};

const realEtcd: Target = {
  name: "etcd",
  isEtcd35: true,
  unavailable: etcdDirectory === undefined ? "LITECD_TEST_ETCD names no directory with a real etcd" : undefined,
  start: (flags = {}) =>
    startProcess({
      command: join(etcdDirectory ?? "", "etcd"),
      args: ["--unsafe-no-fsync"],
      flags: Object.fromEntries(Object.entries(flags).map(([name, value]) => [oldName(name), value])),
    }),
};

/** 3.5 spells some flags of 3.7 with a prefix. */
function oldName(flag: string): string {
  return flag === "watch-progress-notify-interval" ? `experimental-${flag}` : flag;
}

/** The targets that the environment asks for; all of them by default. */
export function chosenTargets(): readonly Target[] {
  const all = [inProcess, ourProcess, realEtcd];
  const wanted = process.env["LITECD_CONFORMANCE_TARGETS"];
  if (wanted === undefined || wanted === "") return all;
  return wanted.split(",").map((name) => {
    const target = all.find((candidate) => candidate.name === name.trim());
    if (target === undefined) throw new Error(`LITECD_CONFORMANCE_TARGETS: no target is called ${name}`);
    return target;
  });
}

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly flags: Flags;
}

async function startProcess({ command, args, flags }: Program): Promise<TargetServer> {
  const directory = await mkdtemp(join(tmpdir(), "litecd-conformance-"));
  const [clientPort, peerPort] = await freePorts(2);
  const client = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const all: Flags = {
    name: "default",
    "data-dir": join(directory, "data"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `default=${peer}`,
    ...flags,
  };
  const flagWords = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(command, [...args, ...flagWords], { stdio: ["ignore", "ignore", "pipe"] });
  const killAtExit = () => void child.kill("SIGKILL");
  process.once("exit", killAtExit);
  const close = async () => {
    process.removeListener("exit", killAtExit);
    await kill(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await ready(child);
  } catch (error) {
    await close();
    throw error;
  }
  return { endpoint: `127.0.0.1:${clientPort}`, close };
}

/** Resolves when the log says that the member serves; rejects with the log when it ends or takes too long. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = "";
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(`the server ${why}; its log:\n${log}`));
    };
    const timer = setTimeout(() => fail(`was not ready within ${READY_MS} ms`), READY_MS);
    child.once("error", (error) => fail(`could not be started (${error.message})`));
    child.once("exit", (code) => fail(`ended with ${code}`));
    const read = (chunk: Buffer) => {
      log += chunk.toString();
      if (!log.includes(READY)) return;
      clearTimeout(timer);
      child.stderr?.off("data", read);
      child.stderr?.resume();
      resolve();
    };
    child.stderr?.on("data", read);
  });
}

function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

/** Ports that were free a moment ago, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listen));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
    return address.port;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function listen(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}
