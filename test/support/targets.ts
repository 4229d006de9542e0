/**
 * The servers that the conformance suite runs against: ours in this process, ours as a process, and a real etcd.
 * LITECD_CONFORMANCE_TARGETS (comma list of "in-process", "process", "etcd") chooses among them.
 */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ServerConfig } from "../../src/server/config/config.js";
import { defaultConfig, parseConfig } from "../../src/server/config/parse-config.js";
import { startTestServer } from "../../src/server/testing/index.js";
import { etcdIn, litecd, Member, type Program } from "./member.js";
import { realEtcdDirectory } from "./real-etcd.js";

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

const builtServer = fileURLToPath(new URL("../../dist/server/main.js", import.meta.url));

const inProcess: Target = {
  name: "in-process",
  isEtcd35: false,
  unavailable: undefined,
  start: (flags = {}) => startTestServer({ config: configOf(flags) }),
};

/** What these flags change in a server's config. */
function configOf(flags: Flags): Partial<ServerConfig> {
  const parsed = parseConfig({ argv: words(flags), env: {}, readFile: (path) => readFileSync(path, "utf8") });
  if (parsed.kind !== "config") throw new Error(`no config comes from ${words(flags).join(" ")}`);
  const plain = new Map<string, unknown>(Object.entries(defaultConfig()));
  const changed = Object.entries(parsed.config).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(plain.get(name)),
  );
  return Object.fromEntries(changed);
}

const ourProcess: Target = {
  name: "process",
  isEtcd35: false,
  unavailable: existsSync(builtServer) ? undefined : "dist is not built: run npm run build",
  start: (flags = {}) => startMember(litecd, words(flags)),
};

const realEtcd: Target = {
  name: "etcd",
  isEtcd35: true,
  unavailable: realEtcdDirectory === undefined ? "LITECD_TEST_ETCD names no directory with a real etcd" : undefined,
  start: (flags = {}) => {
    const all = Object.entries({ ...quickTicks, ...flags });
    const known = Object.fromEntries(all.map(([name, value]) => [oldName(name), value]));
    return startMember(etcdIn(realEtcdDirectory ?? ""), ["--unsafe-no-fsync", ...words(known)]);
  },
};

function words(flags: Flags): string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}

async function startMember(program: Program, flags: readonly string[]): Promise<TargetServer> {
  const member = await Member.create(program, flags);
  try {
    await member.start();
  } catch (error) {
    await member.dispose();
    throw error;
  }
  return { endpoint: member.endpoint, close: () => member.dispose() };
}

/** Ticks so short that a real etcd elects itself in a fraction of a second. Cases about lease time name their own. */
const quickTicks: Flags = { "heartbeat-interval": "10", "election-timeout": "100" };

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
