/**
 * What failures cost, litecd and a real etcd side by side: rows for the report. LITECD_BENCH_KILLS and
 * LITECD_BENCH_BLACK_HOLES say how often the leader is lost, LITECD_BENCH_RESTARTS how often each member is restarted,
 * LITECD_BENCH_CATCH_UP_MIB how far a follower is behind, LITECD_BENCH_STEADY_MINUTES how long disks stall; 0 leaves out.
 */
import type { Program } from "../../test/support/member.js";
import { percentile, type Row } from "../report.js";
import { catchUp } from "./catch-up.js";
import { type LeaderLoss, loseLeaders } from "./leader-loss.js";
import { restartAll } from "./rolling-restart.js";
import { keepSteady } from "./steadiness.js";

type Both = readonly [ours: Program, theirs: Program];
type Progress = (line: string) => void;

const size = 3;

export async function failoverRows(programs: Both, progress: Progress): Promise<Row[]> {
  return [
    ...(await lossRows(programs, { how: "kill", times: setting("LITECD_BENCH_KILLS", 100), progress })),
    ...(await lossRows(programs, { how: "blackHole", times: setting("LITECD_BENCH_BLACK_HOLES", 30), progress })),
    ...(await restartRows(programs, progress)),
    ...(await catchUpRows(programs, progress)),
    ...(await steadyRows(programs, progress)),
  ];
}

function setting(name: string, otherwise: number): number {
  return Number(process.env[name] ?? otherwise);
}

async function lossRows(
  [ours, theirs]: Both,
  loss: Pick<LeaderLoss, "how" | "times"> & { readonly progress: Progress },
): Promise<Row[]> {
  if (loss.times === 0) return [];
  const [a, b] = [
    await loseLeaders({ ...loss, program: ours, size }),
    await loseLeaders({ ...loss, program: theirs, size }),
  ];
  const what = loss.how === "kill" ? `leader killed ${loss.times} times` : `leader cut off ${loss.times} times`;
  const quantiles = [50, 90, 99].map(
    (percent): Row => ({
      name: `${what}: first write elsewhere, p${percent}`,
      unit: "ms",
      ours: [percentile(a.outagesMs, percent)],
      theirs: [percentile(b.outagesMs, percent)],
    }),
  );
  const lost = {
    name: `${what}: acknowledged writes lost`,
    unit: "writes",
    ours: [a.lost.length],
    theirs: [b.lost.length],
  };
  const made = {
    name: `${what}: writes acknowledged`,
    unit: "writes",
    ours: [a.acknowledged],
    theirs: [b.acknowledged],
  };
  return [...quantiles, { ...made, unit: "writes" }, { ...lost, unit: "writes" }];
}

async function restartRows([ours, theirs]: Both, progress: Progress): Promise<Row[]> {
  const rounds = setting("LITECD_BENCH_RESTARTS", 10);
  if (rounds === 0) return [];
  const a = await restartAll({ program: ours, size, rounds, progress });
  const b = await restartAll({ program: theirs, size, rounds, progress });
  const gap = (role: string, percent: number, samples: (report: typeof a) => readonly number[]): Row => ({
    name: `restart of the ${role} (SIGTERM): time without a write, p${percent}`,
    unit: "ms",
    ours: [percentile(samples(a), percent)],
    theirs: [percentile(samples(b), percent)],
  });
  return [
    ...[50, 99].map((percent) => gap("leader", percent, ({ leaderGapsMs }) => leaderGapsMs)),
    gap("follower", 99, ({ followerGapsMs }) => followerGapsMs),
    { name: "restarts: failed writes", unit: "writes", ours: [a.failed], theirs: [b.failed] },
    { name: "restarts: acknowledged writes lost", unit: "writes", ours: [a.lost], theirs: [b.lost] },
  ];
}

async function catchUpRows([ours, theirs]: Both, progress: Progress): Promise<Row[]> {
  const mebibytes = setting("LITECD_BENCH_CATCH_UP_MIB", 1024);
  if (mebibytes === 0) return [];
  const a = await catchUp({ program: ours, mebibytes, progress });
  const b = await catchUp({ program: theirs, mebibytes, progress });
  const what = `follower ${mebibytes} MiB behind`;
  return [
    { name: `${what}: caught up after`, unit: "s", ours: [a.seconds], theirs: [b.seconds] },
    { name: `${what}: the leader's put p99 before`, unit: "ms", ours: [a.calmP99Ms], theirs: [b.calmP99Ms] },
    { name: `${what}: the leader's put p99 meanwhile`, unit: "ms", ours: [a.busyP99Ms], theirs: [b.busyP99Ms] },
  ];
}

/** Only ours: a disk is slowed through the C library, which a real etcd does not use. */
async function steadyRows([ours]: Both, progress: Progress): Promise<Row[]> {
  const minutes = setting("LITECD_BENCH_STEADY_MINUTES", 3);
  if (minutes === 0) return [];
  const { elections, failed } = await keepSteady({ program: ours, minutes, progress });
  const what = `full load for ${minutes} min, fsync stalls of 300 ms`;
  return [
    { name: `${what}: elections`, unit: "elections", ours: [elections], theirs: [] },
    { name: `${what}: failed writes`, unit: "writes", ours: [failed], theirs: [] },
  ];
}
