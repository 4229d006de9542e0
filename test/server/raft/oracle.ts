/**
 * What must hold for a whole cluster over all time, whatever is lost, repeated, reordered or crashed. Figure 3.2 of the
 * thesis; spec 1.18. Every check throws with the facts that contradict each other.
 */
import type { Append, Apply, Effects, Entry, MemberId, RaftEvent } from "../../../src/server/raft/types.js";
import type { Observer, TestCluster } from "./cluster.js";
import { type TestMember, termOnDisk } from "./member.js";

interface Committed {
  readonly term: number;
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
  readonly #appliedValues = new Set<string>();
  readonly #proposals = new Map<string, string>();
  confirmedReads = 0;
  elections = 0;

  get commitIndex(): number {
    return this.#committed.length;
  }

  onStep(member: TestMember, event: RaftEvent): void {
    // A read must see all that was committed anywhere before it began (I8).
    if (event.kind === "read") this.#readsBegan.set(this.#request(member, event.requestId), this.commitIndex);
    if (event.kind === "propose") {
      this.#proposals.set(this.#request(member, event.requestId), new TextDecoder().decode(event.data));
    }
    this.#checkCommit(member);
  }

  onEffects(member: TestMember, effects: Effects): void {
    if (effects.role?.role === "leader") this.#checkElection(member, effects.role.term);
    if (effects.append !== undefined) this.#checkEntries(member, effects.append);
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
      if (committed.applied === undefined && entry.kind === "command") {
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
    for (let index = first; index <= this.commitIndex; index += 1) {
      const held = member.core?.termAt(index);
      const committed = this.#committed[index - 1]?.term;
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
    for (let index = from + 1; index <= core.commitIndex; index += 1) {
      const term = core.termAt(index);
      if (term === undefined) continue;
      const committed = this.#committed[index - 1];
      if (committed === undefined) {
        expectThat(index === this.commitIndex + 1, "a commit skipped an index", { index });
        this.#checkDurable(index, term);
        this.#committed.push({ term, applied: undefined });
      } else {
        expectThat(committed.term === term, "two entries committed at one index", { member: member.id, index, term });
      }
    }
    this.#known.set(member.id, { boot: member.bootCount, commit: core.commitIndex });
  }

  #checkDurable(index: number, term: number): void {
    const voters = [...(this.cluster?.members.values() ?? [])].filter((member) =>
      member.disk.membership.voters.includes(member.id),
    );
    const holders = voters.filter(({ disk }) => disk.firstIndex > index || termOnDisk(disk, index) === term);
    const facts = { index, term, holders: holders.map(({ id }) => id) };
    expectThat(holders.length * 2 > voters.length, "committed without a durable majority", facts);
  }

  #request(member: TestMember, requestId: number): string {
    return `${member.id} boot ${member.bootCount} request ${requestId}`;
  }
}

function same(a: Entry, b: Entry): boolean {
  return a.term === b.term && a.kind === b.kind && Buffer.compare(a.data, b.data) === 0;
}

function text(entry: Entry): string {
  return new TextDecoder().decode(entry.data);
}

function expectThat(condition: boolean, message: string, facts: Record<string, unknown>): asserts condition {
  if (condition) return;
  throw new Error(
    `${message}: ${JSON.stringify(facts, (_key, value: unknown) => (typeof value === "bigint" ? `${value}` : value))}`,
  );
}
