/** The one door for messages of other members: terms are compared here, before any handler sees a message. Spec 1.17. */
import { denyPreVote, isSticky, onVoteReply, onVoteRequest } from "./election.js";
import { answerStaleLeader, onAppend, onHeartbeat } from "./follower.js";
import { onProposeForward, onProposeRejected } from "./proposals.js";
import { onReadForward, onReadReply } from "./reads.js";
import { onAppendReply, onHeartbeatReply } from "./replication.js";
import { becomeFollower } from "./roles.js";
import type { RaftState } from "./state.js";
import { onTimeoutNow } from "./transfer.js";
import type { Message } from "./types.js";

export function onMessage(state: RaftState, message: Message): void {
  if (message.to !== state.id) return;
  if (message.term < state.term) {
    answerOlderTerm(state, message);
    return;
  }
  if (message.term > state.term && (isStrangersAnswer(state, message) || !enterNewerTerm(state, message))) return;
  handle(state, message);
}

/** Two kinds of old messages get an answer, because the sender could not go on without it. */
function answerOlderTerm(state: RaftState, message: Message): void {
  if (message.kind === "append" || message.kind === "heartbeat") answerStaleLeader(state, message.from);
  else if (message.kind === "preVote") {
    denyPreVote(state, message.from);
  }
}

/** A leader asks nothing of a member that was removed, and its later term shall not end the leadership. */
function isStrangersAnswer(state: RaftState, { kind, from }: Message): boolean {
  return state.role === "leader" && (kind === "appendReply" || kind === "heartbeatReply") && !state.peers.has(from);
}

/** Follows the sender into its term, except into terms that nobody has entered yet. Answers whether to go on. */
function enterNewerTerm(state: RaftState, message: Message): boolean {
  switch (message.kind) {
    case "preVote":
      return !isSticky(state);
    case "vote":
      // The leader itself asked for a forced one.
      if (isSticky(state) && !message.forced) return false;
      break;
    case "preVoteReply":
      if (message.granted) return true;
      break;
    case "append":
    case "heartbeat":
      becomeFollower(state, message.term, message.from);
      return true;
    case "timeoutNow":
    case "voteReply":
    case "appendReply":
    case "heartbeatReply":
    case "readForward":
    case "readReply":
    case "proposeForward":
    case "proposeRejected":
  }
  becomeFollower(state, message.term, undefined);
  return true;
}

function handle(state: RaftState, message: Message): void {
  switch (message.kind) {
    case "preVote":
    case "vote":
      onVoteRequest(state, message);
      return;
    case "timeoutNow":
      onTimeoutNow(state, message);
      return;
    case "preVoteReply":
    case "voteReply":
      onVoteReply(state, message);
      return;
    case "append":
      onAppend(state, message);
      return;
    case "appendReply":
      onAppendReply(state, message);
      return;
    case "heartbeat":
      onHeartbeat(state, message);
      return;
    case "heartbeatReply":
      onHeartbeatReply(state, message);
      return;
    case "readForward":
      onReadForward(state, message);
      return;
    case "readReply":
      onReadReply(state, message);
      return;
    case "proposeForward":
      onProposeForward(state, message);
      return;
    case "proposeRejected":
      onProposeRejected(state, message);
  }
}
