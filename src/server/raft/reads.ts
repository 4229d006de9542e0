/** Linearizable reads by read index, in rounds: one exchange with a majority confirms all reads that came before it. Thesis 6.4. */
import { sendHeartbeats } from "./heartbeat.js";
import { quorumReached } from "./quorum.js";
import type { RaftState } from "./state.js";
import type { MemberId, Message } from "./types.js";

/** A read that a leader must confirm; `from` is the member that forwarded it, undefined if it is our own. */
interface PendingRead {
  readonly requestId: number;
  readonly from: MemberId | undefined;
  readonly boot: number;
}

interface ReadRound {
  readonly number: number;
  readonly index: number;
  readonly reads: readonly PendingRead[];
}

interface ForwardedReads {
  readonly requestIds: readonly number[];
  ageTicks: number;
}

/** Reads that wait: for a round, in a round, or for the leader's answer. */
export class ReadQueue {
  waiting: PendingRead[] = [];
  round: ReadRound | undefined;
  roundCount = 0;
  /** Follower: our own reads of this turn, not asked for yet. */
  unasked: number[] = [];
  /** Follower: what the leader was asked, by a number that is used once. */
  readonly asked = new Map<number, ForwardedReads>();
  askedCount = 0;
}

/** Takes a read of our own client. Without a leader it is refused; the caller may come back with a new id. */
export function onRead(state: RaftState, requestId: number): void {
  const { reads, outbox } = state;
  if (state.role === "leader") {
    if (state.isAlone && state.committedInTerm) outbox.confirm(requestId, state.log.commit);
    else reads.waiting.push({ requestId, from: undefined, boot: 0 });
  } else if (state.leader === undefined) {
    outbox.reject(requestId, "noLeader");
  } else {
    reads.unasked.push(requestId);
  }
}

/** A follower asks for its clients. Whoever does not lead stays silent: the follower will learn of the new leader. */
export function onReadForward(state: RaftState, message: Extract<Message, { kind: "readForward" }>): void {
  if (state.role !== "leader") return;
  state.reads.waiting.push({ requestId: message.requestId, from: message.from, boot: message.boot });
}

export function onReadReply(state: RaftState, message: Extract<Message, { kind: "readReply" }>): void {
  if (message.from !== state.leader || message.boot !== state.bootCount) return;
  const forwarded = state.reads.asked.get(message.requestId);
  if (forwarded === undefined) return;
  state.reads.asked.delete(message.requestId);
  for (const requestId of forwarded.requestIds) state.outbox.confirm(requestId, message.index);
}

/** End of a turn: start the next round, or ask the leader, once for all reads of the turn. */
export function flushReads(state: RaftState): void {
  if (state.role === "leader") startRound(state);
  else askLeader(state);
}

/** A majority, ourselves included, has answered a round that started after these reads arrived. */
export function confirmReads(state: RaftState): void {
  const { round } = state.reads;
  if (round === undefined) return;
  const reached = state.membership.voters.map((voter) =>
    voter === state.id ? round.number : (state.peers.get(voter)?.readRound ?? 0),
  );
  if (quorumReached(reached) < round.number) return;
  state.reads.round = undefined;
  for (const read of round.reads) answer(state, read, round.index);
}

/** The leader, the term or our role changed: nothing that was asked before may be answered. Spec 1.6. */
export function abandonReads(state: RaftState): void {
  const { reads, outbox } = state;
  for (const read of [...(reads.round?.reads ?? []), ...reads.waiting]) {
    if (read.from === undefined) outbox.reject(read.requestId, "leaderChanged");
  }
  for (const forwarded of reads.asked.values()) {
    for (const requestId of forwarded.requestIds) outbox.reject(requestId, "leaderChanged");
  }
  for (const requestId of reads.unasked) outbox.reject(requestId, "leaderChanged");
  reads.waiting = [];
  reads.round = undefined;
  reads.roundCount = 0;
  reads.unasked = [];
  reads.asked.clear();
}

/** A question that stayed unanswered for an election timeout is asked again, under a new number. */
export function tickReads(state: RaftState): void {
  for (const [number, forwarded] of state.reads.asked) {
    forwarded.ageTicks += 1;
    if (forwarded.ageTicks < state.config.electionTicks) continue;
    state.reads.asked.delete(number);
    state.reads.unasked.push(...forwarded.requestIds);
  }
}

/** Starts a round if reads wait and none is under way. A read that arrives later joins the next one. */
function startRound(state: RaftState): void {
  const { reads } = state;
  if (reads.waiting.length === 0 || reads.round !== undefined || !state.committedInTerm) return;
  reads.roundCount += 1;
  reads.round = { number: reads.roundCount, index: state.log.commit, reads: reads.waiting };
  reads.waiting = [];
  if (state.isAlone) confirmReads(state);
  else sendHeartbeats(state);
}

function askLeader(state: RaftState): void {
  const { reads, leader } = state;
  if (leader === undefined || reads.unasked.length === 0) return;
  reads.askedCount += 1;
  reads.asked.set(reads.askedCount, { requestIds: reads.unasked, ageTicks: 0 });
  reads.unasked = [];
  state.outbox.send({
    kind: "readForward",
    from: state.id,
    to: leader,
    term: state.term,
    boot: state.bootCount,
    requestId: reads.askedCount,
  });
}

function answer(state: RaftState, read: PendingRead, index: number): void {
  const { requestId, from: to, boot } = read;
  if (to === undefined) state.outbox.confirm(requestId, index);
  else state.outbox.send({ kind: "readReply", from: state.id, to, term: state.term, boot, requestId, index });
}
