/** The leader's side of replication: what it sends, what the answers mean, and what is committed. Thesis 3.5, 3.6. */
import { invariant } from "../invariant.js";
import { commitTo } from "./commit.js";
import type { Progress } from "./progress.js";
import { quorumReached } from "./quorum.js";
import { confirmReads } from "./reads.js";
import type { RaftState } from "./state.js";
import type { Entry, MemberId, Message } from "./types.js";

type Append = Extract<Message, { kind: "append" }>;
type AppendReply = Extract<Message, { kind: "appendReply" }>;
type HeartbeatReply = Extract<Message, { kind: "heartbeatReply" }>;

const noEntries: readonly Entry[] = [];

export function onAppendReply(state: RaftState, reply: AppendReply): void {
  const peer = state.peers.get(reply.from);
  if (state.role !== "leader" || peer === undefined) return;
  peer.heard(state.tickCount);
  if (reply.rejected) {
    const retry = state.log.lastNotNewer({ index: reply.hintIndex, term: reply.hintTerm });
    peer.rejected(reply.index, retry, state.log.firstIndex);
    return;
  }
  invariant(reply.index <= state.log.lastIndex, "a peer acknowledged what we never sent", {
    peer: reply.from,
    index: reply.index,
    lastIndex: state.log.lastIndex,
  });
  peer.accepted(reply.index, state.log.firstIndex);
  advanceCommit(state);
}

export function onHeartbeatReply(state: RaftState, reply: HeartbeatReply): void {
  const peer = state.peers.get(reply.from);
  if (state.role !== "leader" || peer === undefined) return;
  peer.heard(state.tickCount);
  peer.echoed(state.log.lastIndex);
  peer.readRound = Math.max(peer.readRound, reply.readRound);
  confirmReads(state);
}

/** Messages to a peer were dropped: what is in flight is probably lost, so look where the logs meet. */
export function onPeerUnreachable(state: RaftState, id: MemberId): void {
  const peer = state.peers.get(id);
  if (peer?.state === "replicate") peer.probe(peer.match + 1);
}

/**
 * Commits what a majority holds durably, if it is of our own term: an entry of an older term may be on a majority and
 * still be overwritten, so it only rides along (thesis 3.6.2). Our own disk counts like any other, while we are a voter.
 */
export function advanceCommit(state: RaftState): void {
  const { log } = state;
  for (;;) {
    const { membership } = state;
    const reached = state.isAlone ? log.stable : quorumReached(matches(state));
    if (reached <= log.commit || log.term(reached) !== state.term) return;
    commitTo(state, reached);
    if (state.membership === membership) return;
    // With one voter less, what is left may be a majority for more, and for reads that wait.
    confirmReads(state);
  }
}

/** End of a leader's turn: send each peer what it lacks and may take. */
export function sendAppends(state: RaftState): void {
  for (const [id, peer] of state.peers) sendTo(state, id, peer);
}

function sendTo(state: RaftState, id: MemberId, peer: Progress): void {
  const { log } = state;
  if (peer.state === "snapshot") return;
  // What comes next may be compacted, yet the peer may hold it: ask from the first entry we have before giving up.
  if (peer.next < log.firstIndex) peer.probe(log.firstIndex);
  if (peer.state === "probe") {
    if (peer.open) sendAppend(state, id, peer);
    return;
  }
  while (peer.open && peer.next <= log.lastIndex) sendAppend(state, id, peer);
  if (peer.nudged) sendAppend(state, id, peer);
  else if (peer.open && isCommitNews(state, peer)) sendCommitNews(state, id, peer);
}

/** The peer may commit more than it was told: the next client over there should not wait for a heartbeat. */
function isCommitNews(state: RaftState, peer: Progress): boolean {
  return Math.min(state.log.commit, peer.next - 1) > peer.toldCommit;
}

function sendAppend(state: RaftState, to: MemberId, peer: Progress): void {
  state.outbox.send(nextAppend(state, to, peer));
}

/** The peer's answer to it would say what its answers to the entries said: half of all messages of a put, for nothing. */
function sendCommitNews(state: RaftState, to: MemberId, peer: Progress): void {
  state.outbox.send({ ...nextAppend(state, to, peer), quiet: true });
}

/** One append from `peer.next` on; without entries if none are left or the window is full. */
export function nextAppend(state: RaftState, to: MemberId, peer: Progress): Append {
  const { id: from, term, log } = state;
  const previousIndex = peer.next - 1;
  const previousTerm = log.term(previousIndex);
  invariant(previousTerm !== undefined, "an append would follow an entry we do not have", { to, previousIndex });
  const range = { from: peer.next, to: log.lastIndex };
  const entries =
    peer.open && range.from <= range.to ? log.slice(range, state.config.limits.messageBytesMax) : noEntries;
  const last = previousIndex + entries.length;
  const commit = log.commit;
  peer.toldCommit = Math.max(peer.toldCommit, Math.min(commit, last));
  peer.sent(last, log.bytesBetween(previousIndex, last));
  return { kind: "append", from, to, term, previousIndex, previousTerm, entries, commit };
}

function matches(state: RaftState): number[] {
  return state.membership.voters.map((voter) =>
    voter === state.id ? state.log.stable : (state.peers.get(voter)?.match ?? 0),
  );
}
