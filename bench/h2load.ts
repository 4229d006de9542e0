/** Drives h2load, the load generator of nghttp2, and reads its summary. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Operation } from "./frames.js";

/** How many calls are under way at a time: connections times streams on each. */
export interface InFlight {
  readonly connections: number;
  readonly streams: number;
}

export interface Load {
  /** "host:port". */
  readonly endpoint: string;
  readonly operation: Operation;
  /** A file that holds the operation's frame. */
  readonly frameFile: string;
  readonly inFlight: InFlight;
  readonly seconds: number;
}

/** What h2load measured after its warm-up. */
export interface Summary {
  readonly callsPerSecond: number;
  readonly calls: number;
  readonly failures: number;
  /** DATA bytes received; headers and trailers do not count. */
  readonly dataBytes: number;
  readonly meanLatencyUs: number;
}

/** A server on Node compiles its busiest code in its first seconds under load; measured is what comes after. */
const warmUpSeconds = Number(process.env["LITECD_BENCH_WARM_UP_SECONDS"] ?? 5);

/** Runs one load and rejects unless every answer was a whole one. */
export async function load({ endpoint, operation, frameFile, inFlight, seconds }: Load): Promise<Summary> {
  const options = {
    "-D": seconds,
    "--warm-up-time": warmUpSeconds,
    "-c": inFlight.connections,
    "-m": inFlight.streams,
    "-t": 1,
    "-d": frameFile,
  };
  const headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
  const flags = Object.entries(options).flatMap(([flag, value]) => [flag, String(value)]);
  const { stdout } = await promisify(execFile)("h2load", [...flags, ...headers, `http://${endpoint}${operation.path}`]);
  const summary = readSummary(stdout);
  const bytesEach = summary.dataBytes / summary.calls;
  if (summary.calls === 0 || summary.failures > 0 || bytesEach < operation.answerBytesMin) {
    throw new Error(`${operation.name}: not every answer was right (${Math.round(bytesEach)} bytes each):\n${stdout}`);
  }
  return summary;
}

/** Reads the text that h2load prints at its end. */
export function readSummary(text: string): Summary {
  const find = (pattern: RegExp): string => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`h2load did not print ${pattern}:\n${text}`);
    return found;
  };
  const succeeded = Number(find(/^requests: .* (\d+) succeeded/m));
  const failed = Number(find(/^requests: .* (\d+) failed/m));
  const errored = Number(find(/^requests: .* (\d+) errored/m));
  return {
    callsPerSecond: Number(find(/^finished in .*?, ([\d.]+) req\/s/m)),
    calls: succeeded,
    failures: failed + errored,
    dataBytes: Number(find(/^traffic: .*\((\d+)\) data$/m)),
    meanLatencyUs: microseconds(find(/^time for request: +\S+ +\S+ +(\S+)/m)),
  };
}

const unitUs: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1_000_000 };

function microseconds(text: string): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  return Number(value) * (unitUs[unit ?? ""] ?? Number.NaN);
}
