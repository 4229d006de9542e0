/** Small builders for tests of the Raft core: configurations, restored states, entries and one-member drivers. */
import { encodeChange } from "../../../src/server/raft/change.js";
import { RaftCore } from "../../../src/server/raft/core.js";
import type {
  Effects,
  Entry,
  MemberId,
  MembershipChange,
  Message,
  RaftConfig,
  RaftEvent,
  RaftLimits,
  RestoredState,
} from "../../../src/server/raft/types.js";

export const limits: RaftLimits = {
  messageBytesMax: 512 * 1024,
  inflightMessagesMax: 256,
  inflightBytesMax: 16 * 1024 * 1024,
  uncommittedBytesMax: 64 * 1024 * 1024,
  appliedLagEntriesMax: 5000,
  applyEntriesMax: 1000,
  applyBytesMax: 4 * 1024 * 1024,
};

export function config(
  id: MemberId,
  changes: Partial<Omit<RaftConfig, "limits">> & { limits?: Partial<RaftLimits> } = {},
): RaftConfig {
  return {
    id,
    electionTicks: 10,
    heartbeatTicks: 1,
    preVote: true,
    ...changes,
    limits: { ...limits, ...changes.limits },
  };
}

/** A log of one entry a term given: terms(1, 1, 2) is entries 1 to 3. */
export function terms(...each: number[]): Entry[] {
  return each.map((term, offset) => entry(offset + 1, term));
}

export function entry(index: number, term: number, text = `${term}.${index}`): Entry {
  return { index, term, kind: "command", data: new TextEncoder().encode(text) };
}

export function restored(voters: readonly MemberId[], changes: Partial<RestoredState> = {}): RestoredState {
  return {
    hardState: { term: 0, vote: undefined, commit: 0 },
    firstIndex: 1,
    previousTerm: 0,
    entries: [],
    applied: 0,
    membership: { voters, learners: [] },
    seed: 1,
    ...changes,
  };
}

/** A membership change as it stands in a log. */
export function changeEntry(index: number, term: number, op: MembershipChange["op"], member: MemberId): Entry {
  return { index, term, kind: "change", data: encodeChange({ op, member }, bytes(`${op} ${member}`)) };
}

export function proposeChange(op: MembershipChange["op"], member: MemberId, requestId = 1): RaftEvent {
  return { kind: "proposeChange", requestId, change: { op, member }, data: bytes(`${op} ${member}`) };
}

/** The echo of a heartbeat. */
export function echo(sender: MemberId, term: number, readRound = 0): RaftEvent {
  return from(sender, "heartbeatReply", { term, readRound });
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Steps the events and takes the effects of the turn; fails if the turn had none. */
export function turn(core: RaftCore, ...events: RaftEvent[]): Effects {
  for (const event of events) core.step(event);
  const effects = core.take();
  if (effects === undefined) throw new Error("the turn had no effects");
  return effects;
}

/** A single voter that leads, with its empty entry committed and applied. */
export function aloneAndLeading(changes: Parameters<typeof config>[1] = {}): RaftCore {
  const core = new RaftCore(config(1n, changes), restored([1n]));
  const vote = turn(core, { kind: "campaign" });
  const noop = turn(core, durable(vote));
  const apply = turn(core, durable(noop));
  core.step({ kind: "applied", index: apply.apply?.last ?? 0 });
  return core;
}

export function durable(effects: Effects): RaftEvent {
  if (effects.append === undefined) throw new Error("the turn wrote nothing");
  return { kind: "durable", appendId: effects.append.id };
}

/** A message as an event; `to` is the member under test unless it is given. */
export function from<Kind extends Message["kind"]>(
  sender: MemberId,
  kind: Kind,
  body: Omit<Message & { readonly kind: Kind }, "kind" | "from" | "to"> & { readonly to?: MemberId },
): RaftEvent {
  return { kind: "message", message: { from: sender, to: 1n, kind, ...body } as unknown as Message };
}

/** An accepted append, as a follower answers it. */
export function accepted(sender: MemberId, term: number, index: number): RaftEvent {
  return from(sender, "appendReply", { term, rejected: false, index, hintIndex: 0, hintTerm: 0 });
}

export function ticks(core: RaftCore, count: number): void {
  for (let left = count; left > 0; left -= 1) core.step({ kind: "tick" });
}

/** Everything that the effects let out at once or after the write. */
export function messages(effects: Effects): readonly Message[] {
  return [...effects.send, ...(effects.append?.sendAfter ?? [])];
}

/** Member 1 with its vote durable and granted by member 2; its empty entry is being written. */
export function elected(core: RaftCore): Effects {
  const vote = turn(core, { kind: "campaign" });
  if (core.role === "preCandidate") {
    const candidacy = turn(core, from(2n, "preVoteReply", { term: core.term + 1, granted: true }));
    core.step(durable(candidacy));
  } else {
    core.step(durable(vote));
  }
  return turn(core, from(2n, "voteReply", { term: core.term, granted: true }));
}

/** A leader of three whose empty entry is durable here and on member 2, committed and applied. */
export function leading(core: RaftCore): RaftCore {
  const noop = elected(core);
  core.step(durable(noop));
  const done = turn(core, accepted(2n, core.term, core.lastIndex));
  core.step({ kind: "applied", index: done.apply?.last ?? core.appliedIndex });
  core.take();
  return core;
}

export function threeMembers(
  changes: Partial<RestoredState> = {},
  configured: Parameters<typeof config>[1] = {},
): RaftCore {
  return new RaftCore(config(1n, configured), restored([1n, 2n, 3n], changes));
}
