/**
 * `npm run bench`: litecd and a real etcd side by side, under the same load in the same run, alone and in a cluster of
 * three. `npm run bench -- failover` measures what failures cost instead, `npm run bench -- cluster` the cluster alone, and
 * `npm run bench -- sdk` our SDK beside microsoft/etcd3.
 * Needs h2load and LITECD_TEST_ETCD (the folder of a real etcd). LITECD_BENCH_SECONDS, LITECD_BENCH_WARM_UP_SECONDS and
 * LITECD_BENCH_ROUNDS make it shorter or longer.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { etcdIn, litecd, type Program } from "../test/support/member.js";
import { Contestant } from "./contestant.js";
import { failoverRows } from "./failover/rows.js";
import { type Operation, operations } from "./frames.js";
import type { InFlight } from "./h2load.js";
import { type Row, report } from "./report.js";
import { sdkRows } from "./sdk/rows.js";

const seconds = Number(process.env["LITECD_BENCH_SECONDS"] ?? 5);
const rounds = Number(process.env["LITECD_BENCH_ROUNDS"] ?? 3);
const coldStarts = 7;
const clusterSize = 3;
const inFlights: readonly InFlight[] = [
  { connections: 1, streams: 1 },
  { connections: 16, streams: 16 },
];

interface NamedLoad {
  readonly name: string;
  readonly operation: Operation;
  readonly inFlight: InFlight;
  readonly to: "leader" | "all members";
}

const memberLoads: readonly NamedLoad[] = operations.flatMap((operation) =>
  inFlights.map((inFlight) => ({
    name: `${operation.name}, ${inFlight.connections * inFlight.streams} in flight`,
    operation,
    inFlight,
    to: "leader",
  })),
);

/** What a cluster adds to the picture: serializable gets never leave the member that is asked. */
const clusterLoads: readonly NamedLoad[] = [
  ...memberLoads
    .filter(({ operation }) => operation.name !== "serializable get")
    .map((one) => ({ ...one, name: `three members: ${one.name}` })),
  ...operations
    .filter(({ name }) => name === "put")
    .map((operation): NamedLoad => {
      const inFlight = { connections: 5, streams: 17 };
      return { name: "three members: put, 85 in flight at each", operation, inFlight, to: "all members" };
    }),
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
  const [cpu] = cpus();
  const machine = `${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const versions = `Node ${process.versions.node}, etcd ${await etcdVersion()}`;
  const chapter = process.argv[2];
  const theirs = chapter === "sdk" ? "etcd3" : "etcd";
  return report({ date: new Date(), machine, versions, theirs }, await rowsOf(chapter));
}

async function rowsOf(chapter: string | undefined): Promise<Row[]> {
  switch (chapter) {
    case undefined:
      return [...(await memberRows()), ...(await clusterRows())];
    case "cluster":
      return clusterRows();
    case "failover":
      return failoverRows(programs, progress);
    case "sdk":
      return sdkRows(programs[1], progress);
  }
  throw new Error(`there is no chapter ${chapter}: leave it out, or say cluster, failover or sdk`);
}

async function etcdVersion(): Promise<string> {
  const contestant = await Contestant.start(programs[1]);
  try {
    return await contestant.version();
  } finally {
    await contestant.dispose();
  }
}

/** A member alone. */
async function memberRows(): Promise<Row[]> {
  const starts = await startRow();
  const contestants = await Promise.all([Contestant.start(programs[0]), Contestant.start(programs[1])]);
  try {
    const idle = await memoryRow("memory, idle", contestants);
    const loads = await loadRows(contestants, memberLoads);
    return [...loads, starts, idle, await memoryRow("memory, after the load", contestants)];
  } finally {
    for (const contestant of contestants) await contestant.dispose();
  }
}

/** Three members on this machine. One cluster runs at a time: six members would be in each other's way. */
async function clusterRows(): Promise<Row[]> {
  const loads = clusterLoads.map((one) => ({ ...one, ours: [] as number[], theirs: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [side, program] of [
      ["ours", programs[0]],
      ["theirs", programs[1]],
    ] as const) {
      const contestant = await Contestant.startCluster(program, clusterSize);
      try {
        for (const one of loads) one[side].push(await rate(contestant, one));
      } finally {
        await contestant.dispose();
      }
    }
  }
  return loads.map(({ name, ours, theirs }) => ({ name, unit: "calls/s", ours, theirs }));
}

type Pair = readonly [Contestant, Contestant];

/** One side after the other in every round, so that a slow minute of the machine hits both. */
async function loadRows(contestants: Pair, loads: readonly NamedLoad[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const one of loads) {
    const samples = await alternate(contestants, (contestant) => rate(contestant, one));
    rows.push({ name: one.name, unit: "calls/s", ...samples });
  }
  return rows;
}

async function rate(contestant: Contestant, { name, operation, inFlight, to }: NamedLoad): Promise<number> {
  const frameFile = join(scratch, operation.name.replaceAll(" ", "-"));
  await writeFile(frameFile, operation.frame);
  const summary = await contestant.measure({ operation, frameFile, inFlight, seconds, to });
  progress(`${name}: ${contestant.name} ${Math.round(summary.callsPerSecond)} calls/s`);
  return summary.callsPerSecond;
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
