/** Leadership handed over on purpose: to a voter that was asked for, or by a leader that was removed. Spec 1.15, 1.16. */
import { mayStand, standNow } from "./election.js";
import { majority } from "./quorum.js";
import { becomeFollower } from "./roles.js";
import type { RaftState } from "./state.js";
import type { MemberId, Message } from "./types.js";

/** Starts to hand over to a voter; from here on nothing is appended. Only a leader can, and not to itself. */
export function onTransfer(state: RaftState, to: MemberId): void {
  if (state.role !== "leader" || to === state.id || state.farewell !== undefined) return;
  if (state.transfer?.to === to || !state.membership.voters.includes(to)) return;
  state.transfer = { to, elapsedTicks: 0, due: true };
}

/** The leader of our term asks us to take its place: no pre-vote, and the votes are forced. */
export function onTimeoutNow(state: RaftState, message: Extract<Message, { kind: "timeoutNow" }>): void {
  if (state.role === "follower" && message.from === state.leader && mayStand(state)) standNow(state);
}

/** A transfer that lasts an election timeout is given up: clients have waited long enough. */
export function tickTransfer(state: RaftState): void {
  const { transfer, farewell } = state;
  if (farewell !== undefined) farewell.elapsedTicks += 1;
  if (transfer === undefined) return;
  transfer.elapsedTicks += 1;
  if (transfer.elapsedTicks >= state.config.electionTicks) state.transfer = undefined;
}

/** End of a leader's turn: the target has the whole log, or nobody needs us any more. */
export function flushTransfer(state: RaftState): void {
  const { transfer } = state;
  if (transfer?.due === true && state.peers.get(transfer.to)?.match === state.log.lastIndex) {
    transfer.due = false;
    sendTimeoutNow(state, transfer.to);
  }
  if (state.farewell !== undefined) leaveWhenKnown(state);
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

/**
 * A removed leader leaves when a majority of the new configuration knows that configuration. Before that, those who are
 * left could not elect anybody without it if it went away. If nobody listens, the check of the quorum ends this.
 */
function leaveWhenKnown(state: RaftState): void {
  const { farewell, membership, log } = state;
  const informed = membership.voters.filter((voter) => isInformed(state, voter));
  if (farewell === undefined || informed.length < majority(membership.voters.length)) return;
  const heir = mostCaughtUp(state, informed);
  if (heir === undefined) return;
  const isWhole = state.peers.get(heir)?.match === log.lastIndex;
  if (!isWhole && farewell.elapsedTicks < state.config.electionTicks) return;
  sendTimeoutNow(state, heir);
  state.removed = true;
  becomeFollower(state, state.term, undefined);
}

/** It echoed a heartbeat that told it to commit the removal, after it had written that down. */
function isInformed(state: RaftState, voter: MemberId): boolean {
  const peer = state.peers.get(voter);
  return peer?.farewellRound !== undefined && peer.readRound >= peer.farewellRound;
}

function sendTimeoutNow(state: RaftState, to: MemberId): void {
  state.outbox.send({ kind: "timeoutNow", from: state.id, to, term: state.term });
}
