/** What the checks say of what they measured (spec/cli.md 8.21). Pure. */
import type { Summary } from "./writers.js";

export interface Verdict {
  readonly lines: readonly string[];
  readonly isPassed: boolean;
}

/** Of the rate that was asked for. */
const throughputMin = 0.9;
const slowestSecondsMax = 0.5;
const stddevSecondsMax = 0.1;

export function perfVerdict(summary: Summary, writesPerSecond: number): Verdict {
  const { perSecond, slowestSeconds, stddevSeconds } = summary;
  const shownRate = Math.trunc(perSecond) + 1;
  const isFast = perSecond / writesPerSecond > throughputMin;
  const isPrompt = slowestSeconds <= slowestSecondsMax;
  const isEven = stddevSeconds <= stddevSecondsMax;
  const isPassed = summary.errors.size === 0 && isFast && isPrompt && isEven;
  const lines = [
    ...errorLines(summary),
    isFast ? `PASS: Throughput is ${shownRate} writes/s` : `FAIL: Throughput too low: ${shownRate} writes/s`,
    `${isPrompt ? "PASS: Slowest request took" : "Slowest request took too long:"} ${seconds(slowestSeconds)}`,
    `${isEven ? "PASS: Stddev is" : "Stddev too high:"} ${seconds(stddevSeconds)}`,
    isPassed ? "PASS" : "FAIL",
  ];
  return { lines, isPassed };
}

/** `usedBytes` is what the process has grown by. */
export function dataVerdict(summary: Summary, usedBytes: number): Verdict {
  if (summary.errors.size > 0) return { lines: errorLines(summary), isPassed: false };
  const used = (usedBytes / (1024 * 1024)).toFixed(2);
  return { lines: [`PASS: Approximate system memory used : ${used} MB.`], isPassed: true };
}

function errorLines({ errors }: Summary): readonly string[] {
  if (errors.size === 0) return [];
  return ["FAIL: too many errors", ...[...errors].map(([text, count]) => `FAIL: ERROR(${text}) -> ${count}`)];
}

function seconds(value: number): string {
  return `${value.toFixed(6)}s`;
}
