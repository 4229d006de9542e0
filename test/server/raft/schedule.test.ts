/** Small clusters under random schedules keep the five properties of Raft, and agree again when the trouble ends. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Outcome, runScenario } from "./schedule.js";

/** Runs per property; a longer hunt by hand sets LITECD_TEST_RAFT_RUNS. */
const numRuns = Number(process.env["LITECD_TEST_RAFT_RUNS"] ?? 150);

const seed = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const steps = fc.integer({ min: 100, max: 5000 });

describe("a cluster under a random schedule", { timeout: 20_000 + numRuns * 500 }, () => {
  it("keeps election safety, log matching, leader completeness, state machine safety and fresh reads, and heals", () => {
    const outcomes: Outcome[] = [];
    fc.assert(
      fc.property(seed, fc.constantFrom(3, 5, 3, 2, 1), fc.nat(1), fc.boolean(), steps, (...drawn) => {
        const [chosen, voters, learners, preVote, count] = drawn;
        const world = runScenario({ seed: chosen, voters, learners, preVote, steps: count, compaction: "safe" });
        world.heal();
        outcomes.push(world.outcome);
      }),
      { numRuns },
    );
    expectWorkWasDone(outcomes);
  });

  it("stays safe when entries that a member needs are compacted away", () => {
    const outcomes: Outcome[] = [];
    fc.assert(
      fc.property(seed, fc.boolean(), steps, (chosen, preVote, count) => {
        const world = runScenario({ seed: chosen, voters: 3, learners: 1, preVote, steps: count, compaction: "any" });
        outcomes.push(world.outcome);
      }),
      { numRuns },
    );
    expectWorkWasDone(outcomes);
  });

  it("does the same again for the same seed", () => {
    const scenario = { seed: 4711, voters: 3, learners: 1, preVote: true, steps: 2000, compaction: "safe" } as const;
    expect(runScenario(scenario).outcome).toEqual(runScenario(scenario).outcome);
  });
});

/** A schedule in which nothing happens would prove nothing. */
function expectWorkWasDone(outcomes: readonly Outcome[]): void {
  const sum = (pick: (outcome: Outcome) => number): number => outcomes.reduce((total, each) => total + pick(each), 0);
  expect(sum(({ commitIndex }) => commitIndex)).toBeGreaterThan(outcomes.length);
  expect(sum(({ elections }) => elections)).toBeGreaterThan(outcomes.length / 2);
  expect(sum(({ crashes }) => crashes)).toBeGreaterThan(outcomes.length / 2);
  expect(sum(({ confirmedReads }) => confirmedReads)).toBeGreaterThan(outcomes.length);
}
