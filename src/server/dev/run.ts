/**
 * `litecd --dev N`: a cluster for development, started and ended as one. Its members are processes of their own, so that one
 * can be killed to see what the others do, and so that a developer meets the same server as in production.
 */
import { rmSync } from "node:fs";
import type { DevConfig } from "../config/dev.js";
import { type DevChild, type DevProgram, startChild } from "./child.js";
import { type DevLayout, type DevMember, layOut } from "./layout.js";

export interface DevOptions {
  readonly config: DevConfig;
  readonly program: DevProgram;
  /** For people: what runs where. */
  readonly say: (text: string) => void;
  /** What the members say: warnings and errors. */
  readonly report: (line: string) => void;
  /** Resolves when the cluster is to end. */
  readonly told: Promise<void>;
}

/** Runs the cluster until it is told to end, or has ended by itself. Rejects if it cannot start. Leaves nothing behind. */
export async function runDev(options: DevOptions): Promise<void> {
  const startedMs = performance.now();
  const layout = await layOut(options.config);
  const children = layout.members.map((member) => start(options, layout, member));
  try {
    const ready = Promise.all(children.map((child) => child.ready)).then(() => "ready" as const);
    const outcome = await Promise.race([ready, options.told]);
    if (outcome !== "ready") return;
    options.say(describe(layout, children, performance.now() - startedMs));
    await Promise.race([options.told, watch(children, options)]);
  } finally {
    await end(children);
    if (!layout.kept) rmSync(layout.directory, { recursive: true, force: true });
  }
}

function start({ config, program, report }: DevOptions, { members }: DevLayout, member: DevMember): DevChild {
  const { name, dataDir, clientUrl, peerUrl } = member;
  const flags = {
    name,
    "data-dir": dataDir,
    "listen-client-urls": clientUrl,
    "advertise-client-urls": clientUrl,
    "listen-peer-urls": peerUrl,
    "initial-advertise-peer-urls": peerUrl,
    "initial-cluster": members.map((each) => `${each.name}=${each.peerUrl}`).join(","),
  };
  return startChild({
    name,
    program,
    flags: [...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`), ...config.memberFlags],
    onLine: (line) => report(`${name} | ${line}`),
  });
}

function describe({ directory, kept, members }: DevLayout, children: readonly DevChild[], tookMs: number): string {
  const lines = members.map(({ name, clientUrl }, at) => `  ${name}  ${clientUrl}  (process ${children[at]?.pid})`);
  const endpoints = members.map(({ clientUrl }) => clientUrl).join(",");
  return [
    `${members.length === 1 ? "One member is" : `${members.length} members are`} ready after ${Math.round(tookMs)} ms:`,
    ...lines,
    `export ETCDCTL_ENDPOINTS=${endpoints}`,
    `The data is in ${directory} and ${kept ? "stays there" : "goes when this ends"}. Stop with Ctrl-C.`,
    "",
  ].join("\n");
}

/** Tells of members that end by themselves. Resolves when none is left. */
async function watch(children: readonly DevChild[], { told, report }: DevOptions): Promise<void> {
  let ending = false;
  void told.then(() => (ending = true));
  await Promise.all(
    children.map(async ({ name, gone }) => {
      const how = await gone;
      if (!ending) report(`${name} has ended (${how})`);
    }),
  );
}

async function allGone(children: readonly DevChild[]): Promise<void> {
  await Promise.all(children.map(({ gone }) => gone));
}

/** How long members get to end by themselves. */
const endMsMax = 10_000;

async function end(children: readonly DevChild[]): Promise<void> {
  for (const child of children) child.signal("SIGTERM");
  const cut = setTimeout(() => children.forEach((child) => child.signal("SIGKILL")), endMsMax);
  await allGone(children);
  clearTimeout(cut);
}
