/**
 * What goes into the Raft core and what comes out of it: entries, messages, events and effects.
 * Indexes and terms are safe integers; member ids are unsigned 64-bit numbers.
 */

/** An unsigned 64-bit member id. */
export type MemberId = bigint;

/**
 * One log entry. `noop` is the empty entry of a new leader; `command` holds an encoded command; `change` holds a membership
 * change and the command that goes with it (see change.ts).
 */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}
export type EntryKind = "noop" | "command" | "change";

/** What must be durable before a promise that rests on it leaves. `commit` is a lower bound after a restart. */
export interface HardState {
  readonly term: number;
  readonly vote: MemberId | undefined;
  readonly commit: number;
}

/** The voters and learners of the cluster as of the committed configuration. */
export interface Membership {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

/**
 * One step from one configuration to the next; consecutive ones differ by at most one voter (spec 1.15). `update` leaves
 * voters and learners alone: it is here so that changes of a member's URLs are ordered with all other changes.
 */
export interface MembershipChange {
  readonly op: "addVoter" | "addLearner" | "promote" | "remove" | "update";
  readonly member: MemberId;
}

/** A state that replaces the log up to `index`. `file` is the driver's name for it; the core only passes it on. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  /** The configuration as of `index`. */
  readonly membership: Membership;
  readonly file: string;
}

export interface RaftConfig {
  readonly id: MemberId;
  /** Election timeout in ticks (E); the drawn timeout lies in [E, 2E). Thesis 3.4. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly preVote: boolean;
  readonly limits: RaftLimits;
}

export interface RaftLimits {
  readonly messageBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly appliedLagEntriesMax: number;
  /** Committed but unapplied bytes above which proposals are refused; 32 MiB if undefined. */
  readonly appliedLagBytesMax?: number;
  /**
   * Committed but unapplied bytes, entries' own memory included, above which a follower takes no more entries; no limit if
   * undefined.
   */
  readonly followerLagBytesMax?: number;
  /** Append effects handed out and not yet durable; 1 if undefined. While it is reached, later entries form one batch. */
  readonly appendsInflightMax?: number;
  /** Entries handed to the state machine in one apply effect. */
  readonly applyEntriesMax: number;
  readonly applyBytesMax: number;
}

/** What a restarted (or new) member knows before its first event. */
export interface RestoredState {
  readonly hardState: HardState;
  /** Index of the first entry in `entries`, or the next index to be written when it is empty. */
  readonly firstIndex: number;
  /** Term of the entry before `firstIndex`; 0 at the start of a log. */
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  readonly applied: number;
  /** The configuration as of the entry before `firstIndex`; changes in the log up to the commit index come on top. */
  readonly membership: Membership;
  /** Seeds the core's own generator for election timeouts. */
  readonly seed: number;
  /** Rises by one at every start of this member, so that an answer to an earlier life is recognised; 0 if undefined. */
  readonly bootCount?: number;
}

/** What the driver tells the core. A request id names one proposal or read of this boot; a retry is a new request with a new id. */
export type RaftEvent =
  | { readonly kind: "tick" }
  | { readonly kind: "message"; readonly message: Message }
  /** Stand for election now; what a single voter does at start. Ignored by a leader or a learner. */
  | { readonly kind: "campaign" }
  /** `data` belongs to the core from here on: it is kept in the log, so it must not be a view into a larger buffer. */
  | { readonly kind: "propose"; readonly requestId: number; readonly data: Uint8Array }
  /**
   * A membership change, for a leader. Refused, and surely not appended, while an earlier change is not applied yet
   * (`changePending`), on any other member (`noLeader`), and if it does not fit the configuration (`changeInvalid`).
   */
  | {
      readonly kind: "proposeChange";
      readonly requestId: number;
      readonly change: MembershipChange;
      /** The command for the state machine; see `propose` for who owns it. */
      readonly data: Uint8Array;
    }
  | { readonly kind: "read"; readonly requestId: number }
  /** Hand leadership to a voter: spec 1.16. Ends with a new leader, or is given up after one election timeout. */
  | { readonly kind: "transfer"; readonly to: MemberId }
  /** A snapshot that `needSnapshot` asked for has reached the peer, or could not be sent. */
  | { readonly kind: "snapshotSent"; readonly peer: MemberId; readonly ok: boolean }
  /** A complete and verified snapshot has come from the leader of `term`. */
  | {
      readonly kind: "snapshotReceived";
      readonly from: MemberId;
      readonly term: number;
      readonly snapshot: SnapshotMeta;
    }
  /** The append effect with this id is on disk. */
  | { readonly kind: "durable"; readonly appendId: number }
  /** The state machine has applied everything up to this index. */
  | { readonly kind: "applied"; readonly index: number }
  /** The driver allows log entries up to `index` to be dropped: the state file holds them durably. */
  | { readonly kind: "compact"; readonly index: number }
  /** Messages to this peer were dropped. */
  | { readonly kind: "peerUnreachable"; readonly peer: MemberId }
  /**
   * The leader's host answers and its process is gone (spec 1.5). The core forgets the leader, so that it grants
   * pre-votes; the driver then steps `campaign` after a random 0 to 50 ms, and again with jitter while no leader is known.
   */
  | { readonly kind: "leaderUnreachable" };

