/**
 * What a change of the membership must not break, in etcd's order and with its errors (spec/server.md 6.1, 6.2). Pure: the
 * leader asks while no earlier change is under way, so that a change that passes is valid when it is applied.
 */
import { createHash } from "node:crypto";
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import { majority } from "../raft/quorum.js";
import type { MembershipChange } from "../raft/types.js";
import type { CommandBody, Member } from "../state/types.js";
import type { ReconfigurationRules } from "./options.js";

/** A change as it is asked for. */
export type ChangeRequest =
  | { readonly kind: "add"; readonly peerUrls: readonly string[]; readonly learner: boolean }
  | { readonly kind: "remove"; readonly id: bigint }
  | { readonly kind: "update"; readonly id: bigint; readonly peerUrls: readonly string[] }
  | { readonly kind: "promote"; readonly id: bigint };

/** A change as it goes into the log. */
export interface PreparedChange {
  readonly change: MembershipChange;
  readonly body: CommandBody;
}

export interface ClusterFacts {
  readonly members: readonly Member[];
  readonly isRemoved: (id: bigint) => boolean;
  readonly self: bigint;
  readonly rules: ReconfigurationRules;
  /** Milliseconds for which messages to and from a member have passed; undefined while they do not. */
  readonly connectedForMs: (id: bigint) => number | undefined;
  /** The leader's last index, and how far a member is known to be; undefined if this member does not lead. */
  readonly progress: Progress | undefined;
  /** Unix seconds; goes into the id of a new member. */
  readonly nowSeconds: number;
}

export interface Progress {
  readonly lastIndex: number;
  readonly of: (id: bigint) => PeerProgress | undefined;
}

export interface PeerProgress {
  /** The last entry that it is known to hold. */
  readonly match: number;
  /** Milliseconds since it was last heard. */
  readonly silentMs: number;
}

/** Links must have held so long (spec/server.md 6.2). */
const healthyMs = 5000;
/** What a learner must hold of the log before it may vote (spec/server.md 6.1, raft-storage.md 1.15). */
const promotionMatch = 0.9;
const promotionLagEntriesMax = 1000;
const promotionSilentMsMax = 5000;

/** Throws the WireError that etcd gives if the change may not be made. */
export function prepareChange(request: ChangeRequest, facts: ClusterFacts): PreparedChange {
  switch (request.kind) {
    case "add":
      return add(request, facts);
    case "remove":
      return remove(request.id, facts);
    case "update":
      return update(request, facts);
    case "promote":
      return promote(request.id, facts);
  }
}

/** The checks that need no leader, so that a member without one refuses at once what could not be granted anyway. */
export function checkHealth(request: ChangeRequest, facts: ClusterFacts): void {
  if (!facts.rules.strict) return;
  if (request.kind === "add") checkAdd(request, facts);
  if (request.kind === "remove") checkRemove(request.id, facts);
}

function add(request: Extract<ChangeRequest, { kind: "add" }>, facts: ClusterFacts): PreparedChange {
  checkHealth(request, facts);
  const { peerUrls, learner } = request;
  const id = newMemberId(peerUrls, facts.nowSeconds);
  if (facts.isRemoved(id)) fail(status.MemberNotFound);
  if (facts.members.some((member) => member.id === id)) fail(status.MemberExist);
  refuseUsedUrls(facts.members, peerUrls);
  const learners = facts.members.filter((member) => member.learner).length;
  if (learner && learners + 1 > facts.rules.learnersMax) fail(status.TooManyLearners);
  const value = { id, peerUrls: [...peerUrls], learner };
  return { change: { op: learner ? "addLearner" : "addVoter", member: id }, body: { $case: "memberAdd", value } };
}

function remove(id: bigint, facts: ClusterFacts): PreparedChange {
  checkHealth({ kind: "remove", id }, facts);
  memberWith(facts, id);
  // Whatever the rules: nobody would be left to decide anything.
  if (votersOf(facts).every((voter) => voter.id === id)) fail(status.MemberNotEnoughStarted);
  return { change: { op: "remove", member: id }, body: { $case: "memberRemove", value: { id } } };
}

