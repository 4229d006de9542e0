/**
 * The promises of Raft over all members at once (spec/raft-storage.md 1.18), checked while they could break: election
 * safety, log matching, leader completeness, state machine safety, and every commit on a quorum of durable logs.
 */
import { decodeChange } from "../../../src/server/raft/change.js";
import type { Entry, HardState, MemberId, Membership, Role } from "../../../src/server/raft/types.js";
import type { InitialState, LogBatch } from "../../../src/server/storage/types.js";
import { Violation } from "../world/world.js";

/** The log of one member as its disk holds it. */
interface DurableLog {
  firstIndex: number;
  /** Terms of the entries from `firstIndex` on. */
  terms: number[];
  /** The commit index that was stored with them. */
  commit: number;
}

/** What is looked at after every event of a member: its core. */
export interface MemberView {
  readonly role: Role;
  readonly term: number;
  readonly commitIndex: number;
  /** Term of an entry in the member's memory; undefined if it is compacted or not there. */
  termAt(index: number): number | undefined;
  readonly firstIndex: number;
}

interface KnownEntry {
  readonly kind: Entry["kind"];
  readonly data: Uint8Array;
  readonly previousTerm: number;
}

interface Seen {
  role: Role;
  term: number;
  commit: number;
}

export class RaftChecks {
  /** Highest index that some member has committed. */
  committedIndex: number;
  private readonly firstCommitted: number;
  /** Term of each committed entry, from the index after the founding on. */
  private readonly committedTerms: number[] = [];
  /** In which term each of them was committed. */
  private readonly committedIn: number[] = [];
  private readonly durable = new Map<MemberId, DurableLog>();
  private readonly seen = new Map<MemberId, Seen>();
  private readonly leaders = new Map<number, MemberId>();
  /** The newest vote of each member that left it. */
  private readonly votes = new Map<MemberId, { readonly term: number; readonly candidate: MemberId }>();
  /** Every entry that was ever durable anywhere, by index and term. */
  private readonly known: Map<number, KnownEntry>[] = [];
  private membership: Membership;
  private readonly tally: (what: string) => void;

  /** `foundedIndex` is where the log of every founder starts after. */
  constructor(membership: Membership, foundedIndex: number, tally: (what: string) => void) {
    this.membership = membership;
    this.tally = tally;
    this.firstCommitted = foundedIndex + 1;
    this.committedIndex = foundedIndex;
  }

  /** As of the committed log. */
  get current(): Membership {
    return this.membership;
  }

  isMember(id: MemberId): boolean {
    return this.membership.voters.includes(id) || this.membership.learners.includes(id);
  }

  /** A member begins with this log: new, or after a restart. */
  opened(
    id: MemberId,
    { firstIndex, entries, hardState }: Pick<InitialState, "firstIndex" | "entries" | "hardState">,
  ): void {
    this.durable.set(id, { firstIndex, terms: entries.map(({ term }) => term), commit: hardState.commit });
    this.assertRemembers(id, hardState);
    this.seen.delete(id);
  }

  /** A vote was given, and its message is on its way: there is one for a term, over all restarts (I1). */
  voted(id: MemberId, term: number, candidate: MemberId): void {
    const vote = this.votes.get(id);
    if (vote?.term === term && vote.candidate !== candidate) {
      throw new Violation(
        "one vote",
        `${name(id)} votes for ${name(candidate)} and ${name(vote.candidate)} in term ${term}`,
      );
    }
    if (vote === undefined || term > vote.term) this.votes.set(id, { term, candidate });
  }

  private assertRemembers(id: MemberId, { term, vote }: HardState): void {
    const given = this.votes.get(id);
    if (given === undefined || term > given.term) return;
    if (term === given.term && vote === given.candidate) return;
    const found = `term ${term}, vote ${vote === undefined ? "none" : name(vote)}`;
    throw new Violation(
      "one vote",
      `${name(id)} voted for ${name(given.candidate)} in term ${given.term}; its disk says ${found}`,
    );
  }

  /** The disk of the member is gone for good. What it held counts on: its acknowledgements may be on their way. */
  wiped(id: MemberId): void {
    this.seen.delete(id);
  }

