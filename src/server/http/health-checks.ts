/** Is this member well? The questions of /health, /livez and /readyz and their answers. Source: spec/server.md 12.2. */

import type { Metrics } from "../runtime/metrics.js";

/** What the questions need to know of the member. */
export interface HttpHealth {
  /** Types of the active alarms of any member, one for each alarm. */
  alarms(): readonly string[];
  hasLeader(): boolean;
  isLearner(): boolean;
  /** Resolves when the member can serve a linearizable read. Rejects with the error that a client would see. */
  linearizableRead(signal: AbortSignal): Promise<void>;
  /** Resolves when the member can read its own state. */
  serializableRead(): Promise<void>;
}

/** Undefined when all is well, else why not. */
export type Verdict = string | undefined;

export interface HealthQuestion {
  readonly consistency: "linearizable" | "serializable";
  /** Alarms that do not count. */
  readonly excludedAlarms: readonly string[];
  readonly signal: AbortSignal;
}

/** /health: alarms, then the leader, then a read; the first that fails is the reason. */
export async function healthVerdict(health: HttpHealth, question: HealthQuestion): Promise<Verdict> {
  const alarm = health.alarms().find((type) => !question.excludedAlarms.includes(type));
  if (alarm !== undefined) return `ALARM ${knownAlarms.has(alarm) ? alarm : "UNKNOWN"}`;
  const serializable = question.consistency === "serializable";
  if (!serializable && !health.hasLeader()) return "RAFT NO LEADER";
  const failure = await failureOf(() =>
    serializable ? health.serializableRead() : health.linearizableRead(question.signal),
  );
  return failure === undefined ? undefined : `RANGE ERROR:${failure}`;
}

const knownAlarms: ReadonlySet<string> = new Set(["NOSPACE", "CORRUPT"]);

/** One check of /livez or /readyz. */
export interface Check {
  readonly name: string;
  run(health: HttpHealth, signal: AbortSignal): Promise<Verdict>;
}

const serializableRead: Check = {
  name: "serializable_read",
  run: (health) => failureOf(() => health.serializableRead()),
};

const linearizableRead: Check = {
  name: "linearizable_read",
  run: (health, signal) => failureOf(() => health.linearizableRead(signal)),
};

const dataCorruption: Check = {
  name: "data_corruption",
  run: async (health) => (health.alarms().includes("CORRUPT") ? "alarm activated: CORRUPT" : undefined),
};

const nonLearner: Check = {
  name: "non_learner",
  run: async (health) => (health.isLearner() ? "the member is a learner" : undefined),
};

/** /livez: restart me if this fails. /readyz: send me no traffic while this fails. */
export const checksOf = {
  livez: [serializableRead],
  readyz: [dataCorruption, serializableRead, linearizableRead, nonLearner],
} as const satisfies Readonly<Record<string, readonly Check[]>>;

export type CheckKind = keyof typeof checksOf;

export interface CheckResult {
  readonly name: string;
  readonly verdict: Verdict;
}

export interface CheckRun {
  readonly kind: CheckKind;
  readonly checks: readonly Check[];
  readonly signal: AbortSignal;
}

/** Runs checks one after the other and counts how they went. */
export async function runChecks(health: HttpHealth, run: CheckRun, metrics: Metrics): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of run.checks) {
    const verdict = await check.run(health, run.signal);
    const failed = verdict !== undefined;
    const { name } = check;
    const labels = { type: run.kind, name };
    metrics.serverHealthcheck.labels(labels).set(failed ? 0 : 1);
    metrics.serverHealthchecks.labels({ ...labels, status: failed ? "error" : "success" }).inc();
    results.push({ name, verdict });
  }
  return results;
}

async function failureOf(work: () => Promise<void>): Promise<Verdict> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
