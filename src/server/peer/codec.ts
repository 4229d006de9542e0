/**
 * Raft messages as frames on the wire, and back. Whatever arrives is checked here, so that no peer can give the core
 * what the types rule out: numbers beyond 2^53, unknown kinds, entries with gaps or with terms that go backwards.
 */

import {
  type AppendRequest as AppendWire,
  type CommittedEntry as CommittedWire,
  EntryKind as EntryKindWire,
  type EntryRun,
  Frame,
  ProposeRejectReason,
  type RaftMessage,
} from "../../../proto/gen/internal/raft.js";
import { invariant } from "../invariant.js";
import type { CommittedEntry, Entry, EntryKind, MemberId, Message, RejectReason } from "../raft/types.js";
import { DataReader, FrameError, withBytes } from "./frame-data.js";

export interface FrameContent {
  readonly to: MemberId;
  readonly messages: readonly Message[];
  /** The sender's clock; 0 if it wants no receipt. */
  readonly pingMs: number;
}

/** Of `Frame.data`. */
const dataField = 4;

type AppendMessage = Extract<Message, { kind: "append" }>;
type Kind = NonNullable<RaftMessage["kind"]>;
interface Ends {
  readonly from: MemberId;
  readonly to: MemberId;
}

const kindToWire: Readonly<Record<EntryKind, EntryKindWire>> = {
  noop: EntryKindWire.ENTRY_KIND_NOOP,
  command: EntryKindWire.ENTRY_KIND_COMMAND,
  change: EntryKindWire.ENTRY_KIND_CHANGE,
};
const kindFromWire = new Map(Object.entries(kindToWire).map(([kind, wire]) => [wire, kind as EntryKind]));

const reasonToWire: Readonly<Record<RejectReason, ProposeRejectReason>> = {
  noLeader: ProposeRejectReason.PROPOSE_REJECT_REASON_NO_LEADER,
  leaderChanged: ProposeRejectReason.PROPOSE_REJECT_REASON_LEADER_CHANGED,
  tooManyUncommitted: ProposeRejectReason.PROPOSE_REJECT_REASON_TOO_MANY_UNCOMMITTED,
  tooManyUnapplied: ProposeRejectReason.PROPOSE_REJECT_REASON_TOO_MANY_UNAPPLIED,
  transferring: ProposeRejectReason.PROPOSE_REJECT_REASON_TRANSFERRING,
  changePending: ProposeRejectReason.PROPOSE_REJECT_REASON_CHANGE_PENDING,
  changeInvalid: ProposeRejectReason.PROPOSE_REJECT_REASON_CHANGE_INVALID,
};
const reasonFromWire = new Map(Object.entries(reasonToWire).map(([reason, wire]) => [wire, reason as RejectReason]));

/** Bytes of entries and proposals in a message; what the queues are bounded by. */
export function dataBytes(message: Message): number {
  switch (message.kind) {
    case "append":
      return message.entries.reduce((sum, entry) => sum + entry.data.length, 0);
    case "proposeForward":
      return message.data.length;
    case "preVote":
    case "vote":
    case "timeoutNow":
    case "preVoteReply":
    case "voteReply":
    case "appendReply":
    case "heartbeat":
    case "heartbeatReply":
    case "readForward":
    case "readReply":
    case "proposeRejected":
      return 0;
  }
}

/** All messages go to `to`. In front of the frame `room` bytes are left free. */
export function encodeFrame({ to, messages, pingMs }: FrameContent, room = 0): Buffer {
  const wire = messages.map((message) => ({ term: BigInt(message.term), kind: kindOf(message) }));
  const head = Frame.encode({ to, messages: wire, pingMs, data: [] }).finish();
  return withBytes(head, { number: dataField, elements: messages.flatMap(dataOf) }, room);
}

/** Keeps no view into `bytes`. Throws {@link FrameError}. */
export function decodeFrame(bytes: Uint8Array, from: MemberId): FrameContent {
  const { to, messages, pingMs, data } = parse(bytes);
  if (!Number.isFinite(pingMs)) throw new FrameError("its clock is no number");
  const reader = new DataReader(data);
  const decoded = messages.map((message) => messageOf(message, { from, to }, reader));
  if (reader.left > 0) throw new FrameError("it holds data of no message");
  return { to, messages: decoded, pingMs };
}

