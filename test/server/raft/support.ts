/** Small builders for tests of the Raft core: configurations, restored states, entries and one-member drivers. */
import { RaftCore } from "../../../src/server/raft/core.js";
import type {
  Effects,
  Entry,
  MemberId,
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
