/** Leadership handed over to a voter that was asked for. Thesis 3.10, spec 1.16. */
import { mayStand, standNow } from "./election.js";
import type { RaftState } from "./state.js";
import type { MemberId, Message } from "./types.js";

/** Starts to hand over to a voter; from here on nothing is appended. Only a leader can, and not to itself. */
export function onTransfer(state: RaftState, to: MemberId): void {
  if (state.role !== "leader" || to === state.id || !state.isVoter) return;
  if (state.transfer?.to === to || !state.membership.voters.includes(to)) return;
  state.transfer = { to, elapsedTicks: 0, due: true };
}

/** The leader of our term asks us to take its place: no pre-vote, and the votes are forced. */
export function onTimeoutNow(state: RaftState, message: Extract<Message, { kind: "timeoutNow" }>): void {
  if (state.role === "follower" && message.from === state.leader && mayStand(state)) standNow(state);
}

/** A transfer that lasts an election timeout is given up: clients have waited long enough. */
export function tickTransfer(state: RaftState): void {
  const { transfer, departure } = state;
  if (departure !== undefined) departure.elapsedTicks += 1;
  if (transfer === undefined) return;
  transfer.elapsedTicks += 1;
  if (transfer.elapsedTicks >= state.config.electionTicks) state.transfer = undefined;
}

/** End of a leader's turn: if the target has the whole log, it may campaign. */
export function flushTransfer(state: RaftState): void {
  const { transfer } = state;
  if (transfer?.due !== true || state.peers.get(transfer.to)?.match !== state.log.lastIndex) return;
  transfer.due = false;
  sendTimeoutNow(state, transfer.to);
}

/** The most caught-up of these voters, apart from ourselves; of equals, the first. */
export function mostCaughtUp(state: RaftState, voters: readonly MemberId[]): MemberId | undefined {
  let best: MemberId | undefined;
  let bestMatch = -1;
  for (const voter of voters) {
    const match = state.peers.get(voter)?.match ?? -1;
    if (match <= bestMatch) continue;
    best = voter;
    bestMatch = match;
  }
  return best;
}

export function sendTimeoutNow(state: RaftState, to: MemberId): void {
  state.outbox.send({ kind: "timeoutNow", from: state.id, to, term: state.term });
}
