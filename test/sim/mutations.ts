/**
 * Real bugs of etcd's history, and mistakes that every Raft is at risk of, as changes of our source. Each must be found by
 * some seed: a checker that cannot fail proves nothing.
 */

import type { FaultKind } from "./cluster/nemesis.js";
import { diskMutations } from "./disk-mutations.js";

export interface Patch {
  /** Path from the package's root. */
  readonly file: string;
  /** Must occur exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  /** What it stands for, with the number of etcd's issue if there is one. */
  readonly bug: string;
  /** Which checks may find it; a run that breaks in any other way proves nothing. */
  readonly finds: readonly string[];
  /** It is found within so many seeds, from 1 on, of so many simulated minutes. */
  readonly seeds: number;
  readonly minutes: number;
  /** Faults that lead to it, for what would take too many seeds with all of them. */
  readonly only?: readonly FaultKind[];
  readonly patches: readonly Patch[];
}

export const mutations: readonly Mutation[] = [
  {
    name: "ack-before-durable",
    finds: ["quorum durability", "durability"],
    seeds: 3,
    minutes: 2,
    bug: "an entry counts and is answered before it is on disk (etcd 14370)",
    patches: [
      {
        file: "src/server/replica/turn.ts",
        find: "this.writes.push(write);",
        replace: "this.writes.push(write); if (append.install === undefined) this.finished(write);",
      },
    ],
  },
  {
    name: "applied-index-apart",
    finds: ["state machine", "failure"],
    seeds: 5,
    minutes: 2,
    bug: "the applied index is not stored with what it describes (etcd 13766)",
    patches: [
      {
        file: "src/server/state/counters.ts",
        find: 'meta.putNumber("applied_index", this.appliedIndex);',
        replace: 'if (this.appliedIndex % 3 === 0) meta.putNumber("applied_index", this.appliedIndex);',
      },
    ],
  },
  {
    name: "read-answer-for-another",
    finds: ["stale read"],
    seeds: 40,
    minutes: 3,
    bug: "an answer to an earlier read request is taken for a later one (etcd 20418)",
    only: ["pause", "split", "reorder"],
    patches: [
      {
        file: "src/server/replica/linear-reads.ts",
        find: "if (round !== undefined) round.index ??= index;",
        replace: "if (round !== undefined) for (const other of this.rounds) other.index ??= index;",
      },
    ],
  },
  {
    name: "read-without-quorum",
    finds: ["stale read"],
    seeds: 20,
    minutes: 3,
    bug: "a leader answers reads without asking whether it still leads (Jepsen 2014)",
    only: ["island", "pause"],
    patches: [
      {
        file: "src/server/raft/reads.ts",
        find: "if (state.isAlone) confirmReads(state);",
        replace:
          "if (state.role === 'leader') { for (const read of reads.round.reads) answer(state, read, reads.round.index); reads.round = undefined; }",
      },
    ],
  },
  {
    name: "read-before-first-commit",
    finds: ["stale read"],
    seeds: 10,
    minutes: 3,
    bug: "a new leader answers reads before it has committed in its term (etcd 14258)",
    only: ["delay", "crashAll", "bridge", "reorder"],
    patches: [{ file: "src/server/raft/reads.ts", find: "|| !state.committedInTerm) return;", replace: ") return;" }],
  },
  {
    name: "stale-leader-revokes",
    finds: ["lease early", "state machine"],
    seeds: 10,
    minutes: 3,
    bug: "a leader that was stalled revokes leases that its successor has renewed (etcd 15247)",
    patches: [
      {
        file: "src/server/state/lease.ts",
        find: "if (onlyInTerm !== 0n && onlyInTerm !== BigInt(term)) return false;",
        replace: "",
      },
      {
        file: "src/server/replica/replica.ts",
        find: 'if (this.options.core.role !== "leader") throw new WireError(status.NotLeader);',
        replace: "",
      },
      {
        file: "src/server/replica/replica.ts",
        find: 'this.submit(body, "here", own)',
        replace: 'this.submit(body, "anywhere", own)',
      },
      {
        file: "src/server/replica/replica.ts",
        find: 'if (change.role !== "leader") leases.demote();',
        replace: "",
      },
    ],
  },
  {
    name: "watch-after-snapshot",
    finds: ["watch reliable", "watch resumable"],
    seeds: 30,
    minutes: 3,
    bug: "a watcher does not go on from its own revision after a snapshot was installed (etcd 15271)",
    only: ["island", "hostDown", "pause"],
    patches: [
      {
        file: "src/server/watch/stream.ts",
        find: "if (watcher.next <= head) this.fallBehind(watcher, watcher.next);",
        replace: "watcher.next = head + 1;",
      },
    ],
  },
  {
    name: "progress-ahead",
    finds: ["watch reliable", "watch bookmarkable"],
    seeds: 5,
    minutes: 2,
    bug: "progress is told before the events that it covers (etcd 15220)",
    patches: [
      {
        file: "src/server/watch/stream.ts",
        find: "if (this.watchers.size === 0 || this.behind) return;",
        replace: "if (this.watchers.size === 0) return;",
      },
      {
        file: "src/server/watch/stream.ts",
        find: "for (const watcher of this.watchers.values()) if (!reached(watcher, revision)) return;",
        replace: "",
      },
    ],
  },
  {
    name: "slow-watcher-loses",
    finds: ["watch reliable", "watch resumable"],
    seeds: 5,
    minutes: 2,
    bug: "a watcher whose queue is full loses events (etcd 17529)",
    patches: [
      {
        file: "src/server/watch/stream.ts",
        find: "this.fallBehind(watcher, revision);",
        replace: "this.fallBehind(watcher, revision + 1);",
      },
    ],
  },
  {
    name: "revision-goes-back",
    finds: ["state machine", "invariant"],
    seeds: 10,
    minutes: 3,
    bug: "after a crash the revision is older than what was acknowledged (etcd 17780)",
    patches: [
      {
        file: "src/server/state/counters.ts",
        find: "if (this.revision !== before.revision) meta",
        replace: "if (this.revision !== before.revision && this.revision % 4 !== 0) meta",
      },
    ],
  },
  {
    name: "compaction-drops-tombstone",
    finds: ["watch reliable", "watch resumable"],
    seeds: 10,
    minutes: 3,
    bug: "compaction deletes the deletion at the compact revision itself (etcd 18089, 19179)",
    only: ["compact"],
    patches: [
      {
        file: "src/server/state/mvcc/compact.ts",
        find: "smaller(last + 1n, revisionId(compactRevision, 0))",
        replace: "last + 1n",
      },
    ],
  },
  {
    name: "future-watch-gets-old",
    finds: ["invariant", "watch resumable"],
    seeds: 5,
    minutes: 2,
    bug: "a watch that starts in the future gets older events (etcd 20221)",
    patches: [{ file: "src/server/watch/hub.ts", find: "if (revision < watcher.next) return;", replace: "" }],
  },
  {
    name: "defragment-while-applying",
    finds: ["invariant", "state machine"],
    seeds: 30,
    minutes: 3,
    bug: "what is applied while the file is rewritten is lost, or the revision differs afterwards (etcd 14685)",
    patches: [
      {
        file: "src/server/replica/maintenance.ts",
        find: "const resume = await pauseApply();",
        replace: "const resume = () => undefined;",
      },
    ],
  },
  {
    name: "commit-older-term",
    finds: ["commit rule"],
    seeds: 10,
    minutes: 3,
    bug: "a leader commits entries of earlier terms by counting (thesis 3.6.2)",
    only: ["crash", "island", "oneWayCut"],
    patches: [
      {
        file: "src/server/raft/replication.ts",
        find: "if (reached <= log.commit || log.term(reached) !== state.term) return;",
        replace: "if (reached <= log.commit) return;",
      },
    ],
  },
  {
    name: "vote-not-durable",
    finds: ["one vote", "election safety"],
    seeds: 10,
    minutes: 3,
    bug: "the vote is forgotten in a crash, so that a member votes twice in a term",
    patches: [
      {
        file: "src/server/raft/core.ts",
        find: "return { term: this.#savedTerm, vote: this.#savedVote, commit };",
        replace: "return { term: this.#savedTerm, vote: undefined, commit };",
      },
    ],
  },
  {
    name: "vote-for-shorter-log",
    finds: ["leader completeness", "invariant"],
    seeds: 15,
    minutes: 3,
    bug: "a vote goes to a candidate whose log is behind (thesis 3.6.1)",
    patches: [
      {
        file: "src/server/raft/election.ts",
        find: "return request.lastIndex >= state.log.lastIndex;",
        replace: "return true;",
      },
      {
        file: "src/server/raft/election.ts",
        find: "if (request.lastTerm !== state.log.lastTerm) return request.lastTerm > state.log.lastTerm;",
        replace: "",
      },
    ],
  },
  {
    name: "learner-counts",
    finds: ["quorum durability"],
    seeds: 20,
    minutes: 3,
    bug: "a learner counts in the quorum that commits",
    patches: [
      {
        file: "src/server/raft/replication.ts",
        find: "return state.membership.voters.map((voter) =>",
        replace: "return [...state.membership.voters, ...state.membership.learners].map((voter) =>",
      },
    ],
  },
  {
    name: "two-changes",
    finds: ["changes", "invariant", "quorum durability", "state machine"],
    seeds: 60,
    minutes: 3,
    bug: "a change of the membership is proposed while another one is under way (Ongaro 2015)",
    only: ["learner", "replace", "delay"],
    patches: [
      {
        file: "src/server/raft/proposals.ts",
        find: 'if (isChangePending(state)) return "changePending";',
        replace: "",
      },
      {
        file: "src/server/raft/proposals.ts",
        find: 'return log.lastChange > log.applied || (state.role === "leader" && state.noopIndex > log.applied);',
        replace: "return log.lastChange < 0;",
      },
    ],
  },
  {
    name: "log-beyond-durable",
    finds: ["invariant", "failure"],
    seeds: 5,
    minutes: 3,
    bug: "the log is dropped up to what is applied and not up to what the state file holds durably",
    patches: [
      {
        file: "src/server/replica/log-compaction.ts",
        find: "this.options.state.makeDurable((durableIndex) => {",
        replace: "((done: (index: number) => void) => done(Number.MAX_SAFE_INTEGER))((durableIndex) => {",
      },
    ],
  },
  {
    name: "forwarded-twice",
    finds: ["exactly once"],
    seeds: 15,
    minutes: 3,
    bug: "a forwarded proposal that arrives twice is appended twice",
    patches: [
      {
        file: "src/server/raft/proposals.ts",
        find: 'if (state.role !== "leader" || !isNew(state, message)) return;',
        replace: 'if (state.role !== "leader") return;',
      },
    ],
  },
  {
    name: "renew-expired",
    finds: ["lease early"],
    seeds: 20,
    minutes: 3,
    bug: "a lease whose revocation is under way is renewed all the same (etcd 20615)",
    patches: [
      {
        file: "src/server/replica/lease-expiry.ts",
        find: "if (this.isExpired(lease)) return new Promise",
        replace: "if (this.isExpired(lease) && lease.ttlSeconds < 0) return new Promise",
      },
    ],
  },
  {
    name: "lost-tail-unnoticed",
    finds: ["quorum durability", "leader completeness", "invariant", "log gap"],
    seeds: 20,
    minutes: 3,
    bug: "a log that lost its end is believed",
    patches: [
      {
        file: "src/server/storage/log-store.ts",
        find: "this.#assertComplete(this.#sentinel.read());",
        replace: "this.#sentinel.read();",
      },
    ],
  },
  {
    name: "rot-unnoticed",
    finds: ["read", "state hash", "state machine", "write answer", "watch reliable", "crash"],
    seeds: 15,
    minutes: 3,
    bug: "a revision with a wrong checksum is served",
    only: ["stateRot", "pause", "crash"],
    patches: [
      {
        file: "src/server/storage/revisions.ts",
        find: "if (Number(crc) !== revisionChecksum(id, prev ?? 0n, deleted, pairChecksum(kv))) {",
        replace: "if (crc < 0n) {",
      },
    ],
  },
  ...diskMutations,
];
