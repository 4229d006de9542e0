/** The commit index, and the membership changes that take effect with it: spec 1.15. */
import { isMember, membershipAfter } from "./configuration.js";
import { sendHeartbeats } from "./heartbeat.js";
import type { RaftState } from "./state.js";
import type { Membership } from "./types.js";

/** Raises the commit index. Changes up to it take effect before anything else happens. Answers whether it moved. */
export function commitTo(state: RaftState, index: number): boolean {
  const { log } = state;
  const before = log.commit;
  if (!log.commitTo(index)) return false;
  for (const entry of log.changes(before, index)) {
    const membership = membershipAfter(state.membership, entry);
    if (membership !== state.membership) enterMembership(state, membership, entry.index);
  }
  return true;
}

/** Drops entries that the state file holds; the configuration as of the last of them is kept for the disk. */
export function compact(state: RaftState, index: number): void {
  if (index < state.log.firstIndex) return;
  const base = state.membershipAt(index);
  state.log.compact(index);
  state.base = base;
}

function enterMembership(state: RaftState, membership: Membership, index: number): void {
  state.enterMembership(membership, index);
  if (state.role !== "leader") return;
  const { transfer } = state;
  if (transfer !== undefined && !membership.voters.includes(transfer.to)) state.transfer = undefined;
  greetNewPeers(state);
  const someoneLeaves = partWithPeers(state) || !state.isVoter;
  if (someoneLeaves) tellOthers(state, index);
}

/** A new peer counts as active, else a cluster of one that grows would lose its leader. */
function greetNewPeers(state: RaftState): void {
  const { voters, learners } = state.membership;
  for (const members of [voters, learners]) {
    for (const id of members) {
      if (id === state.id || state.peers.has(id)) continue;
      const peer = state.newPeer();
      peer.active = true;
      state.peers.set(id, peer);
    }
  }
}

/** Answers whether somebody was removed. Proposals that they forwarded stay known: one more may still be on its way. */
function partWithPeers(state: RaftState): boolean {
  let parted = false;
  for (const [id, peer] of state.peers) {
    if (isMember(state.membership, id)) continue;
    state.peers.delete(id);
    state.parting.set(id, peer);
    parted = true;
  }
  return parted;
}

/** Lets the others know of the removal at `index`, and finds out when they do. */
function tellOthers(state: RaftState, index: number): void {
  state.departure = { index, elapsedTicks: 0 };
  for (const peer of state.peers.values()) peer.toldRound = undefined;
  sendHeartbeats(state);
}
