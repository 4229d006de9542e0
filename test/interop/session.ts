/** A command line tool at work against one endpoint. Everything it says is kept, with what differs by nature masked. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Program } from "../support/member.js";

export const litectl: Program = {
  name: "litectl",
  command: process.execPath,
  args: [fileURLToPath(new URL("../../bin/litectl.js", import.meta.url))],
};

/** The real etcdctl in a directory. */
export function etcdctlIn(directory: string): Program {
  return { name: "etcdctl", command: join(directory, "etcdctl"), args: [] };
}

/** One command and what came of it. */
export interface Exchange {
  readonly command: string;
  readonly stdout: string;
  /** The distinct `Error:` lines of stderr, and what says that the server threw the tool out; other lines are only logs. */
  readonly errors: readonly string[];
  readonly exit: number | NodeJS.Signals | null;
}

const waitMsMax = 15_000;

/** Runs a story: each command is an exchange of the transcript. */
export class Session {
  readonly #tool: Program;
  readonly #endpoint: string;
  /** Where relative file names of commands end up. */
  readonly #directory: string;
  readonly #mask = new Mask();
  readonly #background = new Set<Background>();
  readonly transcript: Exchange[] = [];

  constructor(tool: Program, { endpoint, directory }: { endpoint: string; directory: string }) {
    this.#tool = tool;
    this.#endpoint = endpoint;
    this.#directory = directory;
  }

  /** Where the server is, for commands that take it as an argument. */
  get endpoint(): string {
    return this.#endpoint;
  }

  /** Runs a command to its end and returns its stdout as it is, for what later commands need of it. */
  async run(args: readonly string[], stdin = ""): Promise<string> {
    const background = this.#spawn(args);
    background.child.stdin.end(stdin);
    await background.gone;
    this.#record(background);
    return background.stdout;
  }

  /** Starts a command that lasts. {@link end} ends it. */
  start(args: readonly string[]): Background {
    return this.#spawn(args);
  }

  /** Sends a signal, or waits if there is none, until the command is gone; then it is part of the transcript. */
  async end(background: Background, signal?: NodeJS.Signals): Promise<void> {
    if (signal !== undefined) background.child.kill(signal);
    await background.gone;
    this.#record(background);
  }

  /** Kills what a failed story left behind. */
  close(): void {
    for (const { child } of this.#background) child.kill("SIGKILL");
  }

  #spawn(args: readonly string[]): Background {
    const child = spawn(this.#tool.command, [...this.#tool.args, ...args], {
      cwd: this.#directory,
      env: { ...process.env, ETCDCTL_ENDPOINTS: this.#endpoint, TZ: "UTC" },
    });
    const background = new Background(child, args);
    this.#background.add(background);
    void background.gone.then(() => this.#background.delete(background));
    return background;
  }

  #record({ args, child, stdout, stderr }: Background): void {
    const errors = stderr.split("\n").filter((line) => line.startsWith("Error: ") || line.includes("GoAway"));
    const mask = (text: string): string => this.#mask.apply(text.replaceAll(this.#endpoint, "<ENDPOINT>"));
    this.transcript.push({
      command: mask(args.join(" ")),
      stdout: mask(stdout),
      errors: [...new Set(errors.map(mask))],
      exit: child.exitCode ?? child.signalCode,
    });
  }
}

/** A command under way. */
export class Background {
  readonly child: ChildProcessWithoutNullStreams;
  readonly args: readonly string[];
  readonly gone: Promise<unknown>;
  stdout = "";
  stderr = "";

  constructor(child: ChildProcessWithoutNullStreams, args: readonly string[]) {
    this.child = child;
    this.args = args;
    this.gone = once(child, "close");
    child.stdout.on("data", (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    // A tool may end before it has read all of its stdin.
    child.stdin.on("error", () => undefined);
  }

  /** Resolves when stdout holds `text`; rejects when the command is gone without it or takes too long. */
  async says(text: string): Promise<void> {
    const deadline = AbortSignal.timeout(waitMsMax);
    while (!this.stdout.includes(text)) {
      const more = once(this.child.stdout, "data", { signal: deadline }).then(() => true);
      const goesOn = await Promise.race([more, this.gone.then(() => false)]).catch(() => false);
      if (!goesOn && !this.stdout.includes(text)) {
        throw new Error(`${this.args.join(" ")} never said ${JSON.stringify(text)}:\n${this.stdout}\n${this.stderr}`);
      }
    }
  }
}

/**
 * Replaces what two runs cannot share: ids drawn at random, terms, durations. Equal ids get equal names.
 * One lease id in 256 has a leading zero byte, one in 65 536 two: they are as short as that in hex without padding.
 */
class Mask {
  readonly #leases = new Map<string, string>();

  apply(text: string): string {
    return text
      .replace(/"(cluster_id|member_id|raft_term)":\d+/g, '"$1":<$1>')
      .replace(/"(ClusterID|MemberID|RaftTerm)" : \d+/g, '"$1" : <$1>')
      .replace(/took = [\d.]+\wms?|took = [\d.]+\w*s/g, "took = <DURATION>")
      .replace(/(?<=" ?: ?)\d{13,19}\b/g, (id) => this.#leaseName(BigInt(id)))
      .replace(/\b[0-9a-f]{11,16}\b/g, (id) => this.#leaseName(BigInt(`0x${id}`)));
  }

  #leaseName(id: bigint): string {
    const name = this.#leases.get(String(id)) ?? `<LEASE-${this.#leases.size + 1}>`;
    this.#leases.set(String(id), name);
    return name;
  }
}
