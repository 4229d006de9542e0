/** Random histories: the machine and a naive model must agree on every answer. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WireError } from "../../../proto/status.js";
import type { Applied, Change, RevisionChanges } from "../../../src/server/state/types.js";
import { command, leaseIds, rangeRequest } from "./commands.js";
import { latin1, Model, type ModelOutcome, show, showAnswer, showRange } from "./model.js";
import { failure, World } from "./world.js";

type Step =
  | { readonly kind: "batch"; readonly commands: readonly Parameters<World["apply"]>[0][] }
  | { readonly kind: "read"; readonly request: Parameters<Model["range"]>[0] }
  | { readonly kind: "watch"; readonly from: number; readonly revisionsMax: number }
  | { readonly kind: "compactStep" | "reopen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(command, { minLength: 1, maxLength: 4 }).map((commands): Step => ({ kind: "batch", commands })),
  },
  { weight: 8, arbitrary: rangeRequest.map((request): Step => ({ kind: "read", request })) },
  {
    weight: 2,
    arbitrary: fc
      .record({ from: fc.integer({ min: 1, max: 40 }), revisionsMax: fc.integer({ min: 1, max: 10 }) })
      .map((watch): Step => ({ kind: "watch", ...watch })),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: "compactStep" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "reopen" }) },
);

function showChange(change: Change): string {
  const { kind, kv } = change;
  const what = kind === "put" ? `put ${show(kv)}` : `delete ${latin1(kv.key)} m${kv.modRevision}`;
  const former = change.previous();
  return former === undefined ? what : `${what} <- ${show(former)}`;
}

function outcome(applied: Applied): ModelOutcome {
  const events = applied.changes?.changes.map(showChange) ?? [];
  return { failure: failure(applied), revision: applied.result.revision, events, answer: showAnswer(applied.result) };
}

function watched(found: readonly RevisionChanges[]): [number, string[]][] {
  return found.map(({ revision, changes }) => [revision, changes.map(showChange)]);
}

function readOf(world: World, request: Parameters<Model["range"]>[0]): ReturnType<Model["range"]> {
  try {
    return showRange(world.reader.range(request));
  } catch (error) {
    if (error instanceof WireError) return error.message;
    throw error;
  }
}

function runStep(world: World, model: Model, one: Step): void {
  switch (one.kind) {
    case "batch": {
      // Compared one by one: `previous` of a change depends on what is compacted by then.
      for (const body of one.commands) expect(outcome(world.apply(body))).toEqual(model.apply(body));
      return;
    }
    case "read":
      expect(readOf(world, one.request)).toEqual(model.range(one.request));
      return;
    case "watch": {
      if (one.from < model.compactRevision) {
        expect(() => world.reader.changesSince(one.from, one.revisionsMax)).toThrow("compacted");
        return;
      }
      const expected = [...model.eventsSince(one.from)].slice(0, one.revisionsMax);
      // How far physical compaction has come may show in changes that were overtaken in the compact revision itself.
      world.sweep();
      expect(watched(world.reader.changesSince(one.from, one.revisionsMax))).toEqual(expected);
      return;
    }
    case "compactStep":
      world.state.compactStep();
      return;
    case "reopen":
      world.reopen();
  }
}

function checkWhole(world: World, model: Model): void {
  expect(world.reader.revision()).toBe(model.revision);
  expect(world.reader.compactRevision()).toBe(model.compactRevision);
  expect(new Set(world.reader.leases().map(({ id }) => id))).toEqual(model.leases);
  for (const id of leaseIds) expect(world.reader.leaseKeys(id).map(latin1)).toEqual(model.leaseKeys(id));
}

const runs = Number(process.env["LITECD_TEST_RUNS"] ?? 150);

describe("a random history", () => {
  it("gives the same answers as the model", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const world = new World();
        const model = new Model();
        try {
          for (const one of steps) runStep(world, model, one);
          checkWhole(world, model);
          world.sweep();
          checkWhole(world, model);
        } finally {
          world.close();
        }
      }),
      { numRuns: runs },
    );
  });
});
