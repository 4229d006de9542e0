/**
 * `npm run bench`: litecd and a real etcd side by side, under the same load in the same run. Needs h2load and
 * LITECD_TEST_ETCD (the folder of a real etcd). LITECD_BENCH_SECONDS and LITECD_BENCH_ROUNDS make it shorter or longer.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { etcdIn, litecd, type Program } from "../test/support/member.js";
import { Contestant } from "./contestant.js";
import { operations } from "./frames.js";
import type { InFlight } from "./h2load.js";
import { type Row, report } from "./report.js";

const seconds = Number(process.env["LITECD_BENCH_SECONDS"] ?? 5);
const rounds = Number(process.env["LITECD_BENCH_ROUNDS"] ?? 3);
const coldStarts = 7;
const inFlights: readonly InFlight[] = [
  { connections: 1, streams: 1 },
  { connections: 16, streams: 16 },
];

const etcdDirectory = process.env["LITECD_TEST_ETCD"];
if (etcdDirectory === undefined) throw new Error("LITECD_TEST_ETCD must name the directory of a real etcd");
const programs: readonly [Program, Program] = [litecd, etcdIn(etcdDirectory)];

const scratch = await mkdtemp(join(tmpdir(), "litecd-bench-"));
try {
  console.log(await bench());
} finally {
  await rm(scratch, { recursive: true, force: true });
}

async function bench(): Promise<string> {
  const starts = await startRow();
  const contestants = await Promise.all([Contestant.start(programs[0]), Contestant.start(programs[1])]);
  try {
    const idle = await memoryRow("memory, idle", contestants);
    const loads = await loadRows(contestants);
    const loaded = await memoryRow("memory, after the load", contestants);
    const [cpu] = cpus();
    const circumstances = {
      date: new Date(),
      machine: `${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
      versions: `Node ${process.versions.node}, etcd ${await contestants[1].version()}`,
    };
    return report(circumstances, [...loads, starts, idle, loaded]);
  } finally {
    for (const contestant of contestants) await contestant.dispose();
  }
}

type Pair = readonly [Contestant, Contestant];

/** One side after the other in every round, so that a slow minute of the machine hits both. */
async function loadRows(contestants: Pair): Promise<Row[]> {
  const rows: Row[] = [];
  for (const operation of operations) {
    const frameFile = join(scratch, operation.name.replaceAll(" ", "-"));
    await writeFile(frameFile, operation.frame);
    for (const inFlight of inFlights) {
      const name = `${operation.name}, ${inFlight.connections * inFlight.streams} in flight`;
      const samples = await alternate(contestants, async (contestant) => {
        const summary = await contestant.measure({ operation, frameFile, inFlight, seconds });
        progress(`${name}: ${contestant.name} ${Math.round(summary.callsPerSecond)} calls/s`);
        return summary.callsPerSecond;
      });
      rows.push({ name, unit: "calls/s", ...samples });
    }
  }
  return rows;
}

async function alternate(
  [ours, theirs]: Pair,
  measure: (contestant: Contestant) => Promise<number>,
): Promise<{ ours: number[]; theirs: number[] }> {
  const samples = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    samples.ours.push(await measure(ours));
    samples.theirs.push(await measure(theirs));
  }
  return samples;
}

async function startRow(): Promise<Row> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let run = 0; run < coldStarts; run++) {
    ours.push(await Contestant.coldStartMs(programs[0]));
    theirs.push(await Contestant.coldStartMs(programs[1]));
  }
  progress(`cold starts: litecd ${ours.map(Math.round).join(" ")} ms, etcd ${theirs.map(Math.round).join(" ")} ms`);
  return { name: "cold start to ready", unit: "ms", ours, theirs };
}

async function memoryRow(name: string, [ours, theirs]: Pair): Promise<Row> {
  return { name, unit: "MiB", ours: [await ours.residentMebibytes()], theirs: [await theirs.residentMebibytes()] };
}

/** What happens while it happens; the report alone goes to stdout. */
function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
