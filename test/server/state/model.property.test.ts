/** Random histories: the machine and a naive model must agree on every answer. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WireError } from "../../../proto/status.js";
import type { MembershipChange } from "../../../src/server/raft/types.js";
import type { Applied, Change, CommandBody, RevisionChanges } from "../../../src/server/state/types.js";
import { checkpoint, command, leaseIds, rangeRequest } from "./commands.js";
import { latin1, Model, type ModelOutcome, show, showAnswer, showRange } from "./model.js";
import { failure, memberId, World } from "./world.js";

type Step =
  | { readonly kind: "batch"; readonly commands: readonly Parameters<World["apply"]>[0][] }
  | { readonly kind: "read"; readonly request: Parameters<Model["range"]>[0]; readonly back: number }
  | { readonly kind: "watch"; readonly back: number; readonly revisionsMax: number }
  | { readonly kind: "compact"; readonly back: number }
  | { readonly kind: "checkpoint"; readonly body: Parameters<World["apply"]>[0] }
  | { readonly kind: "member"; readonly op: MembershipChange["op"]; readonly pick: number }
  | { readonly kind: "compactStep" | "reopen" };

/** How far before the newest revision; reaches into the future and, often enough, before the compact revision. */
const back = fc.integer({ min: -1, max: 7 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(command, { minLength: 1, maxLength: 4 }).map((commands): Step => ({ kind: "batch", commands })),
  },
  { weight: 8, arbitrary: fc.record({ request: rangeRequest, back }).map((read): Step => ({ kind: "read", ...read })) },
  { weight: 1, arbitrary: back.map((revisions): Step => ({ kind: "compact", back: revisions })) },
  {
    weight: 2,
    arbitrary: fc
      .record({ back, revisionsMax: fc.integer({ min: 1, max: 10 }) })
      .map((watch): Step => ({ kind: "watch", ...watch })),
  },
  { weight: 1, arbitrary: checkpoint.map((body): Step => ({ kind: "checkpoint", body })) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        op: fc.constantFrom<MembershipChange["op"]>("addVoter", "addLearner", "promote", "remove", "update"),
        pick: fc.nat({ max: 9 }),
      })
      .map((member): Step => ({ kind: "member", ...member })),
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

/** A change that the leader would let pass, aimed at one of the members or at a new id; undefined if there is none. */
function memberChange(
  model: Model,
  { op, pick }: Step & { kind: "member" },
): [MembershipChange, CommandBody] | undefined {
  const learners = [...model.members].filter(([, role]) => role === "learner").map(([id]) => id);
  const known = op === "promote" ? learners : [...model.members.keys()];
  const adds = op === "addVoter" || op === "addLearner";
  const id = adds ? BigInt(100 + model.members.size + model.removed.size) : known[pick % known.length];
  if (id === undefined) return undefined;
  const value = { id, peerUrls: [`http://m${pick}:2380`], learner: op === "addLearner" };
  const bodies: Record<MembershipChange["op"], CommandBody> = {
    addVoter: { $case: "memberAdd", value },
    addLearner: { $case: "memberAdd", value },
    promote: { $case: "memberPromote", value },
    remove: { $case: "memberRemove", value },
    update: { $case: "memberUpdate", value },
  };
  return [{ op, member: id }, bodies[op]];
}

function runStep(world: World, model: Model, one: Step): void {
  switch (one.kind) {
    case "batch": {
      // Compared one by one: `previous` of a change depends on what is compacted by then.
      for (const body of one.commands) expect(outcome(world.apply(body))).toEqual(model.apply(body));
      return;
    }
    case "read":
      for (const request of [one.request, { ...one.request, revision: BigInt(model.revision - one.back) }]) {
        expect(readOf(world, request)).toEqual(model.range(request));
      }
      return;
    case "compact": {
      const body = {
        $case: "compact" as const,
        value: { revision: BigInt(model.revision - one.back), physical: false },
      };
      expect(outcome(world.apply(body))).toEqual(model.apply(body));
      return;
    }
    case "watch": {
      const from = Math.max(model.revision - one.back, 1);
      if (from < model.compactRevision) {
        expect(() => world.reader.changesSince(from, one.revisionsMax)).toThrow("compacted");
        return;
      }
      const expected = [...model.eventsSince(from)].slice(0, one.revisionsMax);
      // How far physical compaction has come may show in changes that were overtaken in the compact revision itself.
      world.sweep();
      expect(watched(world.reader.changesSince(from, one.revisionsMax))).toEqual(expected);
      return;
    }
    case "checkpoint":
      expect(outcome(world.apply(one.body))).toEqual(model.apply(one.body));
      return;
    case "member": {
      const found = memberChange(model, one);
      if (found === undefined) return;
      const [change, body] = found;
      const applied = world.change(change.op, change.member, body);
      expect(outcome(applied)).toEqual(model.apply(body));
      expect(applied.membership).toEqual(change);
      return;
    }
    case "compactStep":
      world.state.compactStep(2);
      return;
    case "reopen":
      world.reopen();
  }
}

function checkWhole(world: World, model: Model): void {
  expect(world.reader.revision()).toBe(model.revision);
  expect(world.reader.compactRevision()).toBe(model.compactRevision);
  const leases = world.reader.leases().map(({ id, remainingSeconds }) => [id, remainingSeconds] as const);
  expect(new Map(leases)).toEqual(model.leases);
  const roles = world.reader.members().map(({ id, learner }) => [id, learner ? "learner" : "voter"] as const);
  expect(new Map(roles)).toEqual(model.members);
  for (const id of model.removed) expect(world.reader.isRemoved(id)).toBe(true);
  for (const id of model.members.keys()) expect(world.reader.isRemoved(id)).toBe(false);
  for (const id of leaseIds) expect(world.reader.leaseKeys(id).map(latin1)).toEqual(model.leaseKeys(id));
}

const runs = Number(process.env["LITECD_TEST_RUNS"] ?? 150);

describe("a random history", () => {
  it("gives the same answers as the model", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 80, size: "max" }), (steps) => {
        const world = new World();
        const model = new Model();
        model.members.set(memberId, "voter");
        try {
          for (const one of steps) runStep(world, model, one);
          checkWhole(world, model);
          world.sweep();
          checkWhole(world, model);
          const [changes, keys] = world.rows(
            "SELECT (SELECT count(*) FROM rev), (SELECT count(*) FROM cur)",
          )[0] as number[];
          expect({ changes, keys }).toEqual(model.rowsLeft());
        } finally {
          world.close();
        }
      }),
      { numRuns: runs },
    );
  });
});
