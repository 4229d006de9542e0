/** The leader's heartbeat: a sign of life, the commit index a peer may use, and the read round it shall echo. */
import type { RaftState } from "./state.js";

/**
 * Tells every peer that we lead, and asks for an echo of the newest read round. A peer is told no more of the commit
 * index than what it is known to hold.
 */
export function sendHeartbeats(state: RaftState): void {
  const { id: from, term, log, departure, reads } = state;
  // While removed members wait, every heartbeat has a number, so that an echo proves which commit index it brought.
  if (departure !== undefined) reads.roundCount += 1;
  const readRound = reads.roundCount;
  for (const [to, peer] of state.peers) {
    const commit = Math.min(peer.match, log.commit);
    if (departure !== undefined && commit >= departure.index) peer.toldRound ??= readRound;
    state.outbox.send({ kind: "heartbeat", from, to, term, commit, readRound });
  }
}
