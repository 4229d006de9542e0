/**
 * What must hold for a whole cluster over all time, whatever is lost, repeated, reordered or crashed. Figure 3.2 of the
 * thesis; spec 1.18. Every check throws with the facts that contradict each other.
 */
import { decodeChange } from "../../../src/server/raft/change.js";
import type { Append, Apply, Effects, Entry, MemberId, Membership, RaftEvent } from "../../../src/server/raft/types.js";
import type { Observer, TestCluster } from "./cluster.js";
import { membershipAfterAll, type TestMember, termOnDisk } from "./member.js";

interface Committed {
  readonly term: number;
  /** The term of the leader that committed it. */
  readonly committedIn: number;
  /** The configuration that this entry leaves behind. */
  readonly membership: Membership;
  applied: Entry | undefined;
}

export class Oracle implements Observer {
  cluster: TestCluster | undefined;
  /** Highest index that any member ever knew as committed; entries by index from 1 on. */
  readonly #committed: Committed[] = [];
  readonly #leaders = new Map<number, string>();
  readonly #votes = new Map<string, MemberId>();
  readonly #durableTerms = new Map<MemberId, number>();
  /** What follows from (index, term): the entry and the term of the one before. */
  readonly #entries = new Map<string, { readonly data: Uint8Array; readonly previousTerm: number | undefined }>();
  readonly #known = new Map<MemberId, { boot: number; commit: number }>();
  readonly #readsBegan = new Map<string, number>();
  readonly #refused = new Set<string>();
  readonly #everMember = new Set<MemberId>();
  readonly #appliedValues = new Set<string>();
  readonly #proposals = new Map<string, string>();
  confirmedReads = 0;
  elections = 0;
  changes = 0;
  installs = 0;
  transfers = 0;

  get commitIndex(): number {
    return this.#committed.length;
  }

  /** As of the newest committed entry. */
  get membership(): Membership {
    return this.#membershipAt(this.commitIndex);
  }

  /** Whether the member ever was in a committed configuration. */
  wasMember(id: MemberId): boolean {
    return this.#everMember.has(id);
  }

  /** The cluster begins with its founding as entry 1. */
  found(cluster: TestCluster): void {
    this.cluster = cluster;
    const { founders } = cluster.shared;
    this.#committed.push({ term: 1, committedIn: 1, membership: founders, applied: undefined });
    for (const id of [...founders.voters, ...founders.learners]) this.#everMember.add(id);
  }

  onStep(member: TestMember, event: RaftEvent): void {
    // A read must see all that was committed anywhere before it began (I8).
    if (event.kind === "read") this.#readsBegan.set(this.#request(member, event.requestId), this.commitIndex);
    if (event.kind === "propose" || event.kind === "proposeChange") {
      this.#proposals.set(this.#request(member, event.requestId), new TextDecoder().decode(event.data));
    }
    this.#checkCommit(member);
    this.#checkMembership(member);
  }

  onEffects(member: TestMember, effects: Effects): void {
    if (effects.role?.role === "leader") this.#checkElection(member, effects.role.term);
    if (effects.append !== undefined) this.#checkEntries(member, effects.append);
    this.transfers += effects.send.filter(({ kind }) => kind === "timeoutNow").length;
    for (const { requestId, index } of effects.reads) {
      this.confirmedReads += 1;
      const began = this.#readsBegan.get(this.#request(member, requestId));
      expectThat(began !== undefined && index >= began, "a read missed what was committed before it", {
        member: member.id,
        index,
        began,
      });
    }
    for (const { requestId } of effects.rejected) {
      const proposal = this.#proposals.get(this.#request(member, requestId));
      if (proposal !== undefined) this.#refused.add(proposal);
    }
  }

  onWrite(member: TestMember, append: Append): void {
    this.#checkChangesOnDisk(member, append);
    if (append.hardState === undefined) return;
    const { term, vote } = append.hardState;
    expectThat(term >= (this.#durableTerms.get(member.id) ?? 0), "a durable term went back", {
      member: member.id,
      term,
    });
    this.#durableTerms.set(member.id, term);
    if (vote === undefined) return;
    const key = `${member.id} in ${term}`;
    const earlier = this.#votes.get(key) ?? vote;
    expectThat(earlier === vote, "two votes in one term", { key, earlier, vote });
    this.#votes.set(key, vote);
  }

