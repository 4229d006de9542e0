/**
 * Members that were removed, the leader itself among them, are let go when a majority of those who stay knows it for sure.
 * Before that, a crash could leave nobody who knows, and the old configuration might need the vote of one who is gone.
 */
import { sendHeartbeats } from "./heartbeat.js";
import { majority } from "./quorum.js";
import { nextAppend } from "./replication.js";
import { becomeFollower } from "./roles.js";
import type { Departure, RaftState } from "./state.js";
import { mostCaughtUp, sendTimeoutNow } from "./transfer.js";
import type { MemberId } from "./types.js";

/** End of a leader's turn. If nobody listens, the check of the quorum ends this. */
export function flushDeparture(state: RaftState): void {
  const { departure, membership } = state;
  if (departure === undefined) return;
  if (someoneMayHear(state, departure)) sendHeartbeats(state);
  const informed = membership.voters.filter((voter) => isInformed(state, departure, voter));
  if (informed.length < majority(membership.voters.length)) return;
  tellParting(state);
  if (state.isVoter) state.departure = undefined;
  else leave(state, departure, informed);
}

/** A peer has the removal by now and no heartbeat has told it yet to commit it: clients shall not wait for the next one. */
function someoneMayHear({ peers }: RaftState, departure: Departure): boolean {
  for (const { match, toldRound } of peers.values())
    if (toldRound === undefined && match >= departure.index) return true;
  return false;
}

/** A peer echoed a heartbeat that told it to commit the removal, after it had written that down; or our own disk knows. */
function isInformed(state: RaftState, departure: Departure, voter: MemberId): boolean {
  if (voter === state.id) return state.durableCommit >= departure.index;
  const peer = state.peers.get(voter);
  return peer?.toldRound !== undefined && peer.readRound >= peer.toldRound;
}

/** Removed peers get what is left and the commit index, once, so that they can see their removal for themselves. */
function tellParting(state: RaftState): void {
  for (const [id, peer] of state.parting) {
    if (peer.state === "snapshot" || peer.next < state.log.firstIndex) continue;
    peer.probing = false;
    peer.window.clear();
    state.outbox.send(nextAppend(state, id, peer));
  }
  state.parting.clear();
}

/** A removed leader hands over to the most caught-up of those who know, if it can to one that has the whole log. */
function leave(state: RaftState, departure: Departure, informed: readonly MemberId[]): void {
  const heir = mostCaughtUp(state, informed);
  if (heir === undefined) return;
  const isWhole = state.peers.get(heir)?.match === state.log.lastIndex;
  if (!isWhole && departure.elapsedTicks < state.config.electionTicks) return;
  sendTimeoutNow(state, heir);
  state.removed = true;
  becomeFollower(state, state.term, undefined);
}