/** Everything the driver must do for one turn. The contract is in spec/raft-storage.md 2.3. */
export interface Effects {
  /** May leave at any time, in any order, and may be lost. */
  readonly send: readonly Message[];
  readonly append: Append | undefined;
  readonly apply: Apply | undefined;
  /** Reads that may be answered once `index` is applied. */
  readonly reads: readonly ConfirmedRead[];
  readonly rejected: readonly Rejected[];
  readonly role: RoleChange | undefined;
  /** Peers that need more than the log still holds. Named once; named again only after `snapshotSent`. */
  readonly needSnapshot: readonly MemberId[];
  /** The committed configuration, if it has changed. */
  readonly membership: Membership | undefined;
}

/**
 * One durable write, performed whole and in order of `id`; then the driver steps `durable(id)`. It may hold nothing but
 * `sendAfter`: answers that rest on earlier writes, for which the disk need not be touched, only waited for.
 */
export interface Append {
  readonly id: number;
  readonly hardState: HardState | undefined;
  /** Drop entries from this index on before writing `entries`. */
  readonly truncateFrom: number | undefined;
  readonly entries: readonly Entry[];
  /** Drop entries up to and including `to`. `membership` is the configuration as of that entry, to be stored with it. */
  readonly compact: LogCompaction | undefined;
  /**
   * Replace the whole log and the state by this snapshot, whose file is complete and durable: one transaction that moves
   * the pointer. Nothing else is in the write but `hardState` and `sendAfter`; nothing is applied until it is durable.
   * `durable(id)` also says that the new state is in place, so that the next range to apply follows the snapshot. A range
   * of the old state that is under way may be reported before or after that.
   */
  readonly install: SnapshotMeta | undefined;
  /** Leave only after the write is durable. */
  readonly sendAfter: readonly Message[];
}

export interface LogCompaction {
  readonly to: number;
  readonly membership: Membership;
}

/** Committed and locally durable entries to hand to the state machine, in order. */
export interface Apply {
  readonly first: number;
  readonly last: number;
  readonly entries: readonly Entry[];
}

export interface ConfirmedRead {
  readonly requestId: number;
  readonly index: number;
}

/** A proposal or read that was certainly not appended, and why. */
export interface Rejected {
  readonly requestId: number;
  readonly reason: RejectReason;
}
export type RejectReason =
  | "noLeader"
  | "leaderChanged"
  | "tooManyUncommitted"
  | "tooManyUnapplied"
  /** Leadership is being handed over. */
  | "transferring"
  | "changePending"
  | "changeInvalid";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

export interface RoleChange {
  readonly role: Role;
  readonly term: number;
  readonly leader: MemberId | undefined;
}

/**
 * The last entry that the sender knows to be committed. Whoever has the same entry commits it too, and with it changes of
 * the membership that it missed: without them it might ask the wrong members for their votes, or not stand, for ever.
 */
export interface CommittedEntry {
  readonly index: number;
  readonly term: number;
}

interface MessageHead {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: number;
}

export type Message = MessageHead &
  (
    | {
        readonly kind: "preVote" | "vote";
        readonly lastIndex: number;
        readonly lastTerm: number;
        /** The leader asked for this election, so a voter that hears from it takes part all the same. */
        readonly forced: boolean;
        readonly committed?: CommittedEntry;
      }
    /** Campaign now, without a pre-vote: leadership is handed over. */
    | { readonly kind: "timeoutNow" }
    | {
        readonly kind: "preVoteReply" | "voteReply";
        readonly granted: boolean;
        readonly committed?: CommittedEntry;
      }
    | {
        readonly kind: "append";
        readonly previousIndex: number;
        readonly previousTerm: number;
        readonly entries: readonly Entry[];
        readonly commit: number;
        /** Only a rejection is to be answered: the sender learns nothing from an acceptance. */
        readonly quiet?: true;
      }
    | {
        readonly kind: "appendReply";
        readonly rejected: boolean;
        /** Accepted: the last index known to match. Rejected: the probed previous index. */
        readonly index: number;
        readonly hintIndex: number;
        readonly hintTerm: number;
      }
    | { readonly kind: "heartbeat"; readonly commit: number; readonly readRound: number }
    | { readonly kind: "heartbeatReply"; readonly readRound: number }
    | { readonly kind: "readForward"; readonly boot: number; readonly requestId: number }
    | { readonly kind: "readReply"; readonly boot: number; readonly requestId: number; readonly index: number }
    | {
        readonly kind: "proposeForward";
        /** With `boot`: rises from one forwarded proposal of a member to the next, so that a duplicate is recognised. */
        readonly sequence: number;
        readonly boot: number;
        readonly requestId: number;
        readonly data: Uint8Array;
      }
    /** The leader did not append this forwarded proposal and never will. */
    | {
        readonly kind: "proposeRejected";
        readonly boot: number;
        readonly requestId: number;
        readonly reason: RejectReason;
      }
  );