function update(request: Extract<ChangeRequest, { kind: "update" }>, facts: ClusterFacts): PreparedChange {
  const { id, peerUrls } = request;
  memberWith(facts, id);
  refuseUsedUrls(
    facts.members.filter((member) => member.id !== id),
    peerUrls,
  );
  const value = { id, peerUrls: [...peerUrls] };
  return { change: { op: "update", member: id }, body: { $case: "memberUpdate", value } };
}

function promote(id: bigint, facts: ClusterFacts): PreparedChange {
  const { progress } = facts;
  if (progress === undefined) throw new WireError(status.NotLeader);
  const member = memberWith(facts, id);
  const { match, silentMs } = progressOf(id, facts.self, progress);
  if (match < progress.lastIndex * promotionMatch) fail(status.LearnerNotReady);
  if (!member.learner) fail(status.MemberNotLearner);
  if (progress.lastIndex - match > promotionLagEntriesMax) fail(status.LearnerNotReady);
  if (silentMs > promotionSilentMsMax) fail(status.LearnerNotReady);
  const voters = votersOf(facts);
  // The learner counts as started: it keeps up.
  if (facts.rules.strict && startedCount(voters) + 1 < majority(voters.length + 1)) fail(status.MemberNotEnoughStarted);
  return { change: { op: "promote", member: id }, body: { $case: "memberPromote", value: { id } } };
}

function progressOf(id: bigint, self: bigint, { lastIndex, of }: Progress): PeerProgress {
  if (id === self) return { match: lastIndex, silentMs: 0 };
  return of(id) ?? { match: 0, silentMs: Infinity };
}

function checkAdd({ learner }: Extract<ChangeRequest, { kind: "add" }>, facts: ClusterFacts): void {
  const voters = votersOf(facts);
  const started = startedCount(voters);
  const quorum = majority(voters.length + 1);
  // A lone member may always get its second one, which cannot have started yet.
  const second = voters.length === 1 && started === 1;
  if (!learner && started < quorum && !second) fail(status.MemberNotEnoughStarted);
  if (voters.length >= 2 && connectedCount(voters, facts) < quorum) fail(status.Unhealthy);
}

function checkRemove(id: bigint, facts: ClusterFacts): void {
  if (facts.members.some((member) => member.id === id && member.learner)) return;
  const voters = votersOf(facts);
  const left = voters.filter((voter) => voter.id !== id);
  if (startedCount(left) < majority(left.length)) fail(status.MemberNotEnoughStarted);
  // Who cannot be reached is no part of the quorum that works.
  if (id !== facts.self && facts.connectedForMs(id) === undefined) return;
  const active = connectedCount(voters, facts);
  if (active - 1 < 1 + Math.floor((voters.length - 1) / 2)) fail(status.Unhealthy);
}

function fail(wireStatus: WireStatus): never {
  throw new WireError(wireStatus);
}

function votersOf({ members }: ClusterFacts): readonly Member[] {
  return members.filter(({ learner }) => !learner);
}

/** Members that have made their name known. */
function startedCount(members: readonly Member[]): number {
  return members.filter(({ name }) => name !== "").length;
}

/** Members that this one has been connected to for long enough; itself always. */
function connectedCount(members: readonly Member[], { self, connectedForMs }: ClusterFacts): number {
  return members.filter(({ id }) => id === self || (connectedForMs(id) ?? 0) >= healthyMs).length;
}

function memberWith({ members }: ClusterFacts, id: bigint): Member {
  const member = members.find((candidate) => candidate.id === id);
  if (member === undefined) throw new WireError(status.MemberNotFound);
  return member;
}

function refuseUsedUrls(members: readonly Member[], peerUrls: readonly string[]): void {
  const used = new Set(members.flatMap((member) => member.peerUrls));
  if (peerUrls.some((url) => used.has(url))) fail(status.PeerURLExist);
}

/** SHA-1 of the sorted URLs and the time, first eight bytes (spec/server.md 6.3). */
function newMemberId(peerUrls: readonly string[], nowSeconds: number): bigint {
  const text = `${peerUrls.toSorted().join("")}${nowSeconds}`;
  return createHash("sha1").update(text).digest().readBigUInt64BE(0);
}
