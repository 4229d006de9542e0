/** The simulator as a program: runs seeds, says what it found, and how to see it again. Exit code 1 if a check failed. */
import { setFlagsFromString } from "node:v8";
import type { FaultKind } from "./cluster/nemesis.js";
import type { Medium } from "./disk/virtual-fs.js";
import { readOptions, type SimOptions } from "./options.js";
import { type RunOptions, type RunResult, runSeed } from "./run.js";

// Most of what runs here runs too seldom to be optimised; compiled at its first call it takes a quarter less time.
setFlagsFromString("--always-sparkplug");
const startedMs = performance.now();
const now = performance.now.bind(performance);
const options = readOptions(process.argv.slice(2));
// A member under faults makes errors by the thousand; whoever traces a run wants to see where they come from.
Error.stackTraceLimit = options.trace ? 30 : 3;
process.exitCode = await main(options);

async function main(settings: SimOptions): Promise<number> {
  const { first, last } = settings.seeds;
  const total = {
    seeds: 0,
    failed: 0,
    simulatedMs: 0,
    calls: 0,
    acknowledged: 0,
    events: 0,
    tallies: new Map<string, number>(),
  };
  for (let seed = first; seed <= last; seed += 1) {
    const result = await runOne(settings, runOptions(settings, seed));
    total.seeds += 1;
    total.simulatedMs += result.simulatedMs;
    total.calls += result.counts.calls;
    total.acknowledged += result.counts.acknowledged;
    total.events += result.events;
    for (const [what, count] of Object.entries(result.tallies))
      total.tallies.set(what, (total.tallies.get(what) ?? 0) + count);
    print(settings, result);
    if (result.violation === undefined) continue;
    total.failed += 1;
    if (settings.shrink) await shrink(settings, result);
    if (!settings.keepGoing) break;
  }
  summary(settings, total);
  return total.failed === 0 ? 0 : 1;
}

function runOptions(settings: SimOptions, seed: number): RunOptions {
  const { minutes, only, opsPerSecond, medium, clientsMax, trace } = settings;
  return {
    seed,
    minutes,
    only,
    opsPerSecond,
    medium: medium === "seeded" ? seededMedium(seed) : medium,
    clientsMax,
    onTrace: trace ? (line) => process.stdout.write(`${line}\n`) : undefined,
  };
}

/** Every third seed runs on SQLite, as production does. */
function seededMedium(seed: number): Medium {
  return seed % 3 === 0 ? "sqlite" : "memory";
}

async function runOne(settings: SimOptions, run: RunOptions): Promise<RunResult> {
  const result = await runSeed(run);
  if (!settings.twice) return result;
  const again = await runSeed(run);
  if (again.traceHash === result.traceHash) return result;
  const message = `two runs differ: ${result.traceHash} and ${again.traceHash}`;
  return { ...result, violation: result.violation ?? { check: "determinism", message } };
}

function print(settings: SimOptions, result: RunResult): void {
  if (settings.json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const { seed, medium, members, counts, entries, faults, traceHash, violation } = result;
  const { calls, acknowledged, lost, failed, events } = counts;
  const facts = `${medium}, ${members} members, ${calls} calls (${acknowledged} writes acknowledged, ${failed} failed, ${lost} lost), ${events} watch events, ${entries} entries`;
  process.stdout.write(
    `seed ${seed}: ${violation === undefined ? "ok" : "FAILED"}, ${facts}, trace ${traceHash.toString(16)} [${faults.join(" ")}]\n`,
  );
  if (violation === undefined) return;
  process.stdout.write(`  ${violation.message}\n  again: ${command(settings, seed, settings.only)}\n`);
}

function command(
  settings: SimOptions,
  seed: number,
  only: readonly FaultKind[] | undefined,
  clients = settings.clientsMax,
): string {
  const parts = [`npm run sim -- --seed ${seed} --minutes ${settings.minutes}`];
  if (settings.opsPerSecond !== 10) parts.push(`--ops ${settings.opsPerSecond}`);
  if (settings.medium !== "seeded") parts.push(`--medium ${settings.medium}`);
  if (only !== undefined) parts.push(`--only ${only.length === 0 ? "none" : only.join(",")}`);
  if (clients !== undefined) parts.push(`--clients ${clients}`);
  if (settings.mutate !== undefined) parts.push(`--mutate ${settings.mutate}`);
  return parts.join(" ");
}

/** Takes away kinds of faults, and then clients, as long as the same check fails. */
async function shrink(settings: SimOptions, { seed, faults, violation }: RunResult): Promise<void> {
  const fails = async (only: readonly FaultKind[], clientsMax: number | undefined): Promise<boolean> => {
    const result = await runSeed({ ...runOptions(settings, seed), only, clientsMax, onTrace: undefined });
    return result.violation?.check === violation?.check;
  };
  let kept = faults;
  for (const kind of faults) {
    const fewer = kept.filter((one) => one !== kind);
    if (await fails(fewer, settings.clientsMax)) kept = fewer;
  }
  let clients = settings.clientsMax;
  for (const fewer of [4, 2, 1]) if (await fails(kept, fewer)) clients = fewer;
  process.stdout.write(`  smaller: ${command(settings, seed, kept, clients)}\n`);
}

interface Total {
  readonly seeds: number;
  readonly failed: number;
  readonly simulatedMs: number;
  readonly calls: number;
  readonly acknowledged: number;
  readonly events: number;
  readonly tallies: ReadonlyMap<string, number>;
}

function summary(settings: SimOptions, total: Total): void {
  const { seeds, failed, simulatedMs, calls, acknowledged, events, tallies } = total;
  if (settings.json) return;
  const realMs = now() - startedMs;
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  const hours = simulatedMs / 3_600_000;
  const perMinute = (ms: number): string => (hours / (ms / 60_000)).toFixed(1);
  const happened = [...tallies].map(([what, count]) => `${what} ${count}`).toSorted();
  process.stdout.write(
    `${happened.join(", ")}\n${seeds} seeds, ${failed} failed; ${hours.toFixed(2)} simulated hours in ${(realMs / 1000).toFixed(1)} s ` +
      `and ${(cpuMs / 1000).toFixed(1)} s of processor: ${perMinute(realMs)} hours a minute, ${perMinute(cpuMs)} a processor minute; ` +
      `${calls} calls, ${acknowledged} writes acknowledged, ${events} events\n`,
  );
}
