/**
 * Makes a member the only one of its cluster, when the others are lost for good (spec/raft-storage.md 1.15): changes of the
 * membership that a quorum would have had to agree to are written into the log as if it had. Everything else in the log
 * stays: the entries after the known commit index too, since any of them may have been acknowledged.
 */
import { invariant } from "../invariant.js";
import { decodeChange, encodeChange } from "../raft/change.js";
import type { Entry, MemberId, Membership, MembershipChange } from "../raft/types.js";
import { StorageRefused } from "../storage/failure.js";
import type { InitialState, LogBatch, LogStore } from "../storage/types.js";
import { encodeCommand } from "./command.js";
import type { CommandBody, StateReader } from "./types.js";

/**
 * Appends what is needed, durably, and marks all of the log as committed. `log` and `state` were just opened and nothing has
 * run on them; open the log again afterwards, since `log.initial` is what was there before. Harmless if repeated. Returns
 * the ids of the members that are left out from now on.
 * Throws StorageRefused `notInitialized` if this member has not received the state of the cluster yet, or was removed.
 */
export function forceNewCluster(
  log: LogStore,
  state: Pick<StateReader, "appliedIndex" | "isRemoved">,
): readonly MemberId[] {
  const { initial } = log;
  const self = initial.identity.memberId;
  if (state.isRemoved(self)) throw refusal("was removed from its cluster");
  const kept = entriesToKeep(initial, state.appliedIndex());
  const membership = kept.reduce(membershipAfter, initial.membership);
  const isLearner = membership.learners.includes(self);
  if (!isLearner && !membership.voters.includes(self)) throw refusal("has not received the state of its cluster yet");
  const others = [...membership.voters, ...membership.learners].filter((id) => id !== self);
  // First the promotion: a configuration without a voter can not be.
  const changes: MembershipChange[] = isLearner ? [{ op: "promote", member: self }] : [];
  changes.push(...others.map((member): MembershipChange => ({ op: "remove", member })));
  log.append(batchOf(initial, kept, changes));
  return others;
}

function refusal(why: string): StorageRefused {
  return new StorageRefused("notInitialized", `this member ${why}; it cannot become a cluster of its own`);
}

/** All entries, unless one that may still be taken back would remove this very member. */
function entriesToKeep({ identity, entries, hardState }: InitialState, applied: number): readonly Entry[] {
  const settled = Math.max(hardState.commit, applied);
  const end = entries.findIndex((entry) => {
    if (entry.index <= settled || entry.kind !== "change") return false;
    const { op, member } = decodeChange(entry.data).change;
    return op === "remove" && member === identity.memberId;
  });
  return end < 0 ? entries : entries.slice(0, end);
}

function membershipAfter(before: Membership, { kind, data }: Entry): Membership {
  if (kind !== "change") return before;
  const { op, member } = decodeChange(data).change;
  const voters = before.voters.filter((id) => id !== member);
  const learners = before.learners.filter((id) => id !== member);
  switch (op) {
    case "addVoter":
    case "promote":
      return { voters: [...voters, member], learners };
    case "addLearner":
      return { voters, learners: [...learners, member] };
    case "remove":
      return { voters, learners };
    case "update":
      return before;
  }
}

/** A term of its own, so that no entry of a member that comes back after all has the same index and term. */
function batchOf(initial: InitialState, kept: readonly Entry[], changes: readonly MembershipChange[]): LogBatch {
  const { identity, hardState, firstIndex } = initial;
  const last = kept.at(-1)?.index ?? firstIndex - 1;
  const term = hardState.term + 1;
  const entries = changes.map((change, at): Entry => {
    const command = encodeCommand({ origin: 0n, boot: 0, sequence: 0 }, commandOf(change));
    return { index: last + 1 + at, term, kind: "change", data: encodeChange(change, command) };
  });
  const dropped = kept.length < initial.entries.length;
  return {
    hardState: { term, vote: identity.memberId, commit: last + entries.length },
    truncateFrom: dropped ? last + 1 : undefined,
    entries,
    compact: undefined,
    install: undefined,
  };
}

function commandOf({ op, member: id }: MembershipChange): CommandBody {
  invariant(op === "remove" || op === "promote", "a forced cluster only loses members", { op });
  return op === "remove" ? { $case: "memberRemove", value: { id } } : { $case: "memberPromote", value: { id } };
}
