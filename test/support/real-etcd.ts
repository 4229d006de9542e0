/** Starts a real etcd of one member on free ports in a temporary directory, for tests that compare with it. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-ports.js";

/** The folder with etcd, etcdctl and etcdutl; undefined if the environment names none. */
export const realEtcdDirectory: string | undefined = process.env["LITECD_TEST_ETCD"] || undefined;

/** Why tests against a real etcd are skipped; undefined if they run. In CI they run, and fail without one. */
export const realEtcdMissing: string | undefined =
  realEtcdDirectory === undefined && process.env["CI"] !== "true"
    ? "no real etcd: set LITECD_TEST_ETCD to a folder with etcd, etcdctl and etcdutl"
    : undefined;

/** What to run in front of the flags. */
export interface ServerProgram {
  readonly command: string;
  readonly args: readonly string[];
}

export interface RealEtcdOptions {
  /** Another server with etcd's flags, instead of etcd itself. */
  readonly program?: ServerProgram;
  /** More flags for etcd, such as `--max-request-bytes=20000000`. */
  readonly flags?: readonly string[];
  /**
   * Serve TLS with a certificate that etcd makes for itself, which `certificateFile` then is, or with these; the client's
   * is for this helper's own look at the server's health.
   */
  readonly tls?: "self-signed" | ServerCertificates;
}

export interface ServerCertificates {
  readonly certFile: string;
  readonly keyFile: string;
  /** Only clients with a certificate of this authority are served. */
  readonly trustedCaFile: string;
  readonly client: { readonly cert: string; readonly key: string };
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RealEtcd extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly dataDir: string;
  /** The certificate of a server with TLS, in PEM. */
  readonly certificateFile: string;
  /** Runs etcdctl against this member. Never rejects for a bad exit code. */
  etcdctl(args: readonly string[], options?: { readonly input?: string }): Promise<CommandResult>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL; the files stay. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and files. */
  restart(): Promise<void>;
}

function realDirectory(): string {
  if (realEtcdDirectory === undefined) throw new Error("LITECD_TEST_ETCD is not set");
  return realEtcdDirectory;
}

interface MemberPlan {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

/** One member, ready to serve when it resolves. The caller stops it. */
export async function startRealEtcd(options: RealEtcdOptions = {}): Promise<RealEtcd> {
  const [member] = await startRealCluster(1, options);
  if (member === undefined) throw new Error("no member was started");
  return member;
}

/** Members `m1` to `m<size>` of one cluster, ready to serve when it resolves. The caller stops each. */
export async function startRealCluster(size: number, options: RealEtcdOptions = {}): Promise<RealEtcd[]> {
  const plans: MemberPlan[] = [];
  for (let number = 1; number <= size; number++) {
    plans.push({ name: `m${number}`, clientPort: await freePort(), peerPort: await freePort() });
  }
  const initialCluster = plans.map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`).join(",");
  return Promise.all(plans.map((plan) => startMember(plan, initialCluster, options)));
}

async function startMember(plan: MemberPlan, initialCluster: string, options: RealEtcdOptions): Promise<RealEtcd> {
  const program = options.program ?? { command: join(realDirectory(), "etcd"), args: [] };
  const dataDir = mkdtempSync(join(tmpdir(), "litecd-real-etcd-"));
  const scheme = options.tls === undefined ? "http" : "https";
  const endpoint = `${scheme}://127.0.0.1:${plan.clientPort}`;
  const peer = `http://127.0.0.1:${plan.peerPort}`;
  const settings = {
    name: plan.name,
    "data-dir": dataDir,
    "unsafe-no-fsync": "true",
    logger: "zap",
    "log-level": "error",
    "listen-client-urls": endpoint,
    "advertise-client-urls": endpoint,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": initialCluster,
  };
  const flags = [...program.args, ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`)];
  flags.push(...tlsFlags(options.tls), ...(options.flags ?? []));
  const client = typeof options.tls === "object" ? options.tls.client : {};
  const start = (): Promise<ChildProcess> => startProcess(program.command, flags, { endpoint, ...client });
  let child = await start();
  const stop = async (): Promise<void> => {
    // etcd holds open streams for 7 s after SIGTERM; its files are about to go, so nothing is owed to them.
    await end(child);
    rmSync(dataDir, { recursive: true, force: true });
  };
  return {
    endpoint,
    dataDir,
    certificateFile: join(dataDir, "fixtures", "client", "cert.pem"),
    etcdctl: (args, { input } = {}) => run(join(realDirectory(), "etcdctl"), ["--endpoints", endpoint, ...args], input),
    stop,
    kill: () => end(child),
    restart: async () => {
      await end(child);
      child = await start();
    },
    [Symbol.asyncDispose]: stop,
  };
}

function tlsFlags(tls: RealEtcdOptions["tls"]): string[] {
  if (tls === undefined) return [];
  if (tls === "self-signed") return ["--auto-tls"];
  const files = [`--cert-file=${tls.certFile}`, `--key-file=${tls.keyFile}`, `--trusted-ca-file=${tls.trustedCaFile}`];
  return [...files, "--client-cert-auth"];
}

/** By SIGKILL; resolves when it is gone. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

/** Where a server is to be asked for its health, and as whom. */
interface HealthCheck {
  readonly endpoint: string;
  readonly cert?: string;
  readonly key?: string;
}

async function startProcess(file: string, flags: readonly string[], check: HealthCheck): Promise<ChildProcess> {
  const child = spawn(file, flags, { stdio: ["ignore", "ignore", "pipe"] });
  const killAtExit = (): void => void child.kill("SIGKILL");
  process.once("exit", killAtExit);
  child.once("exit", () => process.removeListener("exit", killAtExit));
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const deadlineMs = performance.now() + 15_000;
  while (!(await healthy(check))) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      throw new Error(`the server did not start: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

function healthy({ endpoint, ...client }: HealthCheck): Promise<boolean> {
  const get = endpoint.startsWith("https:") ? https.get : http.get;
  return new Promise((resolve) => {
    const request = get(`${endpoint}/health`, { rejectUnauthorized: false, agent: false, ...client }, (reply) => {
      let text = "";
      reply.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      reply.on("end", () => resolve(text.includes('"true"')));
    });
    request.on("error", () => resolve(false));
  });
}

function run(file: string, args: readonly string[], input = ""): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = execFile(file, args, { env: { PATH: process.env["PATH"] } }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
