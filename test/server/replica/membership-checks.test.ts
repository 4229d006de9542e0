/** The checks of membership changes against etcd's rules, as a table: who is started, connected, known and used. */
import { describe, expect, it } from "vitest";
import { status, type WireStatus } from "../../../proto/status.js";
import { type ChangeRequest, type ClusterFacts, prepareChange } from "../../../src/server/replica/membership-checks.js";
import type { Member } from "../../../src/server/state/types.js";

interface Shape {
  readonly voters: number;
  /** Voters that never started, and those that cannot be reached; counted from the last one. */
  readonly unstarted?: number;
  readonly down?: number;
  readonly learners?: number;
  readonly connectedMs?: number;
  readonly strict?: boolean;
}

function facts({
  voters,
  unstarted = 0,
  down = 0,
  learners = 0,
  connectedMs = 5000,
  strict = true,
}: Shape): ClusterFacts {
  const member = (id: number, learner: boolean): Member => ({
    id: BigInt(id),
    name: !learner && id > voters - unstarted ? "" : `n${id}`,
    peerUrls: [`http://n${id}:2380`],
    clientUrls: [],
    learner,
  });
  const voting = Array.from({ length: voters }, (_, n) => member(n + 1, false));
  const learning = Array.from({ length: learners }, (_, n) => member(voters + n + 1, true));
  return {
    members: [...voting, ...learning],
    isRemoved: () => false,
    self: 1n,
    rules: { strict, learnersMax: 1 },
    connectedForMs: (id) => (id > BigInt(voters - down) && id <= BigInt(voters) ? undefined : connectedMs),
    progress: { lastIndex: 1000, of: () => ({ match: 1000, silentMs: 0 }) },
    nowSeconds: 1_700_000_000,
  };
}

const voter: Extract<ChangeRequest, { kind: "add" }> = { kind: "add", peerUrls: ["http://new:2380"], learner: false };
const learner: ChangeRequest = { ...voter, learner: true };
const remove = (id: bigint): ChangeRequest => ({ kind: "remove", id });
const promote = (id: bigint): ChangeRequest => ({ kind: "promote", id });

const refused: readonly (readonly [string, ChangeRequest, Shape, WireStatus])[] = [
  ["a voter beside one of two that never started", voter, { voters: 2, unstarted: 1 }, status.MemberNotEnoughStarted],
  ["a voter with a link of less than five seconds", voter, { voters: 3, connectedMs: 4999 }, status.Unhealthy],
  ["a voter while one of three is down", voter, { voters: 3, down: 1 }, status.Unhealthy],
  ["a learner while one of three is down", learner, { voters: 3, down: 1 }, status.Unhealthy],
  ["a second learner", learner, { voters: 3, learners: 1 }, status.TooManyLearners],
  ["removing a connected voter while another one is down", remove(2n), { voters: 3, down: 1 }, status.Unhealthy],
  [
    "removing a started voter while one never started",
    remove(1n),
    { voters: 2, unstarted: 1 },
    status.MemberNotEnoughStarted,
  ],
  ["removing the only voter", remove(1n), { voters: 1, learners: 1 }, status.MemberNotEnoughStarted],
  [
    "removing the only voter without strictness",
    remove(1n),
    { voters: 1, strict: false },
    status.MemberNotEnoughStarted,
  ],
  ["removing a stranger", remove(99n), { voters: 3 }, status.MemberNotFound],
  ["promoting a stranger", promote(99n), { voters: 3 }, status.MemberNotFound],
  ["promoting a voter", promote(2n), { voters: 3 }, status.MemberNotLearner],
  [
    "promoting beside voters that never started",
    promote(4n),
    { voters: 3, unstarted: 2, learners: 1 },
    status.MemberNotEnoughStarted,
  ],
];

const allowed: readonly (readonly [string, ChangeRequest, Shape])[] = [
  ["the second voter of a lone member", voter, { voters: 1 }],
  ["a voter while one of five is down", voter, { voters: 5, down: 1 }],
  ["a voter without strictness, whatever is down", voter, { voters: 3, down: 2, strict: false }],
  ["removing a voter that is down", remove(3n), { voters: 3, down: 1 }],
  ["removing one of two voters that are up", remove(2n), { voters: 2 }],
  ["removing a learner, whatever is down", remove(4n), { voters: 3, down: 2, learners: 1 }],
  ["promoting a learner that keeps up", promote(4n), { voters: 3, learners: 1 }],
];

function idOf(peerUrls: readonly string[], nowSeconds: number): bigint {
  return prepareChange({ ...voter, peerUrls }, { ...facts({ voters: 1 }), nowSeconds }).change.member;
}

describe("a membership change", () => {
  it.each(refused)("is refused: %s", (_what, request, shape, expected) => {
    expect(() => prepareChange(request, facts(shape))).toThrow(expect.objectContaining(expected));
  });

  it.each(allowed)("is allowed: %s", (_what, request, shape) => {
    expect(prepareChange(request, facts(shape)).body.value).toBeDefined();
  });

  it.each([
    ["below nine tenths of the log", { match: 899, silentMs: 0 }, 1000],
    ["more than a thousand entries behind", { match: 98_999, silentMs: 0 }, 100_000],
    ["silent for more than five seconds", { match: 1000, silentMs: 5001 }, 1000],
  ])("does not promote a learner that is %s", (_what, progress, lastIndex) => {
    const cluster = { ...facts({ voters: 3, learners: 1 }), progress: { lastIndex, of: () => progress } };
    expect(() => prepareChange(promote(4n), cluster)).toThrow(expect.objectContaining(status.LearnerNotReady));
  });

  it("promotes a learner that is just near enough", () => {
    const progress = { lastIndex: 1000, of: () => ({ match: 900, silentMs: 5000 }) };
    const cluster = { ...facts({ voters: 3, learners: 1 }), progress };
    expect(prepareChange(promote(4n), cluster).change).toEqual({ op: "promote", member: 4n });
  });

  it("is not made by a member that does not lead", () => {
    const follower = { ...facts({ voters: 3, learners: 1 }), progress: undefined };
    expect(() => prepareChange(promote(4n), follower)).toThrow(expect.objectContaining(status.NotLeader));
  });

  it("gives a new member an id from its sorted URLs and the second", () => {
    const urls = ["http://b:1", "http://a:1"];
    expect(idOf(urls, 1)).toBe(idOf(urls.toReversed(), 1));
    expect(idOf(urls, 1)).not.toBe(idOf(urls, 2));
  });

  it("never brings an id back that was removed", () => {
    const cluster = { ...facts({ voters: 1 }), isRemoved: () => true };
    expect(() => prepareChange(voter, cluster)).toThrow(expect.objectContaining(status.MemberNotFound));
  });
});
