/** `check perf`: a minute of puts at a fixed rate (spec/cli.md 8.21). */
import { humanSeconds, ProgressLine } from "../output/progress-line.js";
import type { Session } from "../session.js";
import { interruption } from "../signals.js";
import { writeOut } from "../terminal.js";
import type { CheckValues } from "./flags.js";
import { deleteKeys, putter, reclaim, refuseKeys } from "./keys.js";
import type { PerfLoad } from "./loads.js";
import { Pace, realClock } from "./pace.js";
import { perfVerdict } from "./verdict.js";
import { type Summary, Writers } from "./writers.js";

const size = { keyBytes: 256, valueBytes: 1024 };
const deleteTimeoutMs = 30_000;

/** Prints what was measured; false if that is not enough. An interrupt shortens the minute and nothing else. */
export async function checkPerf(session: Session, load: PerfLoad, flags: CheckValues): Promise<boolean> {
  const { prefix } = flags;
  await refuseKeys(session, prefix, `'etcdctl del --prefix ${prefix}'`);
  const summary = await attack(session, load, prefix);
  const revision = await deleteKeys(session, prefix, deleteTimeoutMs);
  await reclaim(session, revision, flags);
  const { lines, isPassed } = perfVerdict(summary, load.writesPerSecond);
  await writeOut(lines.map((line) => `${line}\n`).join(""));
  return isPassed;
}

async function attack(session: Session, load: PerfLoad, prefix: string): Promise<Summary> {
  const { writesPerSecond: perSecond, clients, durationMs } = load;
  const pace = new Pace({ perSecond, durationMs, backlogMax: clients, clock: realClock, signal: interruption() });
  const write = putter(session, prefix, size);
  const writers = new Writers({ clients, turn: () => pace.turn(), write, clock: realClock });
  const startedMs = realClock.now();
  const text = (): string => {
    const passedMs = realClock.now() - startedMs;
    const rate = Math.round((writers.done * 1_000) / passedMs);
    return `${writers.done} writes, ${rate}/s, ${humanSeconds((durationMs - passedMs) / 1_000)} left`;
  };
  return ProgressLine.during(text, () => writers.run());
}
