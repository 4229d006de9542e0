/**
 * One member as a process of its own, ours or a real etcd, that a test starts, kills and starts again on the same
 * data directory and ports. Whoever starts it ends it; if the test process dies first, the member dies with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "./free-ports.js";

/** What to run in front of the flags. */
export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** Our server, as the package's `bin` names it. Needs `dist`. */
export const litecd: Program = {
  name: "litecd",
  command: process.execPath,
  args: [fileURLToPath(new URL("../../bin/litecd.js", import.meta.url))],
};

/** The real etcd in a directory. */
export function etcdIn(directory: string): Program {
  return { name: "etcd", command: join(directory, "etcd"), args: [] };
}

const readyLine = "ready to serve client requests";
const readyMsMax = 20_000;
const logBytesMax = 64 * 1024;

/** Where a member lives and what it is told. */
export interface Home {
  readonly name: string;
  /** Holds the data directory, and is removed with the member. */
  readonly directory: string;
  readonly clientPort: number;
  /** Of the client's URL; `https` needs flags with certificates. */
  readonly scheme?: "http" | "https";
  readonly listenPeerUrl: string;
  /** What the other members are told; the same as `listenPeerUrl` unless something stands in between. */
  readonly peerUrl: string;
  /** More flags in etcd's spelling, the initial cluster among them. */
  readonly flags: readonly string[];
}

/** A member's home: a temporary directory and two ports that stay the same over restarts. */
export class Member {
  readonly program: Program;
  readonly name: string;
  readonly directory: string;
  /** "host:port" of gRPC and HTTP. */
  readonly endpoint: string;
  /** What the other members are told. */
  readonly peerUrl: string;
  readonly #flags: readonly string[];
  #running: Running | undefined;

  constructor(program: Program, home: Home) {
    const { name, directory, clientPort, scheme = "http", listenPeerUrl, peerUrl, flags } = home;
    const client = `${scheme}://127.0.0.1:${clientPort}`;
    this.program = program;
    this.name = name;
    this.directory = directory;
    this.endpoint = `127.0.0.1:${clientPort}`;
    this.peerUrl = peerUrl;
    this.#flags = [
      `--name=${name}`,
      `--data-dir=${join(directory, "data")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${listenPeerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      ...flags,
    ];
  }

  /** A new home for `program` as a cluster of one; nothing runs yet. `extra` are flags in etcd's spelling. */
  static async create(
    program: Program,
    extra: readonly string[] = [],
    scheme: "http" | "https" = "http",
  ): Promise<Member> {
    const directory = await mkdtemp(join(tmpdir(), `litecd-${program.name}-`));
    const [clientPort = 0, peerPort] = await freePorts(2);
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const flags = [`--initial-cluster=m1=${peerUrl}`, ...extra];
    return new Member(program, { name: "m1", directory, clientPort, scheme, listenPeerUrl: peerUrl, peerUrl, flags });
  }

  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** The last lines that the running (or last) process wrote to stderr. */
  get log(): string {
    return this.#running?.log ?? "";
  }

  /** Where it keeps its data. */
  get dataDir(): string {
    return join(this.directory, "data");
  }

  /** Starts the process and resolves when it says that it serves, with the milliseconds that took. */
  async start(extra: readonly string[] = []): Promise<number> {
    const startedMs = performance.now();
    this.launch(extra);
    await this.ready();
    return performance.now() - startedMs;
  }

  /** Starts the process and does not wait. `extra` are flags for this one run; of two equal flags the last one counts. */
  launch(extra: readonly string[] = []): void {
    if (this.#running?.exited === false) throw new Error("the member is already running");
    this.#running = run(this.program, [...this.#flags, ...extra]);
  }

  /** Resolves when the process says that it serves. Rejects if it ends instead, or takes too long. */
  async ready(): Promise<void> {
    if (this.#running === undefined) throw new Error("the member does not run");
    await readiness(this.#running);
  }

  /** Resolves when the process is gone, by itself or not, with its exit code or the signal that ended it. */
  async gone(): Promise<number | NodeJS.Signals | null> {
    const running = this.#running;
    if (running === undefined) return null;
    await running.gone;
    return running.child.exitCode ?? running.child.signalCode;
  }

  /** Sends a signal (SIGSTOP, SIGCONT) and does not wait for anything. */
  signal(signal: NodeJS.Signals): void {
    this.#running?.child.kill(signal);
  }

  /** Sends a signal and resolves when the process is gone, with its exit code or the signal that ended it. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    if (this.#running?.exited === false) this.signal(signal);
    return this.gone();
  }

  /** Kills what runs and removes the directory. */
  async dispose(): Promise<void> {
    await this.end("SIGKILL");
    await rm(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly gone: Promise<void>;
  exited: boolean;
  log: string;
}

function run(program: Program, flags: readonly string[]): Running {
  const child = spawn(program.command, [...program.args, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  const killWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const running: Running = { child, gone, exited: false, log: "" };
  void gone.then(() => {
    running.exited = true;
    process.off("exit", killWithUs);
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    running.log = (running.log + chunk.toString()).slice(-logBytesMax);
  });
  return running;
}

function readiness(running: Running): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (problem?: string): void => {
      clearTimeout(timer);
      running.child.stderr?.off("data", look);
      if (problem === undefined) resolve();
      else reject(new Error(`the member ${problem}; its log:\n${running.log}`));
    };
    const look = (): void => {
      if (running.log.includes(readyLine)) settle();
    };
    const timer = setTimeout(() => settle(`was not ready within ${readyMsMax} ms`), readyMsMax);
    running.child.stderr?.on("data", look);
    look();
    running.child.once("error", (error) => settle(`could not be started (${error.message})`));
    void running.gone.then(() => settle(`ended with ${running.child.exitCode ?? running.child.signalCode}`));
  });
}