  onApply(member: TestMember, apply: Apply): void {
    expectThat(apply.first === member.applied.length + 1, "applied out of order", { first: apply.first });
    for (const entry of apply.entries) {
      const committed = this.#committed[entry.index - 1];
      expectThat(committed?.term === entry.term, "applied what is not committed", {
        member: member.id,
        entry,
        committed,
      });
      // State machine safety: one entry for an index, on all members and for ever.
      const earlier = committed.applied ?? entry;
      expectThat(same(earlier, entry), "two entries applied at one index", { earlier, entry });
      if (committed.applied === undefined && entry.kind !== "noop") {
        expectThat(!this.#appliedValues.has(text(entry)), "a proposal was applied twice", { entry: text(entry) });
        this.#appliedValues.add(text(entry));
      }
      committed.applied = entry;
      expectThat(!this.#refused.has(text(entry)), "a refused proposal was applied", { entry: text(entry) });
      const durable = termOnDisk(member.disk, entry.index) ?? entry.term;
      expectThat(durable === entry.term, "applied what is not durable here", { member: member.id, entry, durable });
    }
  }

  /** One leader in a term, and it holds everything that was committed before. */
  #checkElection(member: TestMember, term: number): void {
    this.elections += 1;
    const leader = `${member.id} boot ${member.bootCount}`;
    const earlier = this.#leaders.get(term) ?? leader;
    expectThat(earlier === leader, "two leaders in one term", { term, earlier, leader });
    this.#leaders.set(term, leader);
    const first = member.core?.firstIndex ?? 1;
    const { voters } = this.#membershipAt(member.core?.commitIndex ?? 0);
    expectThat(voters.includes(member.id), "a leader is no voter", { leader, term, voters });
    for (let index = first; index <= this.commitIndex; index += 1) {
      const held = member.core?.termAt(index);
      const { term: committed, committedIn = 0 } = this.#committed[index - 1] ?? {};
      // Late votes may make a leader of a term that is over already; it will not get far.
      if (committedIn > term) continue;
      expectThat(held === committed, "a leader lacks a committed entry", { leader, term, index, held, committed });
    }
  }

  /** Log matching: (index, term) fixes the entry and, step by step, all entries before it. */
  #checkEntries(member: TestMember, append: Append): void {
    let previousTerm = member.core?.termAt((append.entries[0]?.index ?? 0) - 1);
    for (const { index, term, data } of append.entries) {
      const key = `${index}@${term}`;
      const known = this.#entries.get(key) ?? { data, previousTerm };
      const matches = Buffer.compare(known.data, data) === 0 && (known.previousTerm ?? previousTerm) === previousTerm;
      expectThat(matches || previousTerm === undefined, "logs do not match", { member: member.id, key });
      this.#entries.set(key, known);
      previousTerm = term;
    }
  }

