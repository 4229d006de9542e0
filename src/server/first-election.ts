/**
 * The first election of a member that starts: as soon as a quorum can be reached and nobody leads, instead of after a
 * timeout of one to two election timeouts (`--initial-election-tick-advance`). Safe at any time, because a pre-vote asks a
 * majority first.
 */
import { majority } from "./raft/quorum.js";
import type { Peers } from "./replica/peers.js";
import type { LocalReplica } from "./replica/replica.js";
import type { Clock } from "./runtime/clock.js";

export interface FirstElectionOptions {
  readonly replica: Pick<LocalReplica, "status" | "state" | "campaign">;
  readonly peers: Pick<Peers, "connectedSinceMs">;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly electionMs: number;
}

const lookAgainMs = 10;
/** A leader that there is says so with every heartbeat; a member that comes back listens for so many. */
const heartbeatsHeard = 3;

/** Looks until there is a leader, this member has stood, or its own timeout takes over. Returns what stops it. */
export function hurryFirstElection(options: FirstElectionOptions): () => void {
  const { clock, electionMs } = options;
  const endMs = clock.monotonicMs() + 2 * electionMs;
  let cancel: (() => void) | undefined;
  const look = (reachableMs: number | undefined): void => {
    const { leader, learner } = options.replica.status();
    const nowMs = clock.monotonicMs();
    if (leader !== undefined || learner || nowMs >= endMs) return;
    const sinceMs = quorumReachable(options) ? (reachableMs ?? nowMs) : undefined;
    if (sinceMs !== undefined && nowMs - sinceMs >= patienceMs(options)) options.replica.campaign();
    else cancel = clock.after(lookAgainMs, () => look(sinceMs));
  };
  look(undefined);
  return () => cancel?.();
}

function quorumReachable({ replica, peers }: FirstElectionOptions): boolean {
  const { memberId } = replica.status();
  const voters = votersOf(replica);
  const reachable = voters.filter((id) => id === memberId || peers.connectedSinceMs(id) !== undefined);
  return voters.includes(memberId) && reachable.length >= majority(voters.length);
}

/** One after the other, in the order of their ids, or they would split the votes. Where nobody led before, nobody is listened for. */
function patienceMs({ replica, heartbeatMs }: FirstElectionOptions): number {
  const { memberId, term } = replica.status();
  const place = votersOf(replica).indexOf(memberId);
  return (place + (term <= foundingTerm ? 0 : heartbeatsHeard)) * heartbeatMs;
}

const foundingTerm = 1;

function votersOf({ state }: FirstElectionOptions["replica"]): readonly bigint[] {
  const voters = state.members().filter(({ learner }) => !learner);
  return voters.map(({ id }) => id).toSorted((a, b) => (a < b ? -1 : 1));
}
