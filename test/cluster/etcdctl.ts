/** The real etcdctl against a cluster of ours. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { vi } from "vitest";
import { realEtcdDirectory } from "../support/real-etcd.js";

export interface Said {
  readonly code: number;
  readonly out: string;
  /** The last line of stderr, where etcdctl says what went wrong; log lines of its client stand before it. */
  readonly problem: string;
}

/** Runs etcdctl against some endpoints. Never rejects for a bad exit code. */
export function etcdctl(endpoints: readonly string[], ...args: readonly string[]): Promise<Said> {
  const words = ["--endpoints", endpoints.join(","), ...args];
  const options = { env: { PATH: process.env["PATH"] }, timeout: 30_000 };
  return new Promise((resolve) => {
    execFile(join(realEtcdDirectory ?? "", "etcdctl"), words, options, (error, stdout, stderr) => {
      const problem = stderr.trimEnd().split("\n").at(-1) ?? "";
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, out: stdout, problem });
    });
  });
}

/** Repeats a command until it works: right after a change the cluster is careful (spec/server.md 6.2). Gives what it said. */
export function etcdctlUntilWell(endpoints: readonly string[], ...args: readonly string[]): Promise<string> {
  const attempt = async (): Promise<string> => {
    const { code, out, problem } = await etcdctl(endpoints, ...args);
    if (code !== 0) throw new Error(`etcdctl ${args.join(" ")}: ${problem}`);
    return out;
  };
  return vi.waitFor(attempt, { timeout: 15_000, interval: 300 });
}
