/** `litecd --dev`: a cluster in one command, which leaves nothing behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { onOurCluster } from "../support/cluster-targets.js";
import { freePorts } from "../support/free-ports.js";
import { rawClient } from "../support/raw-client.js";

/** The command as a developer runs it. */
class Dev {
  out = "";
  err = "";
  readonly gone: Promise<number | NodeJS.Signals | null>;
  readonly child: ChildProcess;

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.on("data", (chunk: Buffer) => (this.out += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.err += chunk.toString()));
    this.gone = new Promise((resolve) => this.child.once("close", (code, signal) => resolve(code ?? signal)));
  }

  /** Waits until the cluster is ready. */
  async endpoints(): Promise<string[]> {
    const line = await this.match(/^export ETCDCTL_ENDPOINTS=(.*)$/m);
    return line.split(",").map((url) => new URL(url).host);
  }

  async match(pattern: RegExp): Promise<string> {
    const look = (): string => {
      const found = pattern.exec(this.out)?.[1];
      if (found === undefined) throw new Error(`not yet: ${this.out}${this.err}`);
      return found;
    };
    return vi.waitFor(look, { timeout: 20_000, interval: 20 });
  }

  get pids(): number[] {
    return [...this.out.matchAll(/\(process (\d+)\)/g)].map(([, pid]) => Number(pid));
  }
}

onOurCluster("litecd --dev", ({ program }) => {
  let directory: string;
  const running: Dev[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "litecd-dev-test-"));
  });

  afterEach(async () => {
    for (const { child, gone } of running.splice(0)) {
      child.kill("SIGTERM");
      await gone;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  function dev(...flags: readonly string[]): Dev {
    const started = new Dev(program.command, [...program.args, ...flags]);
    running.push(started);
    return started;
  }

  it("starts three members that serve, and ends without a trace on Ctrl-C", async () => {
    const cluster = dev("--dev", "3");
    const endpoints = await cluster.endpoints();
    expect(endpoints).toHaveLength(3);
    for (const endpoint of endpoints) await write(endpoint, `at-${endpoint}`);
    expect(await count(endpoints[0])).toBe(3);
    const data = await cluster.match(/The data is in (\S+) and goes when this ends/);
    expect(existsSync(data)).toBe(true);
    const { pids } = cluster;
    expect(pids.map(isRunning)).toEqual([true, true, true]);
    cluster.child.kill("SIGINT");
    expect(await cluster.gone).toBe(0);
    expect(pids.map(isRunning)).toEqual([false, false, false]);
    expect([existsSync(data), cluster.err]).toEqual([false, ""]);
  });

  it("keeps the data when told where, on the same ports", async () => {
    const first = dev("--dev", "--data-dir", directory);
    const endpoints = await first.endpoints();
    await write(endpoints[0], "kept");
    first.child.kill("SIGTERM");
    expect(await first.gone).toBe(0);
    const second = dev("--dev", "--data-dir", directory);
    expect(await second.endpoints()).toEqual(endpoints);
    expect(await count(endpoints[0])).toBe(1);
  });

  it("takes the ports it is given, and says when they are taken", async () => {
    const [port = 0] = await freePorts(1);
    expect(await dev("--dev", `--dev-port=${port}`).endpoints()).toEqual([`127.0.0.1:${port}`]);
    const late = dev("--dev", `--dev-port=${port}`);
    expect(await late.gone).toBe(1);
    expect(late.err).toMatch(/EADDRINUSE/);
    expect(late.err).toMatch(/^litecd: m1 did not start: exit code 1$/m);
  });

  it("goes on when a member dies, and ends its members when it dies itself", async () => {
    const cluster = dev("--dev", "3");
    const endpoints = await cluster.endpoints();
    const [first = 0, ...others] = cluster.pids;
    process.kill(first, "SIGKILL");
    await vi.waitFor(() => expect(cluster.err).toContain("m1 has ended (SIGKILL)"));
    await vi.waitFor(() => write(endpoints[1], "after"), { timeout: 10_000 });
    const data = await cluster.match(/The data is in (\S+)/);
    cluster.child.kill("SIGKILL");
    await cluster.gone;
    await vi.waitFor(() => expect(others.map(isRunning)).toEqual([false, false]), { timeout: 10_000 });
    rmSync(data, { recursive: true, force: true });
  });
});

async function write(endpoint: string | undefined, key: string): Promise<void> {
  const client = rawClient(endpoint ?? "");
  try {
    await client.put({ key: Buffer.from(key), value: Buffer.from("v") });
  } finally {
    client.close();
  }
}

async function count(endpoint: string | undefined): Promise<number> {
  const client = rawClient(endpoint ?? "");
  try {
    return Number((await client.range({ key: Buffer.from("\0"), rangeEnd: Buffer.from("\0") })).count);
  } finally {
    client.close();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
