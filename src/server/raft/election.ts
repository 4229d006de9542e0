/** Elections: timeouts, pre-vote, vote, the check of the quorum and the peer-down hint. Thesis 3.4, 4.2.3, 9.6. */
import { commitTo } from "./commit.js";
import { majority, tally } from "./quorum.js";
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from "./roles.js";
import type { RaftState } from "./state.js";
import type { CommittedEntry, MemberId, Message } from "./types.js";

type VoteRequest = Extract<Message, { kind: "preVote" | "vote" }>;
type VoteReply = Extract<Message, { kind: "preVoteReply" | "voteReply" }>;

/** Stands for election. Only a voter does, and a leader has no need to. */
export function campaign(state: RaftState): void {
  if (state.role === "leader" || !mayStand(state)) return;
  if (state.config.preVote) askForPreVotes(state);
  else askForVotes(state, { forced: false });
}

/** Stands at once because the leader asked for it: nobody needs to be polled, and no voter holds on to that leader. */
export function standNow(state: RaftState): void {
  askForVotes(state, { forced: true });
}

/** Nothing was heard for too long: stand, or at least stop waiting for that leader. */
export function onElectionTimeout(state: RaftState): void {
  if (mayStand(state)) campaign(state);
  else becomeFollower(state, state.term, undefined);
}

/** A learner or a removed member does not stand, nor does one whose state is being replaced. */
export function mayStand(state: RaftState): boolean {
  return state.isVoter && !state.log.installing;
}

/** Forgets a leader whose process is gone, so that pre-votes are granted at once. Spec 1.5. */
export function forgetLeader(state: RaftState): void {
  if (state.role === "follower" && state.leader !== undefined) becomeFollower(state, state.term, undefined);
}

/**
 * Once per election timeout a leader makes sure that a majority still hears it, else it steps down: clients of a
 * leader that is cut off shall not wait for ever. Thesis 6.2.
 */
export function checkQuorum(state: RaftState): void {
  let active = 0;
  for (const voter of state.membership.voters) {
    if (voter === state.id || state.peers.get(voter)?.active === true) active += 1;
  }
  for (const peer of state.peers.values()) peer.active = false;
  if (active < majority(state.membership.voters.length)) becomeFollower(state, state.term, undefined);
}

/** A member that hears from a leader does not help to depose it, and does not even adopt the term. Thesis 4.2.3. */
export function isSticky(state: RaftState): boolean {
  return state.leader !== undefined && state.electionElapsed < state.config.electionTicks;
}

export function onVoteRequest(state: RaftState, request: VoteRequest): void {
  learnCommit(state, request);
  const granted = mayVoteFor(state, request) && isUpToDate(state, request);
  if (granted && request.kind === "vote") {
    state.vote = request.from;
    state.electionElapsed = 0;
  }
  // A granted pre-vote names the term that was asked for; a refusal names ours, so that a late candidate learns it.
  const term = granted ? request.term : state.term;
  const kind = request.kind === "vote" ? "voteReply" : "preVoteReply";
  state.outbox.promise({ kind, from: state.id, to: request.from, term, granted, committed: committed(state) });
}

/** Tells a candidate of an older term which term it is. */
export function denyPreVote(state: RaftState, to: MemberId): void {
  const { id: from, term } = state;
  state.outbox.promise({ kind: "preVoteReply", from, to, term, granted: false, committed: committed(state) });
}

export function onVoteReply(state: RaftState, reply: VoteReply): void {
  learnCommit(state, reply);
  if (!isAwaited(state, reply)) return;
  // The first answer of a voter in a round counts.
  if (!state.votes.has(reply.from)) state.votes.set(reply.from, reply.granted);
  decide(state);
}

function committed(state: RaftState): CommittedEntry {
  const index = state.log.commit;
  return { index, term: state.log.term(index) ?? 0 };
}

/**
 * Whoever does not vote (any more, or yet, as far as it knows) may hold the longest log: it does not stand, and elects no
 * other. So each side of an election tells the other what is committed: those who stay that they can do without a removed
 * member, a learner that it was promoted.
 */
function learnCommit(state: RaftState, { committed: known }: VoteRequest | VoteReply): void {
  if (known === undefined || state.role === "leader" || state.log.term(known.index) !== known.term) return;
  const { membership } = state;
  commitTo(state, known.index);
  if (state.membership === membership || state.role === "follower") return;
  if (state.isVoter) decide(state);
  else becomeFollower(state, state.term, undefined);
}

function isAwaited(state: RaftState, reply: VoteReply): boolean {
  if (reply.kind === "voteReply") return state.role === "candidate";
  return state.role === "preCandidate" && (!reply.granted || reply.term === state.term + 1);
}

function decide(state: RaftState): void {
  switch (tally(state.membership.voters, state.votes)) {
    case "won":
      if (state.role === "preCandidate") askForVotes(state, { forced: false });
      else becomeLeader(state);
      return;
    case "lost":
      becomeFollower(state, state.term, undefined);
      return;
    case "open":
  }
}

function askForPreVotes(state: RaftState): void {
  becomePreCandidate(state);
  const { id: from, term, log } = state;
  const { lastIndex, lastTerm } = log;
  for (const to of others(state)) {
    const request = { from, to, term: term + 1, lastIndex, lastTerm, committed: committed(state) };
    state.outbox.send({ kind: "preVote", forced: false, ...request });
  }
  // Our own consent binds us to nothing, so it need not be durable.
  state.votes.set(from, true);
  decide(state);
}

/**
 * Requests wait for the disk like the own vote does. A candidate that lost its term or its last entries in a crash could
 * stand again in the same term, and a late vote for its first, longer log would then elect the shorter one.
 */
function askForVotes(state: RaftState, { forced }: { readonly forced: boolean }): void {
  becomeCandidate(state);
  const { id: from, term, log } = state;
  const { lastIndex, lastTerm } = log;
  state.outbox.promise({ kind: "voteReply", from, to: from, term, granted: true });
  for (const to of others(state)) {
    state.outbox.promise({ kind: "vote", from, to, term, lastIndex, lastTerm, forced, committed: committed(state) });
  }
}

function others(state: RaftState): readonly MemberId[] {
  return state.membership.voters.filter((voter) => voter !== state.id);
}

function mayVoteFor(state: RaftState, request: VoteRequest): boolean {
  if (state.vote === request.from) return true;
  if (request.kind === "preVote" && request.term > state.term) return true;
  return state.vote === undefined && state.leader === undefined;
}

/** The candidate's log ends in a later term, or in the same one and not before ours. Thesis 3.6.1. */
function isUpToDate(state: RaftState, request: VoteRequest): boolean {
  if (request.lastTerm !== state.log.lastTerm) return request.lastTerm > state.log.lastTerm;
  return request.lastIndex >= state.log.lastIndex;
}
