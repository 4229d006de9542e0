/** What `check` puts on a cluster, by the size of the installation that it stands for (spec/cli.md 8.21). */
import { badFeature } from "../exit-code.js";

/** Puts at a fixed rate. */
export interface PerfLoad {
  readonly writesPerSecond: number;
  /** Puts under way at a time. */
  readonly clients: number;
  readonly durationMs: number;
}

/** A fixed number of pairs, as fast as they are taken. */
export interface DataLoad {
  readonly pairs: number;
  readonly clients: number;
}

type Size = "s" | "m" | "l" | "xl";

const sizes: ReadonlyMap<string, Size> = new Map([
  ["s", "s"],
  ["small", "s"],
  ["m", "m"],
  ["medium", "m"],
  ["l", "l"],
  ["large", "l"],
  ["xl", "xl"],
  ["xLarge", "xl"],
]);

const minuteMs = 60_000;

const perfLoads: Readonly<Record<Size, PerfLoad>> = {
  s: { writesPerSecond: 150, clients: 50, durationMs: minuteMs },
  m: { writesPerSecond: 1_000, clients: 200, durationMs: minuteMs },
  l: { writesPerSecond: 8_000, clients: 500, durationMs: minuteMs },
  xl: { writesPerSecond: 15_000, clients: 1_000, durationMs: minuteMs },
};

const dataLoads: Readonly<Record<Size, DataLoad>> = {
  s: { pairs: 10_000, clients: 50 },
  m: { pairs: 100_000, clients: 200 },
  l: { pairs: 1_000_000, clients: 500 },
  xl: { pairs: 3_000_000, clients: 1_000 },
};

/** The load that `--load` names. Throws Failure (4). */
export function perfLoad(name: string): PerfLoad {
  return perfLoads[sizeOf(name)];
}

/** The load that `--load` names. Throws Failure (4). */
export function dataLoad(name: string): DataLoad {
  return dataLoads[sizeOf(name)];
}

function sizeOf(name: string): Size {
  const size = sizes.get(name);
  if (size === undefined) throw badFeature(`unknown load option ${name}`);
  return size;
}
