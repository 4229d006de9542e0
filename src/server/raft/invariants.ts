/** What must hold after every step, and the trace that is handed out when it does not. Spec 1.18; always on. */
import { InvariantError, invariant } from "../invariant.js";
import type { RaftState } from "./state.js";
import type { RaftConfig, RaftEvent, RestoredState } from "./types.js";

const TRACE_LENGTH = 1000;

/** Terms and commit indexes only rise; keeps what they were after the last step. */
export class StepCheck {
  #term: number;
  #commit: number;

  constructor(state: RaftState) {
    this.#term = state.term;
    this.#commit = state.log.commit;
    this.check(state);
  }

  /** I3, I14, I15, I17, I20, I24 and I28, I27; and that role, term, vote and leader agree. */
  check(state: RaftState): void {
    const { log, role, leader, id } = state;
    const sound =
      state.term >= this.#term &&
      log.lastTerm <= state.term &&
      log.commit >= this.#commit &&
      log.commit <= log.lastIndex &&
      log.stable <= log.lastIndex &&
      log.applied <= Math.min(log.commit, log.stable) &&
      (log.applied >= log.firstIndex - 1 || log.installing) &&
      !log.changesOverlap &&
      (role === "leader") === (leader === id) &&
      (role !== "leader" || state.isVoter || state.departure !== undefined) &&
      (role === "leader" || role === "follower" || leader === undefined) &&
      (role === "preCandidate" || role === "follower" || state.vote === id);
    if (!sound) fail(state, this.#term, this.#commit);
    this.#term = state.term;
    this.#commit = log.commit;
  }
}

/** The leader's view of its peers; as often as it sends, not at every step. */
export function checkPeers(state: RaftState): void {
  for (const [peer, { match, next, state: kind }] of state.peers) {
    invariant(match >= 0 && match < next && match <= state.log.lastIndex, "a peer's progress is out of order", {
      peer,
      kind,
      match,
      next,
      lastIndex: state.log.lastIndex,
    });
  }
}

/** At boot: what the disk holds fits together. The log itself checks its indexes while it is filled. */
export function checkRestored(config: RaftConfig, restored: RestoredState): void {
  const { hardState, entries, previousTerm, membership } = restored;
  const lastTerm = entries.at(-1)?.term ?? previousTerm;
  const { learners, voters } = membership;
  invariant(hardState.term >= lastTerm, "the log is of a later term than the hard state", { ...hardState, lastTerm });
  invariant(!voters.some((id) => learners.includes(id)), "a voter is a learner too", { voters, learners });
  invariant(config.electionTicks > config.heartbeatTicks, "heartbeats are too rare for the election timeout", {
    electionTicks: config.electionTicks,
    heartbeatTicks: config.heartbeatTicks,
  });
}

function fail(state: RaftState, oldTerm: number, oldCommit: number): never {
  const { log, term, vote, role, leader } = state;
  const { commit, applied, stable, firstIndex, lastIndex, lastTerm } = log;
  throw new InvariantError("the Raft core is in an impossible state", {
    term,
    oldTerm,
    vote,
    role,
    leader,
    commit,
    oldCommit,
    applied,
    stable,
    firstIndex,
    lastIndex,
    lastTerm,
    lastChange: log.lastChange,
    voters: state.membership.voters,
    learners: state.membership.learners,
  });
}

/** The last events in short, in preallocated slots, so that tracing costs no garbage and keeps no value alive. */
export class EventTrace {
  readonly #slots: TraceSlot[] = [];
  #count = 0;

  record(event: RaftEvent): void {
    const position = this.#count % TRACE_LENGTH;
    let slot = this.#slots[position];
    if (slot === undefined) {
      slot = { kind: "", from: 0n, term: 0, index: 0, size: 0 };
      this.#slots[position] = slot;
    }
    this.#count += 1;
    fill(slot, event);
  }

  /** Oldest first, one line an event. */
  lines(): readonly string[] {
    const split = this.#count > TRACE_LENGTH ? this.#count % TRACE_LENGTH : 0;
    const inOrder = [...this.#slots.slice(split), ...this.#slots.slice(0, split)];
    const first = this.#count - inOrder.length;
    return inOrder.map((slot, offset) => `${first + offset} ${slot.kind} ${describe(slot)}`.trimEnd());
  }
}

interface TraceSlot {
  kind: string;
  from: bigint;
  term: number;
  /** The index, id or round that the event is about. */
  index: number;
  /** Entries in an append, bytes in a proposal. */
  size: number;
}

function describe(slot: TraceSlot): string {
  const head = slot.from === 0n ? "" : `from=${slot.from} term=${slot.term} `;
  return `${head}index=${slot.index} size=${slot.size}`;
}

function fill(slot: TraceSlot, event: RaftEvent): void {
  slot.kind = event.kind;
  slot.from = 0n;
  slot.term = 0;
  slot.index = 0;
  slot.size = 0;
  switch (event.kind) {
    case "message":
      fillMessage(slot, event.message);
      return;
    case "propose":
    case "proposeChange":
      slot.index = event.requestId;
      slot.size = event.data.length;
      return;
    case "read":
      slot.index = event.requestId;
      return;
    case "durable":
      slot.index = event.appendId;
      return;
    case "applied":
    case "compact":
      slot.index = event.index;
      return;
    case "peerUnreachable":
      slot.from = event.peer;
      return;
    case "transfer":
      slot.from = event.to;
      return;
    case "snapshotSent":
      slot.kind = event.ok ? "snapshotSent" : "snapshotSent(failed)";
      slot.from = event.peer;
      return;
    case "snapshotReceived":
      slot.from = event.from;
      slot.term = event.term;
      slot.index = event.snapshot.index;
      return;
    case "tick":
    case "campaign":
    case "leaderUnreachable":
  }
}

function fillMessage(slot: TraceSlot, message: Extract<RaftEvent, { kind: "message" }>["message"]): void {
  slot.kind = message.kind;
  slot.from = message.from;
  slot.term = message.term;
  switch (message.kind) {
    case "append":
      slot.index = message.previousIndex;
      slot.size = message.entries.length;
      return;
    case "preVote":
    case "vote":
      slot.index = message.lastIndex;
      return;
    case "appendReply":
      slot.kind = message.rejected ? "appendReply(rejected)" : "appendReply";
      slot.index = message.index;
      return;
    case "preVoteReply":
    case "voteReply":
      slot.kind = `${message.kind}(${message.granted ? "granted" : "denied"})`;
      return;
    case "heartbeat":
    case "heartbeatReply":
      slot.index = message.readRound;
      return;
    case "readForward":
    case "readReply":
    case "proposeForward":
    case "proposeRejected":
      slot.index = message.requestId;
      return;
    case "timeoutNow":
  }
}
