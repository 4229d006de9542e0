/** An example as a process, as a user starts it: what it prints is waited for, and it ends by a signal. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const directory = `${root}dist/examples`;
const waitMsMax = 15_000;

/** Removes what the programs were made into. */
export function removePrograms(): void {
  rmSync(directory, { recursive: true, force: true });
}

/** Whoever starts it stops it. */
export class Program {
  readonly lines: string[] = [];
  private readonly process: ChildProcess;
  private readonly exited: Promise<number | NodeJS.Signals | null>;
  private listeners: (() => void)[] = [];

  /** Node runs TypeScript by itself from 22.18 on; here it is made JavaScript first, beside what the package is built to. */
  constructor(name: string, { args = [], endpoint }: { readonly args?: readonly string[]; readonly endpoint: string }) {
    mkdirSync(directory, { recursive: true });
    const source = readFileSync(`${root}examples/${name}.ts`, "utf8");
    const { code } = transformSync(source, { loader: "ts", target: "node20", format: "esm" });
    const file = `${directory}/${name}.mjs`;
    writeFileSync(file, code);
    this.process = spawn(process.execPath, [file, ...args], {
      env: { ...process.env, ETCD_ENDPOINT: endpoint },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stdout?.on("data", (chunk: Buffer) => this.hear(chunk));
    this.process.stderr?.on("data", (chunk: Buffer) => this.hear(chunk));
    this.exited = new Promise((resolve) => this.process.once("close", (status, signal) => resolve(status ?? signal)));
  }

  /** Resolves with the first line from the given one on that matches; rejects with all lines if none comes. */
  async says(pattern: RegExp, from = 0): Promise<string> {
    const deadline = performance.now() + waitMsMax;
    for (;;) {
      const line = this.lines.slice(from).find((one) => pattern.test(one));
      if (line !== undefined) return line;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`nothing like ${String(pattern)} was said:\n${this.lines.join("\n")}`);
      await this.news(leftMs);
    }
  }

  /** Asks it to end; resolves with its exit code. */
  stop(): Promise<number | NodeJS.Signals | null> {
    this.process.kill("SIGTERM");
    return this.exited;
  }

  kill(): Promise<unknown> {
    this.process.kill("SIGKILL");
    return this.exited;
  }

  private hear(chunk: Buffer): void {
    this.lines.push(
      ...chunk
        .toString()
        .split("\n")
        .filter((line) => line !== ""),
    );
    for (const listener of this.listeners.splice(0)) listener();
  }

  private news(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.listeners.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