/** What of a message travels at the end of the frame. */
function dataOf(message: Message): readonly Uint8Array[] {
  if (message.kind === "append") return message.entries.map((entry) => entry.data);
  return message.kind === "proposeForward" ? [message.data] : [];
}

function parse(bytes: Uint8Array): Frame {
  try {
    return Frame.decode(bytes);
  } catch (error) {
    throw new FrameError("it cannot be read", { cause: error });
  }
}

function kindOf(message: Message): Kind {
  switch (message.kind) {
    case "preVote":
    case "vote": {
      const { kind, lastIndex, lastTerm, forced } = message;
      const last = { lastIndex: BigInt(lastIndex), lastTerm: BigInt(lastTerm) };
      return { $case: kind, value: { ...last, forced, committed: committedToWire(message) } };
    }
    case "preVoteReply":
    case "voteReply":
      return { $case: message.kind, value: { granted: message.granted, committed: committedToWire(message) } };
    case "timeoutNow":
      return { $case: "timeoutNow", value: {} };
    case "append":
      return { $case: "append", value: appendToWire(message) };
    case "appendReply":
    case "heartbeat":
    case "heartbeatReply":
      return replicationKind(message);
    case "readForward":
    case "readReply":
    case "proposeForward":
    case "proposeRejected":
      return forwardKind(message);
  }
}

function replicationKind(message: Extract<Message, { kind: "appendReply" | "heartbeat" | "heartbeatReply" }>): Kind {
  switch (message.kind) {
    case "appendReply": {
      const { rejected, index, hintIndex, hintTerm } = message;
      const hint = { hintIndex: BigInt(hintIndex), hintTerm: BigInt(hintTerm) };
      return { $case: "appendReply", value: { rejected, index: BigInt(index), ...hint } };
    }
    case "heartbeat":
      return {
        $case: "heartbeat",
        value: { commit: BigInt(message.commit), readRound: BigInt(message.readRound) },
      };
    case "heartbeatReply":
      return { $case: "heartbeatReply", value: { readRound: BigInt(message.readRound) } };
  }
}

function forwardKind(
  message: Extract<Message, { kind: "readForward" | "readReply" | "proposeForward" | "proposeRejected" }>,
): Kind {
  const request = { boot: BigInt(message.boot), requestId: BigInt(message.requestId) };
  switch (message.kind) {
    case "readForward":
      return { $case: "readForward", value: request };
    case "readReply":
      return { $case: "readReply", value: { ...request, index: BigInt(message.index) } };
    case "proposeForward": {
      return { $case: "proposeForward", value: { ...request, sequence: BigInt(message.sequence) } };
    }
    case "proposeRejected":
      return { $case: "proposeRejected", value: { ...request, reason: reasonToWire[message.reason] } };
  }
}

function appendToWire(message: AppendMessage): AppendWire {
  const { previousIndex, previousTerm, commit, entries, quiet } = message;
  const runs: EntryRun[] = [];
  let run: EntryRun | undefined;
  let runTerm = -1;
  for (const [offset, { index, term, kind }] of entries.entries()) {
    invariant(index === previousIndex + 1 + offset, "entries to be sent have a gap", { previousIndex, index, offset });
    const wireKind = kindToWire[kind];
    if (run === undefined || term !== runTerm || run.kind !== wireKind) {
      run = { term: BigInt(term), kind: wireKind, count: 0 };
      runTerm = term;
      runs.push(run);
    }
    run.count += 1;
  }
  return {
    previousIndex: BigInt(previousIndex),
    previousTerm: BigInt(previousTerm),
    commit: BigInt(commit),
    runs,
    quiet: quiet === true,
  };
}

function committedToWire({ committed }: { readonly committed?: CommittedEntry }): CommittedWire | undefined {
  return committed && { index: BigInt(committed.index), term: BigInt(committed.term) };
}

function committedFromWire({ committed }: { readonly committed: CommittedWire | undefined }): {
  readonly committed?: CommittedEntry;
} {
  return committed === undefined ? {} : { committed: { index: safe(committed.index), term: safe(committed.term) } };
}

