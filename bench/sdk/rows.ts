/**
 * Our SDK and microsoft/etcd3, by turns on the same real etcd: rows for the report. LITECD_BENCH_SECONDS,
 * LITECD_BENCH_WARM_UP_SECONDS and LITECD_BENCH_ROUNDS make it shorter or longer.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createClient, op } from "../../src/client/index.js";
import { Member, type Program } from "../../test/support/member.js";
import type { Row } from "../report.js";
import { type DriverName, driverNames, historyValue } from "./drivers.js";
import type { Load, Sample } from "./load.js";

const seconds = Number(process.env["LITECD_BENCH_SECONDS"] ?? 5);
const warmUpSeconds = Number(process.env["LITECD_BENCH_WARM_UP_SECONDS"] ?? 2);
const rounds = Number(process.env["LITECD_BENCH_ROUNDS"] ?? 3);
const child = fileURLToPath(new URL("load.js", import.meta.url));

/** The length of the history that one watcher reads, and that a hundred read. */
const history = { long: { prefix: "long/", events: 300_000 }, short: { prefix: "short/", events: 3_000 } };

const eventsPerRevision = 15;
const writers = 64;

type Task = Load extends infer L ? (L extends Load ? Omit<L, "client" | "endpoint"> : never) : never;

interface Chapter {
  readonly name: string;
  readonly task: Task;
  readonly measure: keyof Sample;
}

const inFlights = [1, 64, 256];

const chapters: readonly Chapter[] = [
  ...(["put", "get"] as const).flatMap((kind) =>
    inFlights.map((inFlight): Chapter => {
      const name = `${kind === "put" ? "put" : "linearizable get"}, ${inFlight} in flight`;
      return { name, task: { kind, inFlight, seconds, warmUpSeconds }, measure: "perSecond" };
    }),
  ),
  {
    name: "watch: one watcher reads 300 000 events",
    task: { kind: "watch", watchers: 1, ...history.long },
    measure: "perSecond",
  },
  {
    name: "watch: 100 watchers read 3 000 events each",
    task: { kind: "watch", watchers: 100, ...history.short },
    measure: "perSecond",
  },
  { name: "memory after one put", task: { kind: "idle", watchers: 0 }, measure: "residentMebibytes" },
  { name: "memory with 1 000 watchers", task: { kind: "idle", watchers: 1_000 }, measure: "residentMebibytes" },
  {
    name: "memory after puts, 256 in flight",
    task: { kind: "put", inFlight: 256, seconds, warmUpSeconds },
    measure: "residentMebibytes",
  },
];

export async function sdkRows(etcd: Program, progress: (line: string) => void): Promise<Row[]> {
  await using member = await Member.create(etcd);
  await member.start();
  await fill(member.endpoint);
  const rows: Row[] = [];
  for (const { name, task, measure } of chapters) {
    const samples: Record<DriverName, number[]> = { litecd: [], etcd3: [] };
    for (let round = 0; round < rounds; round++) {
      for (const client of driverNames) {
        const sample = await inChild({ ...task, client, endpoint: member.endpoint });
        samples[client].push(sample[measure]);
        progress(`${name}: ${client} ${Math.round(sample[measure])}`);
      }
    }
    const unit = measure === "residentMebibytes" ? "MiB" : task.kind === "watch" ? "events/s" : "calls/s";
    rows.push({ name, unit, ours: samples.litecd, theirs: samples.etcd3 });
  }
  return rows;
}

/**
 * Writes the histories that watchers will read. etcd sends a watcher that catches up at most a thousand revisions every
 * 100 ms, so there are many events in each, for the clients to be the limit. They are small: a message over 2 MiB takes etcd
 * long to cut into the fragments that our SDK asks for, and one over 4 MiB never arrives at etcd3, which does not ask.
 */
async function fill(endpoint: string): Promise<void> {
  await using client = createClient({ endpoints: endpoint });
  for (const { prefix, events } of Object.values(history)) {
    const puts = Array.from({ length: eventsPerRevision }, (_, index) => op.put(`${prefix}${index}`, historyValue));
    const write = (): Promise<unknown> => client.txn({ then: puts });
    for (let left = events / eventsPerRevision; left > 0; left -= writers) {
      await Promise.all(Array.from({ length: Math.min(left, writers) }, write));
    }
  }
}

async function inChild(load: Load): Promise<Sample> {
  const { stdout } = await promisify(execFile)(process.execPath, [child, JSON.stringify(load)], { timeout: 60_000 });
  return JSON.parse(stdout) as Sample;
}
