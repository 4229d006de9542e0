/** What a single change makes of a configuration, and which changes fit. Spec 1.15. */
import { invariant } from "../invariant.js";
import { decodeChange } from "./change.js";
import type { Entry, MemberId, Membership, MembershipChange } from "./types.js";

/**
 * The configuration after the change; undefined if it does not fit: who is added must be new, who is promoted a learner,
 * who is removed or updated a member, and somebody must be left to vote. `update` gives back the very same object.
 */
export function nextMembership(membership: Membership, { op, member }: MembershipChange): Membership | undefined {
  const { voters, learners } = membership;
  const isVoter = voters.includes(member);
  const isLearner = learners.includes(member);
  switch (op) {
    case "addVoter":
      return isVoter || isLearner ? undefined : { voters: [...voters, member], learners };
    case "addLearner":
      return isVoter || isLearner ? undefined : { voters, learners: [...learners, member] };
    case "promote":
      return isLearner ? { voters: [...voters, member], learners: without(learners, member) } : undefined;
    case "remove":
      if ((!isVoter && !isLearner) || (isVoter && voters.length === 1)) return undefined;
      return { voters: without(voters, member), learners: without(learners, member) };
    case "update":
      return isVoter || isLearner ? membership : undefined;
  }
}

/** The configuration after a committed change entry, which was checked before it was appended. */
export function membershipAfter(membership: Membership, entry: Entry): Membership {
  const { change } = decodeChange(entry.data);
  const next = nextMembership(membership, change);
  invariant(next !== undefined, "a committed membership change does not fit the configuration", {
    index: entry.index,
    ...change,
    voters: membership.voters,
    learners: membership.learners,
  });
  return next;
}

export function isMember({ voters, learners }: Membership, id: MemberId): boolean {
  return voters.includes(id) || learners.includes(id);
}

function without<T>(members: readonly T[], gone: T): readonly T[] {
  return members.includes(gone) ? members.filter((member) => member !== gone) : members;
}
