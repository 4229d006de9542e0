/** `check datascale`: how much memory a server needs to hold so many pairs (spec/cli.md 8.21). */
import { withoutLimit } from "../limits.js";
import { humanSeconds, ProgressLine } from "../output/progress-line.js";
import type { Session } from "../session.js";
import { dieOf, interruption } from "../signals.js";
import { writeOut } from "../terminal.js";
import type { CheckValues } from "./flags.js";
import { deleteKeys, putter, reclaim, refuseKeys } from "./keys.js";
import type { DataLoad } from "./loads.js";
import { residentBytes } from "./memory.js";
import { realClock } from "./pace.js";
import { dataVerdict } from "./verdict.js";
import { type Summary, Writers } from "./writers.js";

const size = { keyBytes: 512, valueBytes: 512 };

/** Prints what was measured; false if it could not be, or if writes failed. An interrupt deletes the keys and ends it. */
export async function checkDatascale(session: Session, load: DataLoad, flags: CheckValues): Promise<boolean> {
  const { prefix } = flags;
  await refuseKeys(session, prefix, `etcdctl del --prefix ${prefix}`);
  const endpoint = session.endpoints[0] ?? "";
  const before = await residentBytes(session, endpoint);
  if (before === undefined) return unreadable("before");
  const pairBytes = size.keyBytes + size.valueBytes;
  const work = `${load.pairs} key-value pairs, ${pairBytes} bytes per key-value, ${load.clients} concurrent clients`;
  await writeOut(`Start data scale check for work load [${work}].\n`);
  const stop = interruption();
  const summary = await fill(session, load, { prefix, stop });
  const after = stop.aborted ? undefined : await residentBytes(session, endpoint);
  const revision = await deleteKeys(session, prefix, withoutLimit.timeoutMs);
  if (stop.aborted) dieOf(stop);
  if (after === undefined) return unreadable("after");
  await reclaim(session, revision, flags);
  const { lines, isPassed } = dataVerdict(summary, after - before);
  await writeOut(lines.map((line) => `${line}\n`).join(""));
  return isPassed;
}

async function unreadable(when: "before" | "after"): Promise<false> {
  await writeOut(`FAIL: Could not read process_resident_memory_bytes ${when} the put operations.\n`);
  return false;
}

/** Puts all pairs, or as many as there is time for until `stop`. */
async function fill(
  session: Session,
  { pairs, clients }: DataLoad,
  { prefix, stop }: { prefix: string; stop: AbortSignal },
): Promise<Summary> {
  let begun = 0;
  const turn = (): boolean => !stop.aborted && begun++ < pairs;
  const writers = new Writers({ clients, turn, write: putter(session, prefix, size), clock: realClock });
  const startedMs = realClock.now();
  const text = (): string => {
    const perSecond = (writers.done * 1_000) / (realClock.now() - startedMs);
    const left = perSecond === 0 ? "" : `, ${humanSeconds((pairs - writers.done) / perSecond)} left`;
    return `${writers.done} of ${pairs} pairs, ${Math.round(perSecond)}/s${left}`;
  };
  return ProgressLine.during(text, () => writers.run());
}
