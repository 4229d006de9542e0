/** Proposals: appended by a leader, forwarded by a follower, refused under pressure (spec 1.7, 1.11). */
import { encodeChange } from "./change.js";
import { nextMembership } from "./configuration.js";
import type { RaftState } from "./state.js";
import type { EntryKind, MembershipChange, Message, RaftEvent, RejectReason } from "./types.js";

const APPLIED_LAG_BYTES_MAX = 32 * 1024 * 1024;

type ProposeForward = Extract<Message, { kind: "proposeForward" }>;
type ProposeChange = Extract<RaftEvent, { kind: "proposeChange" }>;
type ProposeRejected = Extract<Message, { kind: "proposeRejected" }>;

/** Takes a proposal of our own client. What is not refused here may or may not commit; the applied entry tells. */
export function onPropose(state: RaftState, requestId: number, data: Uint8Array): void {
  if (state.role === "leader") {
    const reason = pressure(state, data.length);
    if (reason === undefined) append(state, "command", data);
    else state.outbox.reject(requestId, reason);
  } else if (state.leader === undefined) {
    state.outbox.reject(requestId, "noLeader");
  } else {
    const { id: from, leader: to, term, bootCount: boot } = state;
    state.forwardCount += 1;
    const sequence = state.forwardCount;
    state.outbox.send({ kind: "proposeForward", from, to, term, boot, sequence, requestId, data });
  }
}

/** A membership change, of our own replica, which has made all other checks in this very turn. */
export function onProposeChange(state: RaftState, { requestId, change, data }: ProposeChange): void {
  const reason = changeRefusal(state, change) ?? pressure(state, data.length);
  if (reason === undefined) append(state, "change", encodeChange(change, data));
  else state.outbox.reject(requestId, reason);
}

/**
 * One change at a time (I24). What a new leader found in its log may hold one, and it may know nothing of a majority
 * elsewhere before its own empty entry is committed (Ongaro's note of 2015): it waits until that one is applied.
 */
export function isChangePending(state: RaftState): boolean {
  const { log } = state;
  return log.lastChange > log.applied || (state.role === "leader" && state.noopIndex > log.applied);
}

function changeRefusal(state: RaftState, change: MembershipChange): RejectReason | undefined {
  if (state.role !== "leader") return "noLeader";
  if (state.handingOver) return "transferring";
  if (isChangePending(state)) return "changePending";
  return nextMembership(state.membership, change) === undefined ? "changeInvalid" : undefined;
}

/**
 * A follower's proposal. Sequences of one member rise, so one that does not is a duplicate or came too late, and a refusal
 * is the whole truth. A member that no longer leads says nothing: it cannot know what it appended in an earlier life.
 */
export function onProposeForward(state: RaftState, message: ProposeForward): void {
  if (state.role !== "leader" || !isNew(state, message)) return;
  const { from: to, boot, sequence, requestId, data } = message;
  state.forwarded.set(to, { boot, sequence });
  const reason = pressure(state, data.length);
  if (reason === undefined) append(state, "command", data);
  else state.outbox.send({ kind: "proposeRejected", from: state.id, to, term: state.term, boot, requestId, reason });
}

function isNew(state: RaftState, { from, boot, sequence }: ProposeForward): boolean {
  const newest = state.forwarded.get(from);
  return newest === undefined || boot > newest.boot || (boot === newest.boot && sequence > newest.sequence);
}

export function onProposeRejected(state: RaftState, message: ProposeRejected): void {
  if (message.boot === state.bootCount) state.outbox.reject(message.requestId, message.reason);
}

function append(state: RaftState, kind: EntryKind, data: Uint8Array): void {
  state.log.append({ index: state.log.lastIndex + 1, term: state.term, kind, data });
}

/** Why nothing more may be appended now. With nothing uncommitted, one proposal of any size is let in. */
function pressure(state: RaftState, bytes: number): RejectReason | undefined {
  if (state.handingOver) return "transferring";
  const { log } = state;
  const { limits } = state.config;
  if (log.commit - log.applied > limits.appliedLagEntriesMax) return "tooManyUnapplied";
  const lagBytesMax = limits.appliedLagBytesMax ?? APPLIED_LAG_BYTES_MAX;
  if (log.bytesBetween(log.applied, log.commit) > lagBytesMax) return "tooManyUnapplied";
  const uncommittedBytes = log.bytesBetween(log.commit, log.lastIndex);
  if (uncommittedBytes > 0 && uncommittedBytes + bytes > limits.uncommittedBytesMax) return "tooManyUncommitted";
  return undefined;
}
