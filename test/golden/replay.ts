/** Runs the replayer of the golden transcripts and reads what it says, scenario by scenario. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What stands for etcdctl and etcd in one replay; each is split the way a shell would. */
export interface Replay {
  /** The folder that holds `replay.py` and the transcripts. */
  readonly transcripts: string;
  readonly ctl: string;
  readonly server: string;
  /** A trusted etcdctl for the replayer's own questions. */
  readonly referenceCtl: string;
  readonly scenarios: readonly string[];
  /** Scenarios under way at a time. */
  readonly jobs: number;
  /** First of the ports for clusters: the replayer finds free ones, but two replayers must not look in the same place. */
  readonly portBase: number;
  /** Stretches the transcripts' waits. */
  readonly slow: number;
}

/** How one scenario went. `detail` holds the differences of a failed one. */
export interface Verdict {
  readonly outcome: "passed" | "failed" | "skipped";
  readonly detail: string;
}

/** Resolves to a verdict for every scenario that the replayer spoke of. */
export async function replay(asked: Replay): Promise<Map<string, Verdict>> {
  const work = await mkdtemp(join(tmpdir(), "litecd-golden-"));
  try {
    const { code, lines, problems } = await run([...argumentsOf(asked), "--work", work]);
    const verdicts = readVerdicts(lines);
    // 0: all passed, 1: some failed. Anything else, or no verdict at all, is the replayer's own failure.
    if (code !== 0 && code !== 1) throw new Error(`the replayer ended with ${code}:\n${problems}`);
    if (verdicts.size === 0) throw new Error(`the replayer judged no scenario:\n${lines.join("\n")}\n${problems}`);
    return verdicts;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function argumentsOf({ transcripts, ctl, server, referenceCtl, scenarios, jobs, portBase, slow }: Replay): string[] {
  const options = {
    "--golden": "3.7",
    "--ctl": ctl,
    // etcdutl's commands are a tree of their own in the same program.
    "--utl": `${ctl} utl`,
    "--server-cmd": server,
    "--ref-ctl": referenceCtl,
    "--slow": String(slow),
    "--jobs": String(jobs),
    "--port-base": String(portBase),
    "--only": `^(?:${scenarios.join("|")})$`,
  };
  return [join(transcripts, "replay.py"), ...Object.entries(options).flat()];
}

interface Ended {
  readonly code: number | null;
  readonly lines: readonly string[];
  /** What it wrote to stderr. */
  readonly problems: string;
}

async function run(args: readonly string[]): Promise<Ended> {
  const child = spawn("python3", args, { stdio: ["ignore", "pipe", "pipe"] });
  let problems = "";
  child.stderr.on("data", (chunk: Buffer) => {
    problems += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) lines.push(line);
  return { code: await ended, lines, problems };
}

/** Reads `ok NAME …`, `FAIL NAME` with the indented lines that follow, and `skip NAME …`. */
export function readVerdicts(lines: readonly string[]): Map<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  let failing: string | undefined;
  for (const line of lines) {
    const [, word, name, rest] = /^(ok|FAIL|skip)\s+(\S+)(.*)$/.exec(line) ?? [];
    if (word === undefined || name === undefined) {
      const verdict = failing === undefined ? undefined : verdicts.get(failing);
      if (failing !== undefined && verdict !== undefined && line.startsWith("  ")) {
        verdicts.set(failing, { ...verdict, detail: `${verdict.detail}\n${line}` });
      }
      continue;
    }
    failing = word === "FAIL" ? name : undefined;
    const outcome = word === "ok" ? "passed" : word === "FAIL" ? "failed" : "skipped";
    verdicts.set(name, { outcome, detail: (rest ?? "").trim() });
  }
  return verdicts;
}
