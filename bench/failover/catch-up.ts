/** A follower sleeps while the cluster writes a lot; then it has to catch up by a snapshot while the leader keeps serving. */
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "../../test/support/cluster.js";
import { settled, statusOf } from "../../test/support/leader.js";
import type { Member, Program } from "../../test/support/member.js";
import { rawClient } from "../../test/support/raw-client.js";
import { percentile } from "../report.js";
import { acknowledged, Writers } from "./writers.js";

export interface CatchUp {
  readonly program: Program;
  readonly mebibytes: number;
  readonly progress?: (line: string) => void;
}

export interface CatchUpReport {
  /** From the start of the follower's process until it has applied what the leader had when it was started. */
  readonly seconds: number;
  /** Latency of writes at the leader, 99th percentile, with one follower asleep and with one catching up. */
  readonly calmP99Ms: number;
  readonly busyP99Ms: number;
}

const filling = { valueBytes: 32 * 1024, inFlight: 16 };
/** So few entries are kept for the slow that the follower needs a snapshot. */
const flags = ["--snapshot-count=2000", "--quota-backend-bytes=8589934592"];
const loadAtLeader = 4;
const calmAcks = 3_000;
const catchUpMsMax = 300_000;

export async function catchUp({ program, mebibytes, progress }: CatchUp): Promise<CatchUpReport> {
  await using cluster = await Cluster.start({ program, size: 3, flags });
  const leader = await settled(cluster);
  const sleeper = cluster.members.find((member) => member !== leader);
  if (sleeper === undefined) throw new Error("a cluster of three without a follower");
  await sleeper.end("SIGKILL");
  await fill(leader, mebibytes);
  progress?.(`${program.name}: ${mebibytes} MiB written while ${sleeper.name} slept`);
  const writers = new Writers("leader", leader.endpoint, loadAtLeader);
  await acknowledged([writers], calmAcks);
  const startedMs = performance.now();
  const goal = (await statusOf(leader))?.raftAppliedIndex ?? 0n;
  sleeper.launch();
  await reached(sleeper, goal);
  const caughtUpMs = performance.now();
  await sleeper.ready();
  await writers.stop();
  const latencies = (fromMs: number, toMs: number): number[] =>
    writers.acks
      .filter(({ ackedMs }) => ackedMs >= fromMs && ackedMs < toMs)
      .map(({ ackedMs, calledMs }) => ackedMs - calledMs);
  return {
    seconds: (caughtUpMs - startedMs) / 1000,
    calmP99Ms: percentile(latencies(0, startedMs), 99),
    busyP99Ms: percentile(latencies(startedMs, caughtUpMs), 99),
  };
}

/** Writes so much, every key once. */
async function fill({ endpoint }: Member, mebibytes: number): Promise<void> {
  const client = rawClient(endpoint);
  const count = Math.ceil((mebibytes * 2 ** 20) / filling.valueBytes);
  const value = Buffer.alloc(filling.valueBytes, "v");
  let next = 0;
  const write = async (): Promise<void> => {
    while (next < count) await client.put({ key: Buffer.from(`fill/${next++}`), value }, { timeoutMs: 30_000 });
  };
  try {
    await Promise.all(Array.from({ length: filling.inFlight }, write));
  } finally {
    client.close();
  }
}

async function reached(member: Member, applied: bigint): Promise<void> {
  const deadlineMs = performance.now() + catchUpMsMax;
  while (((await statusOf(member))?.raftAppliedIndex ?? 0n) < applied) {
    if (performance.now() > deadlineMs) throw new Error(`${member.name} did not catch up in ${catchUpMsMax} ms`);
    await delay(20);
  }
}
