/** Time, as far as Raft knows it: one tick after the other. Spec 1.2. */
import { checkQuorum, onElectionTimeout } from "./election.js";
import { sendHeartbeats } from "./heartbeat.js";
import { tickReads } from "./reads.js";
import type { RaftState } from "./state.js";
import { tickTransfer } from "./transfer.js";

export function onTick(state: RaftState): void {
  state.tickCount += 1;
  state.electionElapsed += 1;
  if (state.role === "leader") tickLeader(state);
  else tickFollower(state);
}

function tickFollower(state: RaftState): void {
  tickReads(state);
  if (state.electionElapsed >= state.electionTimeout) onElectionTimeout(state);
}

function tickLeader(state: RaftState): void {
  if (state.electionElapsed >= state.config.electionTicks) {
    state.electionElapsed = 0;
    checkQuorum(state);
    if (state.role !== "leader") return;
  }
  tickTransfer(state);
  for (const peer of state.peers.values()) peer.tick(state.config.electionTicks);
  state.heartbeatElapsed += 1;
  if (state.heartbeatElapsed < state.config.heartbeatTicks) return;
  state.heartbeatElapsed = 0;
  for (const peer of state.peers.values()) peer.repairDue = true;
  if (state.transfer !== undefined) state.transfer.due = true;
  sendHeartbeats(state);
}
