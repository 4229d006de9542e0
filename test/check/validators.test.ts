/** Shows that the watch and lease validators take what is right and name every planted lie. */
import { describe, expect, it } from "vitest";
import { LeaseValidator } from "./lease-validators.js";
import { type HistoricalChange, type WatchedEvent, WatchValidator, type WatchWish } from "./watch-validators.js";

const put = (
  key: string,
  revision: number,
  createRevision = revision,
  previous?: HistoricalChange,
): HistoricalChange => ({
  kind: "put",
  key,
  revision,
  createRevision,
  version: revision - createRevision + 1,
  value: `${key}@${revision}`,
  lease: 0n,
  previous,
});

const a2 = put("a", 2);
const a3 = put("a", 3, 2, a2);
const changes = new Map<number, readonly HistoricalChange[]>([
  [2, [a2]],
  [3, [a3, put("b", 3)]],
  [4, [{ ...put("a", 4), kind: "delete", createRevision: 0, version: 0, value: "", previous: a3 }]],
  [5, [put("c", 5)]],
]);
const history = { revision: 5, compactRevision: -1, changesAt: (revision: number) => changes.get(revision) ?? [] };
const everything: WatchWish = {
  key: "\0",
  rangeEnd: "\0",
  startRevision: 2,
  puts: true,
  deletes: true,
  previousKv: false,
};
const describeChange = ({ value }: HistoricalChange): string => value;
const whole = { fragment: false };

const seen = (change: HistoricalChange | undefined, more: Partial<WatchedEvent> = {}): WatchedEvent => {
  if (change === undefined) throw new Error("no such change");
  return { ...change, previous: undefined, ...more };
};
const at = (revision: number, position = 0): WatchedEvent => seen(changes.get(revision)?.[position]);

/** Feeds messages to a new watcher and returns the problems that it finds. */
function problems(messages: readonly (readonly WatchedEvent[] | number)[], wish: Partial<WatchWish> = {}): string[] {
  const validator = new WatchValidator({ ...everything, ...wish }, 5, history, describeChange);
  for (const message of messages) {
    if (typeof message === "number") validator.progress(message);
    else validator.events(message, whole);
  }
  return validator.findings.map(({ problem }) => problem);
}

describe("a watch", () => {
  it("that tells everything in order passes, and so does one that starts later or resumes", () => {
    expect(problems([[at(2)], [at(3), at(3, 1)], 3, [at(4)], [at(5)], 5])).toEqual([]);
    expect(problems([[at(3), at(3, 1), at(4), at(5)]], { startRevision: 3 })).toEqual([]);
    expect(problems([5], { startRevision: 0 })).toEqual([]);
  });

  it("in fragments passes, and its revision may go on in the next message", () => {
    const validator = new WatchValidator(everything, 5, history, describeChange);
    validator.events([at(2), at(3)], { fragment: true });
    validator.events([at(3, 1), at(4)], whole);
    expect(validator.findings).toEqual([]);
    expect(validator.resumeRevision).toBe(5);
  });

  it.each([
    ["filter", [[at(2)]], { key: "b", rangeEnd: "" }],
    ["filter", [[at(4)]], { startRevision: 4, deletes: false }],
    ["ordered", [[at(3), at(3, 1), at(2)]], {}],
    ["unique", [[at(2), at(2)]], {}],
    ["atomic", [[at(2)], [at(3)], [at(3, 1)]], {}],
    ["reliable", [[at(2)], [at(4)]], {}],
    ["reliable", [[seen(a2, { value: "other" })]], {}],
    ["reliable", [[seen(put("z", 2))]], {}],
    ["resumable", [[at(3), at(3, 1)]], {}],
    ["resumable", [[at(2)]], { startRevision: 3 }],
    ["bookmarkable", [[at(2)], 3, [at(3), at(3, 1)]], {}],
    ["bookmarkable", [[at(2)], [at(3), at(3, 1)], 3, 2], {}],
    ["reliable", [[at(2)], 4], {}],
    ["prevKv", [[seen(a3, { previous: "other" }), at(3, 1)]], { startRevision: 3, previousKv: true }],
    ["isCreate", [[seen(a3, { createRevision: 3 }), at(3, 1)]], { startRevision: 3 }],
  ] as const)("that is not %s is found out", (problem, messages, wish) => {
    expect(problems(messages, wish)).toContain(problem);
  });

  it("that ends too early misses what came before its end", () => {
    const validator = new WatchValidator(everything, 5, history, describeChange);
    validator.events([at(2)], whole);
    validator.quiet(5);
    expect(validator.findings.map(({ problem }) => problem)).toContain("reliable");
  });
});

const lease = (): LeaseValidator => {
  const validator = new LeaseValidator({ rateMax: 1.05, lateMs: 2000 });
  validator.granted(7n, 10, 0);
  return validator;
};
const found = ({ findings }: LeaseValidator): string[] => findings.map(({ problem }) => problem);

describe("a lease", () => {
  it("may end when its time is over by the fastest clock, and whenever it is asked to", () => {
    const expired = lease();
    expired.revoked(7n, "expired", 9600);
    const asked = lease();
    asked.revoked(7n, "asked", 100);
    expect([...found(expired), ...found(asked)]).toEqual([]);
  });

  it("must not end before that, counted from its last renewal", () => {
    const validator = lease();
    validator.renewed(7n, 10, 5000);
    validator.revoked(7n, "expired", 12_000);
    expect(found(validator)).toEqual(["early"]);
  });

  it("must end in a healthy cluster", () => {
    const validator = lease();
    validator.settled(0, 12_000);
    expect(found(validator)).toEqual([]);
    validator.settled(0, 13_000);
    expect(found(validator)).toEqual(["late"]);
  });

  it("must not be renewed once it has ended, or for another time than its own", () => {
    const validator = lease();
    validator.renewed(7n, 9, 1000);
    validator.revoked(7n, "asked", 2000);
    validator.renewed(7n, 0, 3000);
    validator.renewed(7n, 10, 3000);
    expect(found(validator)).toEqual(["ttl", "undead"]);
  });
});
