/** Shows that the verdict of a chaos run notices what it is there to notice, and that the plan is the seed's. */
import { describe, expect, it } from "vitest";
import type { WatchedEvent, WatchWish } from "../check/watch-validators.js";
import type { Operation } from "../check/wing-gong-model.js";
import { Dice } from "../crash/plan.js";
import { Chronicle } from "./chronicle.js";
import type { PastRead } from "./clients.js";
import type { HeldLease } from "./lease-holders.js";
import { Plan } from "./plan.js";
import { type Evidence, verify } from "./verify.js";
import type { WatchSession } from "./watchers.js";

const everything: WatchWish = {
  key: "\0",
  rangeEnd: "\0",
  startRevision: 1,
  puts: true,
  deletes: true,
  previousKv: false,
};
const x = "chaos/x";

function put(revision: number, key: string, value: string, more: Partial<WatchedEvent> = {}): WatchedEvent {
  const facts = { createRevision: revision, version: 1, lease: 0n, previous: undefined };
  return { kind: "put", key, revision, value, ...facts, ...more };
}

function gone(revision: number, key: string): WatchedEvent {
  const facts = { createRevision: 0, version: 0, value: "", lease: 0n, previous: undefined };
  return { kind: "delete", key, revision, ...facts };
}

/** A session that heard each of these messages at the time of its first revision, in seconds. */
function session(...messages: WatchedEvent[][]): WatchSession {
  return {
    member: "m1",
    wish: everything,
    createdRevision: 1,
    messages: messages.map((events) => ({ kind: "events", events, atMs: (events[0]?.revision ?? 0) * 1000 })),
  };
}

function write(at: number, value: string, revision?: number): Operation {
  const request = { steps: [{ kind: "put" as const, key: x, value }] };
  if (revision === undefined) return { client: "c", calledAt: at, returnedAt: Infinity, request };
  const response = { revision, succeeded: true, results: [{ kind: "put" as const }] };
  return { client: "c", calledAt: at, returnedAt: at + 1, request, response };
}

const truth = session([put(2, x, "1")], [put(3, x, "2", { createRevision: 2, version: 2 })]);
const operations = [write(0, "1", 2), write(2, "2", 3)];

interface Case extends Partial<Evidence> {
  readonly recorded?: readonly WatchSession[];
  readonly through?: number;
}

function wrongOf({ recorded = [truth], through = 3, ...given }: Case): string[] {
  const chronicle = new Chronicle(recorded, { through, compactRevision: 0 });
  const nothing = { denied: [], pastReads: [], leases: [], stopped: true };
  return verify({ operations, sessions: recorded, ...nothing, ...given }, chronicle);
}

const watchedAs = (...messages: WatchedEvent[][]) => ({ sessions: [session(...messages)] });

describe("the verdict", () => {
  it("finds nothing where nothing is wrong", () => {
    const read: PastRead = {
      member: "m2",
      key: x,
      revision: 2,
      found: { value: "1", createRevision: 2, modRevision: 2, version: 1 },
    };
    expect(wrongOf({ pastReads: [read] })).toEqual([]);
  });

  it("notices a revision that no recorder heard of, and recorders that disagree", () => {
    expect(wrongOf({ through: 4 })).toContainEqual(expect.stringMatching(/no recorder heard of revision 4/));
    expect(wrongOf({ through: 2 })).toContainEqual(expect.stringMatching(/the store is at 2/));
    const other = session([put(2, x, "other")]);
    expect(wrongOf({ recorded: [truth, other] })).toContainEqual(expect.stringMatching(/says that revision 2 is/));
  });

  it("notices a lost and an invented write, a stale read and a version that is not counted right", () => {
    const more = [...operations, write(4, "3", 4)];
    expect(wrongOf({ operations: more })).toContainEqual(expect.stringMatching(/^lost/));
    expect(wrongOf({ operations: operations.slice(0, 1) })).toContainEqual(expect.stringMatching(/^invented/));
    const stale: Operation = {
      client: "d",
      calledAt: 9,
      returnedAt: 10,
      request: { steps: [{ kind: "get", key: x }] },
      response: { revision: 3, succeeded: true, results: [{ kind: "get", found: undefined }] },
    };
    expect(wrongOf({ operations: [...operations, stale] })).toContainEqual(expect.stringMatching(/^violation/));
    const miscounted = session([put(2, x, "1")], [put(3, x, "2", { createRevision: 2, version: 3 })]);
    expect(wrongOf({ recorded: [miscounted] })).toContainEqual(expect.stringMatching(/the history "2 2 3 2 0"/));
  });

  it("notices a write that was said not to have happened", () => {
    const { request } = write(2, "2");
    const unsure = [write(0, "1", 2), write(2, "2")];
    expect(wrongOf({ operations: unsure })).toEqual([]);
    expect(wrongOf({ operations: unsure, denied: [request] })).toContainEqual(expect.stringMatching(/^not so/));
  });

  it("notices a wrong answer about the past", () => {
    const read: PastRead = { member: "m2", key: x, revision: 2, found: undefined };
    expect(wrongOf({ pastReads: [read] })).toContainEqual(expect.stringMatching(/^m2 said that chaos\/x at 2/));
  });

  it("notices a watch that leaves something out, that repeats and that splits a revision", () => {
    const [first = [], second = []] = truth.messages.map((one) => (one.kind === "events" ? [...one.events] : []));
    expect(wrongOf(watchedAs(second))).toContainEqual(expect.stringMatching(/resumable: missing/));
    expect(wrongOf(watchedAs(first, second, second))).toContainEqual(expect.stringMatching(/atomic|unique/));
    expect(wrongOf(watchedAs(second, first))).toContainEqual(expect.stringMatching(/ordered/));
  });
});