  /** The batch is durable on this member. */
  written(id: MemberId, batch: LogBatch): void {
    const log = this.durable.get(id);
    if (log === undefined) return;
    if (batch.truncateFrom !== undefined) this.tally("truncations");
    if (batch.compact !== undefined) this.tally("log compactions");
    if (batch.install !== undefined) {
      this.tally("installs");
      log.firstIndex = batch.install.index + 1;
      log.terms = [];
      return;
    }
    if (batch.truncateFrom !== undefined) log.terms.length = Math.max(0, batch.truncateFrom - log.firstIndex);
    if (batch.hardState !== undefined) log.commit = Math.max(log.commit, batch.hardState.commit);
    for (const entry of batch.entries) {
      this.entryWritten(id, log, entry);
      if (entry.kind === "change") this.changeWritten(id, log, entry);
    }
    if (batch.compact !== undefined && batch.compact.to >= log.firstIndex) {
      log.terms = log.terms.slice(batch.compact.to - log.firstIndex + 1);
      log.firstIndex = batch.compact.to + 1;
    }
  }

  private entryWritten(id: MemberId, log: DurableLog, entry: Entry): void {
    const at = entry.index - log.firstIndex;
    if (at !== log.terms.length)
      throw new Violation(
        "log gap",
        `member ${name(id)} wrote ${entry.index} after ${log.firstIndex + log.terms.length - 1}`,
      );
    const previousTerm = log.terms.at(-1) ?? -1;
    log.terms.push(entry.term);
    const byTerm = (this.known[entry.index] ??= new Map<number, KnownEntry>());
    const known = byTerm.get(entry.term);
    if (known === undefined) {
      byTerm.set(entry.term, { kind: entry.kind, data: entry.data, previousTerm });
      return;
    }
    const samePrevious = known.previousTerm === previousTerm || known.previousTerm < 0 || previousTerm < 0;
    if (known.kind !== entry.kind || !samePrevious || !sameBytes(known.data, entry.data)) {
      throw new Violation(
        "log matching",
        `member ${name(id)} holds another entry ${entry.index} of term ${entry.term}`,
      );
    }
  }

  /**
   * A log holds one change that is not committed at most (I24), and the commit index that is stored with a change covers
   * the one before it (I28), so that no restart counts votes with a configuration that is two changes old.
   */
  private changeWritten(id: MemberId, log: DurableLog, { index }: Entry): void {
    for (let before = index - 1; before >= Math.max(log.firstIndex, log.commit + 1); before -= 1) {
      const known = this.known[before]?.get(log.terms[before - log.firstIndex] ?? -1);
      if (known?.kind !== "change") continue;
      const committed = before <= this.committedIndex;
      throw new Violation(
        "changes",
        `${name(id)} wrote the change ${index} ${committed ? `with commit ${log.commit}` : "while one is under way"} after the change ${before}`,
      );
    }
  }

  /** After an event of this member. */
  look(id: MemberId, view: MemberView): void {
    let seen = this.seen.get(id);
    if (seen === undefined) this.seen.set(id, (seen = { role: "follower", term: 0, commit: 0 }));
    const { role, term, commitIndex: commit } = view;
    if (term < seen.term) throw new Violation("term", `${name(id)} went from term ${seen.term} to ${term}`);
    if (commit < seen.commit) throw new Violation("commit", `${name(id)} went back to commit ${commit}`);
    if (commit > seen.commit) this.committed(id, view);
    if (role === "leader" && (seen.role !== "leader" || seen.term !== term)) this.elected(id, view);
    seen.role = role;
    seen.term = term;
    seen.commit = commit;
  }

  private elected(id: MemberId, view: MemberView): void {
    const { term, firstIndex } = view;
    const other = this.leaders.get(term);
    if (other !== undefined && other !== id)
      throw new Violation("election safety", `${name(other)} and ${name(id)} lead in term ${term}`);
    this.leaders.set(term, id);
    this.tally("elections");
    for (let index = Math.max(firstIndex, this.firstCommitted); index <= this.committedIndex; index += 1) {
      // What was committed in a later term is no business of a leader that was elected late, after a pause, in an older one.
      const committedIn = this.committedIn[index - this.firstCommitted] ?? 0;
      if (committedIn >= term || view.termAt(index) === this.committedTerm(index)) continue;
      throw new Violation(
        "leader completeness",
        `leader ${name(id)} of term ${term} lacks the committed entry ${index}`,
      );
    }
  }

