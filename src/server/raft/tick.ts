/** Time, as far as Raft knows it: one tick after the other. Spec 1.2. */
import { campaign, checkQuorum } from "./election.js";
import { sendHeartbeats } from "./heartbeat.js";
import { tickReads } from "./reads.js";
import type { RaftState } from "./state.js";

export function onTick(state: RaftState): void {
  state.electionElapsed += 1;
  if (state.role === "leader") tickLeader(state);
  else tickFollower(state);
}

function tickFollower(state: RaftState): void {
  tickReads(state);
  if (state.electionElapsed >= state.electionTimeout) campaign(state);
}

function tickLeader(state: RaftState): void {
  if (state.electionElapsed >= state.config.electionTicks) {
    state.electionElapsed = 0;
    checkQuorum(state);
    if (state.role !== "leader") return;
  }
  state.heartbeatElapsed += 1;
  if (state.heartbeatElapsed < state.config.heartbeatTicks) return;
  state.heartbeatElapsed = 0;
  for (const peer of state.peers.values()) peer.repairDue = true;
  sendHeartbeats(state);
}
