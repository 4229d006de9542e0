/** The follower's side of replication: appends and heartbeats of the leader. Thesis 3.5. */
import { invariant } from "../invariant.js";
import { commitTo } from "./commit.js";
import { becomeFollower } from "./roles.js";
import type { RaftState } from "./state.js";
import type { MemberId, Message } from "./types.js";

/** About what an entry takes in memory beside its data. */
const ENTRY_OVERHEAD_BYTES = 256;

type AppendRequest = Extract<Message, { kind: "append" }>;
type Heartbeat = Extract<Message, { kind: "heartbeat" }>;

export function onAppend(state: RaftState, request: AppendRequest): void {
  follow(state, request.from);
  const { log } = state;
  const { previousIndex, previousTerm, entries } = request;
  const accept = (index: number): void => {
    if (request.quiet !== true) acceptThrough(state, request.from, index);
  };
  if (previousIndex < log.commit) {
    // Old news: all of it that matters is committed here.
    accept(log.commit);
  } else if (log.term(previousIndex) === previousTerm && isConfigured(state)) {
    const taken = lagsTooFar(state) ? log.held(entries) : entries;
    log.merge(taken);
    const last = previousIndex + taken.length;
    // Only what this message covers is known to be the leader's.
    commitTo(state, Math.min(request.commit, last));
    if (state.removalIndex !== undefined && request.commit >= state.removalIndex) state.removed = true;
    // What is left out counts as lost on the way: an answer would only call for more of it.
    if (taken === entries) accept(last);
  } else {
    reply(state, request.from, { index: previousIndex, rejectedTerm: previousTerm });
  }
}

export function onHeartbeat(state: RaftState, heartbeat: Heartbeat): void {
  follow(state, heartbeat.from);
  // A leader never names more than we acknowledged; commitTo stops a member that lost what it had promised to keep.
  commitTo(state, heartbeat.commit);
  const { from: to, readRound } = heartbeat;
  const echo: Message = { kind: "heartbeatReply", from: state.id, to, term: state.term, readRound };
  // A leader that was removed goes when we know of it, and a power loss must not make us forget.
  if (state.changeUnsaved) state.outbox.promise(echo);
  else state.outbox.send(echo);
}

/**
 * Answers a leader of an older term. Our votes may be ignored because it is still heard (stickiness), so this answer
 * is the only way in which it can learn that the term has moved on. Spec 1.4.
 */
export function answerStaleLeader(state: RaftState, to: MemberId): void {
  acceptThrough(state, to, 0);
}

/** Promises the leader that our log is its own through `index`. */
export function acceptThrough(state: RaftState, to: MemberId, index: number): void {
  reply(state, to, { index });
}

/** Whoever appends, sends heartbeats or a snapshot in our term has won it. */
export function follow(state: RaftState, leader: MemberId): void {
  invariant(state.role !== "leader", "two leaders in one term", { term: state.term, leader });
  if (state.role === "follower" && state.leader === leader) {
    state.electionElapsed = 0;
    return;
  }
  becomeFollower(state, state.term, leader);
}

/**
 * A member whose state machine does not keep up would pile up entries that cannot be compacted. So it takes no more until it
 * has caught up, while heartbeats are answered as ever. To the leader that looks like a link that loses entries: it probes
 * with one message a heartbeat. What is not committed yet has to be taken, or nobody could commit; the leader bounds that.
 */
function lagsTooFar({ log, config: { limits } }: RaftState): boolean {
  const count = log.commit - Math.max(log.applied, log.firstIndex - 1);
  const bytes = log.bytesBetween(log.applied, log.commit) + count * ENTRY_OVERHEAD_BYTES;
  return bytes > (limits.followerLagBytesMax ?? Infinity);
}

/** A member that joins knows no configuration until a snapshot brings one; entries alone would be of no use to it. */
function isConfigured(state: RaftState): boolean {
  return state.membership.voters.length > 0;
}

/**
 * Accepts through `index`, or rejects the probe of `index` with the last entry of ours that can match: not newer in
 * term than the probe, so that each term costs the leader one probe at most.
 */
function reply(
  state: RaftState,
  to: MemberId,
  result: { readonly index: number; readonly rejectedTerm?: number },
): void {
  const { index, rejectedTerm } = result;
  const rejected = rejectedTerm !== undefined;
  const hintIndex = rejected ? state.log.lastNotNewer({ index, term: rejectedTerm }) : 0;
  const hintTerm = rejected ? (state.log.term(hintIndex) ?? 0) : 0;
  state.outbox.promise({
    kind: "appendReply",
    from: state.id,
    to,
    term: state.term,
    rejected,
    index,
    hintIndex,
    hintTerm,
  });
}
