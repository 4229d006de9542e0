/** The four roles and what each forgets and starts with. Thesis 3.4, figure 3.3. */
import { invariant } from "../invariant.js";
import { abandonReads } from "./reads.js";
import type { RaftState } from "./state.js";
import type { MemberId, Role } from "./types.js";

const noData = new Uint8Array(0);

/** Follows `leader`, or waits for one. A higher term takes away the vote of the old one. */
export function becomeFollower(state: RaftState, term: number, leader: MemberId | undefined): void {
  enterTerm(state, term);
  enterRole(state, "follower", leader);
}

/** Asks whether an election could be won. Nothing durable changes. Thesis 9.6. */
export function becomePreCandidate(state: RaftState): void {
  enterRole(state, "preCandidate", undefined);
}

/** Stands for election in the next term. The own vote counts once it is durable. */
export function becomeCandidate(state: RaftState): void {
  enterTerm(state, state.term + 1);
  enterRole(state, "candidate", undefined);
  state.vote = state.id;
}

/**
 * Leads. The empty entry lets everything before it commit (thesis 3.6.2) and opens reads (6.4).
 * It is committed when a majority, this member's own disk included, holds it.
 */
export function becomeLeader(state: RaftState): void {
  invariant(state.role === "candidate", "only a candidate becomes leader", { role: state.role });
  enterRole(state, "leader", state.id);
  state.resetPeers();
  state.noopIndex = state.log.lastIndex + 1;
  state.log.append({ index: state.noopIndex, term: state.term, kind: "noop", data: noData });
}

function enterTerm(state: RaftState, term: number): void {
  if (term === state.term) return;
  invariant(term > state.term, "the term went back", { term, current: state.term });
  state.term = term;
  state.vote = undefined;
  state.outbox.dropPromises();
}

function enterRole(state: RaftState, role: Role, leader: MemberId | undefined): void {
  abandonReads(state);
  state.role = role;
  state.leader = leader;
  state.electionElapsed = 0;
  state.heartbeatElapsed = 0;
  state.electionTimeout = state.drawTimeout();
  state.votes.clear();
  state.parting.clear();
  state.transfer = undefined;
  state.departure = undefined;
}