function messageOf(message: RaftMessage, ends: Ends, data: DataReader): Message {
  const head = { ...ends, term: safe(message.term) };
  const { kind } = message;
  switch (kind?.$case) {
    case "preVote":
    case "vote": {
      const { lastIndex, lastTerm, forced } = kind.value;
      const last = { lastIndex: safe(lastIndex), lastTerm: safe(lastTerm) };
      return { ...head, kind: kind.$case, ...last, forced, ...committedFromWire(kind.value) };
    }
    case "preVoteReply":
    case "voteReply":
      return { ...head, kind: kind.$case, granted: kind.value.granted, ...committedFromWire(kind.value) };
    case "timeoutNow":
      return { ...head, kind: "timeoutNow" };
    case "append":
      return { ...head, ...appendFromWire(kind.value, head.term, data) };
    case "appendReply":
    case "heartbeat":
    case "heartbeatReply":
      return { ...head, ...replicationFrom(kind) };
    case "readForward":
    case "readReply":
    case "proposeForward":
    case "proposeRejected":
      return { ...head, ...forwardFrom(kind, data) };
    case undefined:
      throw new FrameError("it holds a message of an unknown kind");
  }
}

function replicationFrom(kind: Extract<Kind, { $case: "appendReply" | "heartbeat" | "heartbeatReply" }>) {
  switch (kind.$case) {
    case "appendReply": {
      const { rejected, index, hintIndex, hintTerm } = kind.value;
      const hint = { hintIndex: safe(hintIndex), hintTerm: safe(hintTerm) };
      return { kind: "appendReply", rejected, index: safe(index), ...hint } as const;
    }
    case "heartbeat":
      return { kind: "heartbeat", commit: safe(kind.value.commit), readRound: safe(kind.value.readRound) } as const;
    case "heartbeatReply":
      return { kind: "heartbeatReply", readRound: safe(kind.value.readRound) } as const;
  }
}

function forwardFrom(
  kind: Extract<Kind, { $case: "readForward" | "readReply" | "proposeForward" | "proposeRejected" }>,
  data: DataReader,
) {
  const request = { boot: safe(kind.value.boot), requestId: safe(kind.value.requestId) };
  switch (kind.$case) {
    case "readForward":
      return { kind: "readForward", ...request } as const;
    case "readReply":
      return { kind: "readReply", ...request, index: safe(kind.value.index) } as const;
    case "proposeForward": {
      const [proposal = nothing] = data.take(1);
      return { kind: "proposeForward", ...request, sequence: safe(kind.value.sequence), data: proposal } as const;
    }
    case "proposeRejected": {
      const reason = reasonFromWire.get(kind.value.reason);
      if (reason === undefined) throw new FrameError("it holds an unknown reason");
      return { kind: "proposeRejected", ...request, reason } as const;
    }
  }
}

function appendFromWire(append: AppendWire, messageTerm: number, reader: DataReader) {
  const previousIndex = safe(append.previousIndex);
  const previousTerm = safe(append.previousTerm);
  const count = append.runs.reduce((sum, run) => sum + run.count, 0);
  if (!Number.isSafeInteger(previousIndex + count)) throw new FrameError("its entries have no index");
  const data = reader.take(count);
  const entries: Entry[] = [];
  let lastTerm = previousTerm;
  for (const run of append.runs) {
    const term = safe(run.term);
    const kind = kindFromWire.get(run.kind);
    if (kind === undefined || run.count === 0) throw new FrameError("it holds entries of an unknown kind");
    if (term < lastTerm) throw new FrameError("the terms of its entries go backwards");
    const end = entries.length + run.count;
    while (entries.length < end) {
      entries.push({ index: previousIndex + 1 + entries.length, term, kind, data: data[entries.length] ?? nothing });
    }
    lastTerm = term;
  }
  if (lastTerm > messageTerm) throw new FrameError("its entries are of a later term than the message");
  const decoded = { kind: "append", previousIndex, previousTerm, commit: safe(append.commit), entries } as const;
  return append.quiet ? ({ ...decoded, quiet: true } as const) : decoded;
}

const nothing = new Uint8Array(0);

/** A number of the wire as the core's. Throws {@link FrameError} beyond 2^53. */
function safe(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new FrameError("it holds a number beyond 2^53");
  return number;
}
