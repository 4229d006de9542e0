/** Full load while the members' disks stall again and again: nobody may take that for a dead leader. */
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "../../test/support/cluster.js";
import { settled, statusOf } from "../../test/support/leader.js";
import type { Program } from "../../test/support/member.js";
import { SlowDisk } from "../../test/support/slow-disk.js";
import { Writers } from "./writers.js";

export interface Steadiness {
  /** Only a program whose disk {@link SlowDisk} can slow. */
  readonly program: Program;
  readonly minutes: number;
  readonly progress?: (line: string) => void;
}

export interface SteadinessReport {
  /** Terms that came after the first one of the load. */
  readonly elections: number;
  readonly acknowledged: number;
  readonly failed: number;
}

const stallMs = 300;
/** Each member's disk stalls for a while and is quick for a while, out of step with the others. */
const turnMs = 700;
const writersEach = 32;

export async function keepSteady({ program, minutes, progress }: Steadiness): Promise<SteadinessReport> {
  const disk = await SlowDisk.create();
  try {
    await using cluster = await Cluster.start({ program: disk.wrap(program), size: 3 });
    const leader = await settled(cluster);
    const term = async (): Promise<bigint> => {
      const terms = await Promise.all(cluster.members.map(async (member) => (await statusOf(member))?.raftTerm ?? 0n));
      return terms.reduce((a, b) => (a > b ? a : b));
    };
    const before = await term();
    const writers = cluster.members.map(({ name, endpoint }) => new Writers(`s-${name}`, endpoint, writersEach));
    const untilMs = performance.now() + minutes * 60_000;
    for (let turn = 0; performance.now() < untilMs; turn++) {
      for (const [position, { pid = 0 }] of cluster.members.entries()) {
        await disk.delay(pid, (turn + position) % 3 === 0 ? 0 : stallMs);
      }
      await delay(turnMs);
    }
    for (const { pid = 0 } of cluster.members) await disk.delay(pid, 0);
    await Promise.all(writers.map((writer) => writer.stop()));
    const elections = Number((await term()) - before);
    const sum = (count: (writer: Writers) => number): number => writers.reduce((total, one) => total + count(one), 0);
    const report = { elections, acknowledged: sum(({ acks }) => acks.length), failed: sum(({ failed }) => failed) };
    progress?.(`${program.name}: ${elections} elections in ${minutes} minutes, leader at first ${leader.name}`);
    return report;
  } finally {
    await disk.dispose();
  }
}
