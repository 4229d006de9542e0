/** The simulator's command line. */
import { parseArgs } from "node:util";
import { type FaultKind, faultKinds } from "./cluster/nemesis.js";
import type { Medium } from "./disk/virtual-fs.js";

export interface SimOptions {
  readonly seeds: { readonly first: number; readonly last: number };
  readonly minutes: number;
  readonly opsPerSecond: number;
  /** `seeded`: the seed decides. */
  readonly medium: Medium | "seeded";
  readonly only: readonly FaultKind[] | undefined;
  readonly clientsMax: number | undefined;
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly mutate: string | undefined;
  /** Go on after a failure. */
  readonly keepGoing: boolean;
  /** Run every seed twice and compare the traces. */
  readonly twice: boolean;
  /** One JSON line a seed instead of text. */
  readonly json: boolean;
}

/** Throws with a text for the user. */
export function readOptions(args: readonly string[]): SimOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      minutes: { type: "string", default: "5" },
      ops: { type: "string", default: "10" },
      medium: { type: "string", default: "seeded" },
      only: { type: "string" },
      clients: { type: "string" },
      trace: { type: "boolean", default: false },
      shrink: { type: "boolean", default: false },
      mutate: { type: "string" },
      "keep-going": { type: "boolean", default: false },
      twice: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  return {
    seeds: seedsOf(values.seed, values.seeds),
    minutes: Number(values.minutes),
    opsPerSecond: Number(values.ops),
    medium: mediumOf(values.medium),
    only: values.only === undefined ? undefined : faultsOf(values.only),
    clientsMax: values.clients === undefined ? undefined : Number(values.clients),
    trace: values.trace,
    shrink: values.shrink,
    mutate: values.mutate,
    keepGoing: values["keep-going"],
    twice: values.twice,
    json: values.json,
  };
}

function seedsOf(seed: string | undefined, seeds: string | undefined): SimOptions["seeds"] {
  if (seed !== undefined) return { first: Number(seed), last: Number(seed) };
  const [first = "1", last = "10"] = (seeds ?? "1..10").split("..");
  return { first: Number(first), last: Number(last) };
}

function mediumOf(name: string): SimOptions["medium"] {
  if (name === "sqlite" || name === "memory" || name === "seeded") return name;
  throw new Error(`no medium ${name}; there are sqlite, memory and seeded`);
}

function faultsOf(list: string): readonly FaultKind[] {
  return list
    .split(",")
    .filter((name) => name !== "" && name !== "none")
    .map((name) => {
      const kind = faultKinds.find((one) => one === name);
      if (kind === undefined) throw new Error(`no fault ${name}; there are ${faultKinds.join(", ")}`);
      return kind;
    });
}
