/**
 * Runs the simulator: many seeds, without a violation; the same seed twice, with the same trace; and every mutation until a
 * seed finds it. Each run is a process of its own, so that its traps do not catch the test.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildSimulator } from "./build.js";
import { mutations } from "./mutations.js";

const execute = promisify(execFile);
/** Seeds of one run of the tests; a night's run takes more. */
const seedCount = Number(process.env["LITECD_SIM_SEEDS"] ?? "300");
const processes = 2;

interface Outcome {
  readonly seed: number;
  readonly violation: { readonly check: string; readonly message: string } | undefined;
  readonly traceHash: number;
  readonly counts: { readonly acknowledged: number };
  readonly tallies: Readonly<Record<string, number>>;
}

/** Runs seeds and returns what each came to; a failed check ends the run early, unless it is told to go on. */
async function simulate(bundle: string, args: readonly string[]): Promise<Outcome[]> {
  const options = { maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await execute(process.execPath, [bundle, "--json", ...args], options).catch(
    (error: { code?: unknown; stdout: string; stderr: string }) => {
      // Exit code 1 is how it says that a check failed.
      if (error.code !== 1 || error.stdout === "") throw new Error(error.stderr, { cause: error });
      return error;
    },
  );
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Outcome);
}

describe("the simulator", () => {
  let bundle = "";
  beforeAll(async () => {
    bundle = await buildSimulator(undefined);
  });

  it(`finds nothing wrong in ${seedCount} seeds`, { timeout: 30 * 60_000 }, async () => {
    const each = Math.ceil(seedCount / processes);
    const runs = Array.from(
      { length: processes },
      (_, at) => `${at * each + 1}..${Math.min(seedCount, (at + 1) * each)}`,
    );
    const outcomes = (
      await Promise.all(runs.map((seeds) => simulate(bundle, ["--seeds", seeds, "--minutes", "2"])))
    ).flat();
    const failed = outcomes.find(({ violation }) => violation !== undefined);
    const again = `npm run sim -- --seed ${failed?.seed} --minutes 2`;
    expect(failed?.violation?.message, again).toBeUndefined();
    expect(outcomes).toHaveLength(seedCount);
    // It is worth nothing if nothing has happened.
    const tally = (what: string): number => outcomes.reduce((sum, { tallies }) => sum + (tallies[what] ?? 0), 0);
    const rare = [
      "elections",
      "installs",
      "log compactions",
      "truncations",
      "ruined",
      "remove",
      "promote",
      "addLearner",
      "empty disk refused",
      "cut writes",
      "cut starts",
      "lost names",
      "locked",
      "lock lost while waiting",
      "guarded writes",
    ];
    for (const what of rare) expect(tally(what), what).toBeGreaterThan(0);
    expect(outcomes.reduce((sum, { counts }) => sum + counts.acknowledged, 0)).toBeGreaterThan(100 * seedCount);
  });

  it("repeats a seed exactly", { timeout: 5 * 60_000 }, async () => {
    const outcomes = await Promise.all([1, 2].map(() => simulate(bundle, ["--seeds", "5..8", "--minutes", "1"])));
    const [first, second] = outcomes.map((runs) => runs.map(({ traceHash }) => traceHash));
    expect(first).toHaveLength(4);
    expect(new Set(first)).toHaveProperty("size", 4);
    expect(second).toEqual(first);
  });

  it("does the same on the memory medium as on SQLite, to the hashes of the states", {
    timeout: 5 * 60_000,
  }, async () => {
    // Without snapshots, whose bytes differ and take their time.
    const args = ["--seeds", "4..6", "--minutes", "2", "--only", "crash,split,pause"];
    const outcomes = await Promise.all(
      ["sqlite", "memory"].map((medium) => simulate(bundle, [...args, "--medium", medium])),
    );
    const [onSqlite, inMemory] = outcomes.map((runs) => runs.map(({ traceHash }) => traceHash));
    expect(onSqlite).toHaveLength(3);
    expect(inMemory).toEqual(onSqlite);
    for (const { tallies } of outcomes.flat()) expect(tallies["installs"]).toBeUndefined();
  });
});

describe("the simulator finds a real bug that is put in:", () => {
  it.each(mutations)(
    "$name, within $seeds seeds",
    { timeout: 20 * 60_000 },
    async ({ name, seeds, minutes, finds, only }) => {
      const bundle = await buildSimulator(name);
      const faults = only === undefined ? [] : ["--only", only.join()];
      const outcomes = await simulate(bundle, ["--seeds", `1..${seeds}`, "--minutes", String(minutes), ...faults]);
      const violation = outcomes.at(-1)?.violation;
      expect(finds, violation?.message).toContain(violation?.check);
    },
  );
});