/** The keys of lease 7. */
const key = (number: number): string => `lease/7/${number}`;
const both = (revision: number): WatchedEvent[] => [gone(revision, key(0)), gone(revision, key(1))];
/** Revisions of other keys, so that time passes. */
const filler = (...revisions: number[]): WatchedEvent[][] =>
  revisions.map((revision) => [put(revision, `lease/other/${revision}`, "")]);

describe("the verdict on leases", () => {
  const leased = { lease: 7n };
  const held: HeldLease = { id: 7n, ttlSeconds: 3, grantedMs: 1_000, renewals: [], revokedMs: undefined };
  const attached = [put(2, key(0), "a", leased), put(2, key(1), "b", leased)];
  const evidence = (end: WatchedEvent[][], lease: HeldLease): Case => {
    const recorded = [session(attached, ...end)];
    return { recorded, leases: [lease], operations: [], through: end.at(-1)?.[0]?.revision ?? 2 };
  };

  it("finds nothing if it lived as long as it was renewed", () => {
    expect(wrongOf(evidence([...filler(3), both(4)], held))).toEqual([]);
  });

  it("notices one that ended early, after its grant and after its renewal", () => {
    expect(wrongOf(evidence([both(3)], held))).toContainEqual(expect.stringMatching(/^lease: early/));
    const renewed = { ...held, renewals: [{ askedMs: 3_900, ttlSeconds: 3 }] };
    expect(wrongOf(evidence([...filler(3, 4, 5), both(6)], renewed))).toContainEqual(
      expect.stringMatching(/^lease: early/),
    );
    expect(wrongOf(evidence([...filler(3, 4, 5, 6), both(7)], renewed))).toEqual([]);
  });

  it("lets its holder end it", () => {
    expect(wrongOf(evidence([both(3)], { ...held, revokedMs: 2_500 }))).toEqual([]);
  });

  it("notices a renewal of the dead, and keys that do not go together", () => {
    const undead = { ...held, renewals: [{ askedMs: 6_000, ttlSeconds: 3 }] };
    expect(wrongOf(evidence([...filler(3), both(4)], undead))).toContainEqual(expect.stringMatching(/^lease: undead/));
    const apart = [...filler(3), [gone(4, key(0))], [gone(5, key(1))]];
    expect(wrongOf(evidence(apart, held))).toContainEqual(expect.stringMatching(/its keys went at revisions 4 and 5/));
  });
});

const steps = (seed: number, count: number) => {
  const plan = new Plan(new Dice(seed), { size: 5, slowDisk: true });
  return Array.from({ length: count }, () => plan.next());
};

describe("the plan", () => {
  it("is the same for the same seed and differs for another", () => {
    expect(steps(3, 50)).toEqual(steps(3, 50));
    expect(steps(3, 50)).not.toEqual(steps(4, 50));
  });

  it("holds every kind of fault, soon", () => {
    const kinds = new Set(steps(1, 13).flatMap(({ faults }) => faults.map(({ kind }) => kind)));
    expect(kinds.size).toBe(12);
  });
});
