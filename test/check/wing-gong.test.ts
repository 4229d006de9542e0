/** Shows that the linearizability checker takes what is right, in reasonable time, and notices every planted lie. */
import { describe, expect, it } from "vitest";
import { Dice } from "../crash/plan.js";
import { randomHistory } from "./random-history.js";
import { checkLinearizable, checkRevisions } from "./wing-gong.js";
import { settle } from "./wing-gong-history.js";
import type { Operation, Result, Step } from "./wing-gong-model.js";

const state = (value: string, [createRevision, modRevision, version]: [number, number, number]) => ({
  value,
  createRevision,
  modRevision,
  version,
});

interface Told {
  readonly revision: number;
  readonly results?: readonly Result[];
  readonly succeeded?: boolean;
}

/** One call of `client` from `calledAt` to `returnedAt` with one step. */
function call(client: string, [calledAt, returnedAt]: [number, number], one: Step, told: Told): Operation {
  const { revision, results = [{ kind: "put" }], succeeded = true } = told;
  return { client, calledAt, returnedAt, request: { steps: [one] }, response: { revision, succeeded, results } };
}

function lost(client: string, calledAt: number, ...steps: Step[]): Operation {
  return { client, calledAt, returnedAt: Infinity, request: { steps } };
}

const put = (value: string): Step => ({ kind: "put", key: "x", value });
const get: Step = { kind: "get", key: "x" };
const found = (value: string, at: [number, number, number]): Result[] => [{ kind: "get", found: state(value, at) }];
const absent: Result[] = [{ kind: "get", found: undefined }];

const a2 = call("a", [0, 1], put("1"), { revision: 2 });
const a3 = call("a", [2, 3], put("2"), { revision: 3 });

/** Writes if the key is still at revision 2. */
const cas = (client: string, value: string, revision: number): Operation => ({
  client,
  calledAt: 4,
  returnedAt: 6,
  request: { guards: [{ key: "x", modRevision: 2 }], steps: [put(value)] },
  response: { revision, succeeded: true, results: [{ kind: "put" }] },
});

/** A revision in which the key got a value. */
const revisionOf = (revision: number, value: string) => ({
  revision,
  changes: [{ kind: "put" as const, key: "x", value }],
});

