/**
 * A program for loop-delay.test.ts: one member under full write load on a disk whose syncs take 20 to 300 ms, while its state is
 * copied and rewritten. Tells how late the event loop was, and how much was written.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { pathToFileURL } from "node:url";
import { PutRequest } from "../../../proto/gen/etcd/rpc.js";
import { type AssembledMember, assembleMember, createCore } from "../../../src/server/assemble.js";
import { snapshotFilesIn } from "../../../src/server/replica/files.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { defaultLimits, noPeers, sameForAll } from "./one-member.js";
import { type Mode, openDurable } from "./threads-world.js";

/** How much later than asked for a timer of the event loop fired. */
export interface Delays {
  readonly puts: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

const writers = 400;
const valueBytes = 256;
const loadMs = 4000;
const stallsMs = [300, 20, 150, 300, 60, 250];
const resolutionMs = 5;

function fail(error: unknown): never {
  throw error;
}

/** Every sync of this process takes as long as the file says that is named after it (test/support/slow-fsync.c). */
function slowDown(turn: number): void {
  writeFileSync(join(process.env["SLOW_FSYNC_DIR"] ?? "", `${process.pid}`), `${stallsMs[turn % stallsMs.length]}`);
}

async function openMember(mode: Mode, dir: string, entries: string): Promise<AssembledMember> {
  const durable = await openDurable({ mode, dir, entries: pathToFileURL(entries), onFatal: fail });
  const { initial, state } = durable;
  const appliedIndex = state.reader.appliedIndex();
  return assembleMember({
    ...sameForAll,
    ...durable,
    core: createCore({ initial, appliedIndex, electionMs: 1000, heartbeatMs: 100, preVote: true, seed: 1 }),
    identity: initial.identity,
    bootCount: initial.bootCount,
    clock: systemClock,
    schedule: (work) => void setImmediate(work),
    peers: noPeers,
    limits: { ...defaultLimits, requestTimeoutMs: 60_000, catchUpEntries: 500, logSlackEntries: 500 },
    dataDir: dir,
    files: snapshotFilesIn(dir, silentLogger),
    onRemoved: () => undefined,
    onFatal: fail,
  });
}

async function run(mode: Mode, dir: string, entries: string): Promise<void> {
  const member = await openMember(mode, dir, entries);
  member.start();
  const value = new Uint8Array(valueBytes);
  const put = (n: number): Promise<unknown> => {
    const request = PutRequest.fromPartial({ key: Buffer.from(`k${n % 5000}`), value });
    return member.replica.propose({ $case: "put", value: request });
  };
  await Promise.all(Array.from({ length: writers }, (_, n) => put(n)));
  let puts = 0;
  const load = { on: true };
  const write = async (): Promise<void> => {
    while (load.on) await put((puts += 1));
  };
  let turn = 0;
  slowDown(turn);
  const slower = setInterval(() => slowDown((turn += 1)), 100);
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  const writes = Array.from({ length: writers }, write);
  await new Promise((resolve) => setTimeout(resolve, loadMs / 2));
  await member.replica.maintenance.exportSnapshot();
  await member.replica.maintenance.defragment();
  await new Promise((resolve) => setTimeout(resolve, loadMs / 2));
  delays.disable();
  load.on = false;
  clearInterval(slower);
  stallsMs.fill(0);
  slowDown(0);
  await Promise.all(writes);
  await member.close();
  const late = (percent: number): number => delays.percentile(percent) / 1e6 - resolutionMs;
  const result: Delays = { puts, p50Ms: late(50), p99Ms: late(99), p999Ms: late(99.9) };
  process.stdout.write(JSON.stringify(result));
}

const [mode = "", dir = "", entries = ""] = process.argv.slice(2);
await run(mode as Mode, dir, entries);