  private committedTerm(index: number): number | undefined {
    return this.committedTerms[index - this.firstCommitted];
  }

  private committed(id: MemberId, view: MemberView): void {
    const { commitIndex: commit, firstIndex } = view;
    const from = Math.max(firstIndex, this.firstCommitted, this.seen.get(id)?.commit ?? 0);
    for (let index = from; index <= Math.min(commit, this.committedIndex); index += 1) {
      const term = view.termAt(index);
      if (term === this.committedTerm(index) || term === undefined) continue;
      throw new Violation(
        "state machine safety",
        `${name(id)} commits ${index} of term ${term}, not of ${this.committedTerm(index)}`,
      );
    }
    // A leader counts for entries of its own term only; older ones ride along (thesis 3.6.2).
    if (view.role === "leader" && commit > this.committedIndex && view.termAt(commit) !== view.term) {
      throw new Violation(
        "commit rule",
        `leader ${name(id)} of term ${view.term} commits ${commit} of term ${view.termAt(commit)}`,
      );
    }
    // What is committed in one go with a change may rest on the voters before it: majorities of neighbours overlap.
    const before = this.membership;
    for (let index = this.committedIndex + 1; index <= commit; index += 1) {
      const term = view.termAt(index);
      if (term === undefined) throw new Violation("commit", `${name(id)} committed ${index}, which it does not hold`);
      if (!this.onQuorum(before, index, term)) this.assertOnQuorum(index, term, id);
      this.committedTerms.push(term);
      this.committedIn.push(view.term);
      this.committedIndex = index;
      this.followChange(index, term);
    }
  }

  private onQuorum({ voters }: Membership, index: number, term: number): boolean {
    return voters.filter((voter) => this.holds(voter, index, term)).length > voters.length / 2;
  }

  private assertOnQuorum(index: number, term: number, id: MemberId): void {
    if (this.onQuorum(this.membership, index, term)) return;
    const { voters } = this.membership;
    const where = voters.filter((voter) => this.holds(voter, index, term)).map(name);
    throw new Violation(
      "quorum durability",
      `${name(id)} committed ${index} of term ${term}, durable only on [${where.join(" ")}] of ${voters.length}`,
    );
  }

  private holds(id: MemberId, index: number, term: number): boolean {
    const log = this.durable.get(id);
    if (log === undefined) return false;
    return index < log.firstIndex || log.terms[index - log.firstIndex] === term;
  }

  private followChange(index: number, term: number): void {
    const entry = this.known[index]?.get(term);
    if (entry?.kind !== "change") return;
    const { op, member } = decodeChange(entry.data).change;
    this.tally(op);
    const { voters, learners } = this.membership;
    const without = (ids: readonly MemberId[]): MemberId[] => ids.filter((one) => one !== member);
    switch (op) {
      case "addVoter":
      case "promote":
        this.membership = { voters: [...without(voters), member], learners: without(learners) };
        return;
      case "addLearner":
        this.membership = { voters, learners: [...without(learners), member] };
        return;
      case "remove":
        this.membership = { voters: without(voters), learners: without(learners) };
        return;
      case "update":
    }
  }

  /** The member applies these entries: they must be the committed ones. */
  applies(id: MemberId, entries: readonly Entry[]): void {
    for (const { index, term, data } of entries) {
      if (index > this.committedIndex)
        throw new Violation("state machine safety", `${name(id)} applies ${index}, which nobody committed`);
      const committedTerm = this.committedTerm(index);
      const known = this.known[index]?.get(term);
      const same = committedTerm === term && known !== undefined && sameBytes(known.data, data);
      if (!same)
        throw new Violation("state machine safety", `${name(id)} applies another entry ${index} of term ${term}`);
    }
  }
}

/** Short, for people. */
export function name(id: MemberId): string {
  return `m${(id & 0xffffn).toString(16)}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}