describe("the checker accepts", () => {
  it("nothing at all, and reads of nothing", () => {
    expect(checkLinearizable([])).toEqual({ kind: "linearizable" });
    expect(checkLinearizable([call("a", [0, 1], get, { revision: 1, results: absent })]).kind).toBe("linearizable");
  });

  it("a read that runs beside a write, before it and after it", () => {
    const before = call("b", [1.5, 4], get, { revision: 2, results: found("1", [2, 2, 1]) });
    const after = call("b", [1.5, 4], get, { revision: 3, results: found("2", [2, 3, 2]) });
    expect(checkLinearizable([a2, a3, before]).kind).toBe("linearizable");
    expect(checkLinearizable([a2, a3, after]).kind).toBe("linearizable");
  });

  it("a write of unknown outcome that is seen later, and one that never is", () => {
    const unknown = lost("b", 1.5, put("b"));
    const read = call("a", [5, 6], get, { revision: 3, results: found("b", [2, 3, 2]) });
    const old = call("a", [5, 6], get, { revision: 2, results: found("1", [2, 2, 1]) });
    expect(checkLinearizable([a2, unknown, read]).kind).toBe("linearizable");
    expect(checkLinearizable([a2, unknown, old]).kind).toBe("linearizable");
  });

  it("an unknown delete that explains an absence", () => {
    const gone = call("a", [5, 6], get, { revision: 3, results: absent });
    expect(checkLinearizable([a2, lost("b", 2, { kind: "delete", key: "x" }), gone]).kind).toBe("linearizable");
    expect(checkLinearizable([a2, gone]).kind).toBe("violation");
  });

  it("a guard that failed for a good reason", () => {
    const failed: Operation = {
      client: "b",
      calledAt: 4,
      returnedAt: 5,
      request: { guards: [{ key: "x", modRevision: 2 }], steps: [put("b")], otherwise: [get] },
      response: { revision: 3, succeeded: false, results: found("2", [2, 3, 2]) },
    };
    expect(checkLinearizable([a2, a3, failed]).kind).toBe("linearizable");
    expect(checkLinearizable([a2, failed]).kind).toBe("violation");
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("random right histories with txns, lists and unknown outcomes, seed %i", (seed) => {
    const { operations, history } = randomHistory({ seed, operations: 400, keys: 6, clients: 6, unknownPercent: 5 });
    const settled = settle(operations, history);
    expect(settled.wrong).toEqual([]);
    expect(checkLinearizable(settled.operations)).toEqual({ kind: "linearizable" });
  });
});

describe("the checker refuses", () => {
  it("a stale read", () => {
    const stale = call("b", [4, 5], get, { revision: 2, results: found("1", [2, 2, 1]) });
    expect(checkRevisions([a2, a3, stale])).toEqual([expect.stringMatching(/^went back/)]);
    // With a header that lies as well, the value alone must give it away.
    const dressed = call("b", [4, 5], get, { revision: 3, results: found("1", [2, 2, 1]) });
    const verdict = checkLinearizable([a2, a3, dressed]);
    expect(verdict).toMatchObject({
      kind: "violation",
      report: expect.stringContaining("none of these can come next"),
    });
  });

  it("a stale absence and a stale list", () => {
    const missing = call("b", [4, 5], get, { revision: 3, results: absent });
    const list = call(
      "b",
      [4, 5],
      { kind: "list", prefix: "" },
      { revision: 3, results: [{ kind: "list", found: [] }] },
    );
    expect(checkLinearizable([a2, a3, missing]).kind).toBe("violation");
    expect(checkLinearizable([a2, a3, list]).kind).toBe("violation");
  });

  it("a lost update: two compare-and-sets that both held", () => {
    expect(checkLinearizable([a2, cas("b", "b", 3)]).kind).toBe("linearizable");
    expect(checkLinearizable([a2, cas("b", "b", 3), cas("c", "c", 4)]).kind).toBe("violation");
  });

  it("a write that was done twice: the version gives it away, and so does the history", () => {
    const twice = call("b", [4, 5], get, { revision: 4, results: found("2", [2, 4, 3]) });
    expect(checkLinearizable([a2, a3, twice]).kind).toBe("violation");
    const history = [2, 3, 4].map((revision) => revisionOf(revision, revision === 2 ? "1" : "2"));
    expect(settle([a2, a3], history).wrong).toContainEqual(expect.stringMatching(/^repeated/));
  });

  it("two changes at one revision, and a write below what was acknowledged", () => {
    const other = call("b", [0, 1], { kind: "put", key: "y", value: "y" }, { revision: 2 });
    expect(checkLinearizable([a2, other]).kind).toBe("violation");
    const late = call("b", [4, 5], { kind: "put", key: "y", value: "y" }, { revision: 3 });
    expect(checkLinearizable([a2, a3, late]).kind).toBe("violation");
  });

  it("an order of writes that contradicts real time", () => {
    const first = call("a", [0, 1], put("1"), { revision: 3 });
    const second = call("a", [2, 3], put("2"), { revision: 2 });
    expect(checkLinearizable([first, second]).kind).toBe("violation");
  });

  it("an acknowledged write that a settled unknown one must have overwritten", () => {
    const unknown = { ...lost("b", 1.5, put("b")), settledRevision: 4 };
    const read = call("a", [9, 10], get, { revision: 5, results: found("2", [2, 3, 2]) });
    expect(checkLinearizable([a2, a3, unknown, read]).kind).toBe("violation");
  });

  it.each([11, 12, 13, 14, 15, 16, 17, 18])("one lie in a random history, seed %i", (seed) => {
    const { operations, history } = randomHistory({ seed, operations: 400, keys: 4, clients: 6, unknownPercent: 3 });
    const settled = settle(operations, history).operations;
    const lie = withOldAnswer(settled, new Dice(seed));
    expect(checkLinearizable(lie).kind).toBe("violation");
  });
});

/** One get answers what the key held before the last write that surely was over when the get began. */
function withOldAnswer(operations: readonly Operation[], dice: Dice): Operation[] {
  const gets = operations.filter(({ response }) => {
    const [result] = response?.results ?? [];
    return result?.kind === "get" && result.found !== undefined && result.found.version > 1;
  });
  const victim = gets[dice.below(gets.length)];
  return operations.map((operation) => {
    const [result] = operation.response?.results ?? [];
    if (operation !== victim || operation.response === undefined || result?.kind !== "get") return operation;
    if (result.found === undefined) return operation;
    const older = { ...result.found, version: result.found.version - 1 };
    return { ...operation, response: { ...operation.response, results: [{ kind: "get", found: older }] } };
  });
}

describe("holding operations against the history", () => {
  it("settles unknown writes by their values and forgets those that never happened", () => {
    const [seen, unseen] = [lost("b", 1, put("b")), lost("c", 1, put("c"))];
    const settled = settle([a2, seen, unseen], [revisionOf(2, "1"), revisionOf(3, "b")]);
    expect(settled.wrong).toEqual([]);
    expect(settled.operations).toEqual([a2, { ...seen, settledRevision: 3 }]);
  });

  it("gives a delete that nobody owns up to to the unknown delete that was called first", () => {
    const [late, early] = [lost("b", 2, { kind: "delete", key: "x" }), lost("c", 1, { kind: "delete", key: "x" })];
    const gone = { revision: 3, changes: [{ kind: "delete" as const, key: "x" }] };
    const settled = settle([a2, late, early], [revisionOf(2, "1"), gone]);
    expect(settled.wrong).toEqual([]);
    expect(settled.operations).toEqual([a2, { ...early, settledRevision: 3 }]);
  });

  it("notices what was lost, changed and invented", () => {
    expect(settle([a2, a3], [revisionOf(2, "1")]).wrong).toEqual([expect.stringMatching(/^lost/)]);
    expect(settle([a2], [revisionOf(2, "other")]).wrong).toContainEqual(expect.stringMatching(/^changed/));
    expect(settle([a2], [revisionOf(2, "1"), revisionOf(3, "?")]).wrong).toEqual([expect.stringMatching(/^invented/)]);
    const stray = { revision: 3, changes: [{ kind: "delete" as const, key: "x" }] };
    expect(settle([a2], [revisionOf(2, "1"), stray]).wrong).toEqual([expect.stringMatching(/^invented/)]);
    const maybe = lost("b", 1, { kind: "delete", key: "x" });
    expect(settle([a2, maybe], [revisionOf(2, "1"), stray]).wrong).toEqual([]);
  });

  it("leaves keys of others alone", () => {
    const leased = { revision: 3, changes: [{ kind: "delete" as const, key: "lease/x" }] };
    expect(settle([a2], [revisionOf(2, "1"), leased], (key) => key === "x").wrong).toEqual([]);
  });
});

describe("the search", () => {
  it("takes less than a second for 10 000 operations on 10 keys", () => {
    const { operations } = randomHistory({ seed: 5, operations: 10_000, keys: 10, clients: 8, unknownPercent: 0 });
    expect(operations).toHaveLength(10_000);
    const startedMs = performance.now();
    expect(checkLinearizable(operations)).toEqual({ kind: "linearizable" });
    // The bound of the machine that it was written on, several times over.
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  it("takes 3 000 operations on one key with unknown outcomes once the history has settled them", () => {
    const { operations, history } = randomHistory({
      seed: 6,
      operations: 3_000,
      keys: 1,
      clients: 8,
      unknownPercent: 2,
    });
    const settled = settle(operations, history);
    expect(settled.wrong).toEqual([]);
    expect(checkLinearizable(settled.operations)).toEqual({ kind: "linearizable" });
  });

  it("takes a long history on keys that all belong together, half of whose writes were never answered", () => {
    const { operations, history } = randomHistory({
      seed: 8,
      operations: 5_000,
      keys: 6,
      clients: 8,
      unknownPercent: 50,
    });
    const settled = settle(operations, history);
    expect(settled.wrong).toEqual([]);
    expect(checkLinearizable(settled.operations)).toEqual({ kind: "linearizable" });
  });

  it("says so when it gives up", () => {
    const { operations } = randomHistory({ seed: 7, operations: 100, keys: 1, clients: 4, unknownPercent: 0 });
    expect(checkLinearizable(operations, { stepsMax: 10 }).kind).toBe("undecided");
  });
});
