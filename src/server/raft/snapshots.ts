/** Snapshots, for a peer that needs what the log no longer holds, and as they are installed by that peer. Spec 1.14. */
import { commitTo } from "./commit.js";
import { acceptThrough, answerStaleLeader, follow } from "./follower.js";
import { becomeFollower } from "./roles.js";
import type { RaftState } from "./state.js";
import type { MemberId, RaftEvent } from "./types.js";

type SnapshotReceived = Extract<RaftEvent, { kind: "snapshotReceived" }>;

/** The driver has sent what `needSnapshot` asked for, or could not. */
export function onSnapshotSent(state: RaftState, id: MemberId, ok: boolean): void {
  if (state.role === "leader") state.peers.get(id)?.snapshotSent(ok ? "delivered" : "failed", state.log.firstIndex);
}

/** Names peers that wait for a snapshot, each once. Whoever is not heard would not take it. */
export function askForSnapshots(state: RaftState): void {
  for (const [id, peer] of state.peers) {
    if (!peer.needsSnapshot || !peer.active) continue;
    peer.sending = true;
    state.outbox.needSnapshot(id);
  }
}

/** A snapshot from the leader of `term`: installed if it brings more than what is committed here. */
export function onSnapshotReceived(state: RaftState, { from, term, snapshot }: SnapshotReceived): void {
  if (term < state.term) {
    answerStaleLeader(state, from);
    return;
  }
  if (term > state.term) becomeFollower(state, term, from);
  else follow(state, from);
  const { log } = state;
  if (snapshot.index <= log.commit) {
    acceptThrough(state, from, log.commit);
  } else if (log.term(snapshot.index) === snapshot.term) {
    // The log has all of it; keep what follows, too.
    commitTo(state, snapshot.index);
    acceptThrough(state, from, snapshot.index);
  } else {
    log.install(snapshot);
    state.base = snapshot.membership;
    state.membership = snapshot.membership;
    acceptThrough(state, from, snapshot.index);
    state.outbox.closeInstall();
  }
}