  /** Whatever a member takes for committed is on the disks of a majority, and is what the others take for committed. */
  #checkCommit(member: TestMember): void {
    const { core } = member;
    if (core === undefined) return;
    const known = this.#known.get(member.id);
    const from = known?.boot === member.bootCount ? known.commit : core.firstIndex - 1;
    if (from === core.commitIndex && known?.boot === member.bootCount) return;
    const before = this.#membershipAt(from);
    for (let index = Math.max(from + 1, core.firstIndex); index <= core.commitIndex; index += 1) {
      const term = core.termAt(index);
      if (term === undefined) continue;
      const committed = this.#committed[index - 1];
      if (committed === undefined) {
        expectThat(index === this.commitIndex + 1, "a commit skipped an index", { index });
        this.#checkDurable({ index, term }, before);
        this.#commit(member, { index, term });
      } else {
        expectThat(committed.term === term, "two entries committed at one index", { member: member.id, index, term });
      }
    }
    this.#known.set(member.id, { boot: member.bootCount, commit: core.commitIndex });
  }

  #commit(member: TestMember, { index, term }: { readonly index: number; readonly term: number }): void {
    const before = this.#membershipAt(index - 1);
    const membership = membershipAfterAll(before, member.core?.entries({ from: index, to: index }) ?? []);
    if (membership !== before) {
      this.changes += 1;
      const changed = difference(before.voters, membership.voters) + difference(membership.voters, before.voters);
      expectThat(changed <= 1, "two voters changed at once", { before, membership });
      for (const id of [...membership.voters, ...membership.learners]) this.#everMember.add(id);
    }
    this.#committed.push({ term, committedIn: member.core?.term ?? 0, membership, applied: undefined });
  }

  /** The whole cluster's configuration after the entry. */
  #membershipAt(index: number): Membership {
    return this.#committed[index - 1]?.membership ?? this.cluster?.shared.founders ?? { voters: [], learners: [] };
  }

  /** A change counts from its commit on: what is committed together with it needs the majority of before. */
  #checkDurable(entry: { readonly index: number; readonly term: number }, before: Membership): void {
    const { index, term } = entry;
    const holders = [...(this.cluster?.members.values() ?? [])]
      .filter(({ disk }) => disk.firstIndex > index || termOnDisk(disk, index) === term)
      .map(({ id }) => id);
    const isMajority = ({ voters }: Membership): boolean =>
      voters.filter((voter) => holders.includes(voter)).length * 2 > voters.length;
    const after = this.#membershipAt(index - 1);
    const facts = { index, term, holders, before, after };
    expectThat(isMajority(before) || isMajority(after), "committed without a durable majority", facts);
  }

  /** Every member uses the configuration as of its own commit index, and none but a joiner has none. */
  #checkMembership(member: TestMember): void {
    const { core } = member;
    if (core === undefined) return;
    const { membership, commitIndex } = core;
    const expected = this.#membershipAt(commitIndex);
    if (membership === expected || (commitIndex === 0 && membership.voters.length === 0)) return;
    expectThat(sameMembers(membership, expected), "a member uses another configuration than the one it has committed", {
      member: member.id,
      commitIndex,
      membership,
      expected,
    });
  }

  /** A durable log never holds two changes that its durable commit index does not cover (I28); snapshots say who they are. */
  #checkChangesOnDisk(member: TestMember, { compact, install }: Append): void {
    const { disk } = member;
    if (install !== undefined) this.installs += 1;
    const open = disk.entries.filter(({ kind, index }) => kind === "change" && index > disk.hardState.commit);
    expectThat(open.length <= 1, "two uncommitted changes on one disk", { member: member.id, open });
    if (compact === undefined && install === undefined) return;
    const expected = this.#membershipAt(disk.firstIndex - 1);
    expectThat(sameMembers(disk.membership, expected), "a disk holds another configuration", {
      member: member.id,
      firstIndex: disk.firstIndex,
      membership: disk.membership,
      expected,
    });
  }

  #request(member: TestMember, requestId: number): string {
    return `${member.id} boot ${member.bootCount} request ${requestId}`;
  }
}

function same(a: Entry, b: Entry): boolean {
  return a.term === b.term && a.kind === b.kind && Buffer.compare(a.data, b.data) === 0;
}

function text({ kind, data }: Entry): string {
  return new TextDecoder().decode(kind === "change" ? decodeChange(data).command : data);
}

function difference(from: readonly MemberId[], what: readonly MemberId[]): number {
  return from.filter((id) => !what.includes(id)).length;
}

function sameMembers(a: Membership, b: Membership): boolean {
  if (a.voters.length !== b.voters.length || a.learners.length !== b.learners.length) return false;
  return difference(a.voters, b.voters) + difference(a.learners, b.learners) === 0;
}

function expectThat(condition: boolean, message: string, facts: Record<string, unknown>): asserts condition {
  if (condition) return;
  throw new Error(
    `${message}: ${JSON.stringify(facts, (_key, value: unknown) => (typeof value === "bigint" ? `${value}` : value))}`,
  );
}
