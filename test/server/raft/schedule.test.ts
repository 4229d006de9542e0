/** Small clusters under random schedules keep the properties of Raft, and agree again when the trouble ends. */
import { describe, expect, it } from "vitest";
import { Prng } from "../../../src/server/raft/prng.js";
import { type Outcome, runScenario, type Scenario } from "./schedule.js";

/**
 * Schedules per test, from a first seed. A longer hunt by hand sets LITECD_TEST_RAFT_RUNS and LITECD_TEST_RAFT_SEED; a
 * failure says how to see it again.
 */
const runs = Number(process.env["LITECD_TEST_RAFT_RUNS"] ?? 150);
const firstSeed = Number(process.env["LITECD_TEST_RAFT_SEED"] ?? 1);

/** What else the seed decides, apart from what happens. */
function scenario(seed: number, churn: boolean): Scenario {
  const prng = new Prng(seed);
  const voters = [3, 5, 3, 2, 1, 4][prng.below(6)] ?? 3;
  const steps = 100 + prng.below(15_000);
  return { seed, voters, learners: prng.below(2), preVote: prng.below(4) > 0, steps, churn };
}

function run(churn: boolean): Outcome[] {
  return Array.from({ length: runs }, (_none, offset) => {
    const chosen = scenario(firstSeed + offset, churn);
    try {
      const world = runScenario(chosen);
      world.heal();
      return world.outcome;
    } catch (cause) {
      const command = `LITECD_TEST_RAFT_SEED=${chosen.seed} LITECD_TEST_RAFT_RUNS=1 npx vitest run schedule.test -t "${name(churn)}"`;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`seed ${chosen.seed}: ${message}\nagain: ${command}`, { cause });
    }
  });
}

function name(churn: boolean): string {
  return churn ? "while its members change" : "with fixed members";
}

describe("a cluster under a random schedule stays right, and heals", { timeout: 20_000 + runs * 500 }, () => {
  it(name(false), () => {
    const outcomes = run(false);
    expectWorkWasDone(outcomes);
    expect(sum(outcomes, ({ changes, exits }) => changes + exits)).toBe(0);
  });

  it(name(true), () => {
    const outcomes = run(true);
    expectWorkWasDone(outcomes);
    expectMore(outcomes, ({ changes }) => changes);
  });

  it("and does the same again for the same seed", () => {
    const chosen = { ...scenario(4711, true), steps: 2000 };
    expect(runScenario(chosen).outcome).toEqual(runScenario(chosen).outcome);
  });
});

/** A schedule in which nothing happens would prove nothing. */
function expectWorkWasDone(outcomes: readonly Outcome[]): void {
  for (const pick of ["commitIndex", "elections", "confirmedReads", "crashes", "installs", "transfers"] as const) {
    expectMore(outcomes, (outcome) => outcome[pick]);
  }
}

/** More than one for every two schedules; a single one, run again, proves only itself. */
function expectMore(outcomes: readonly Outcome[], pick: (outcome: Outcome) => number): void {
  if (outcomes.length > 1) expect(sum(outcomes, pick)).toBeGreaterThan(outcomes.length / 2);
}

function sum(outcomes: readonly Outcome[], pick: (outcome: Outcome) => number): number {
  return outcomes.reduce((total, each) => total + pick(each), 0);
}
