/**
 * The replicated state as the rest of the house sees it: what applying returns, and what can be read.
 * Revisions are safe integers here; wire messages carry bigint.
 */

import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import type { RangeRequest, TxnRequest } from "../../../proto/gen/etcd/rpc.js";
import type { Command } from "../../../proto/gen/internal/command.js";
import type { WireStatus } from "../../../proto/status.js";
import type { Entry, Membership, MembershipChange } from "../raft/types.js";
import type { StoredLease, StoredMark, StoredMember } from "../storage/tables.js";
import type { StateSize } from "../storage/types.js";

import type { Demand } from "./auth/authorize.js";
import type { KeyRange } from "./auth/intervals.js";
import type { AuthChange, AuthView, Caller } from "./auth/types.js";

export type CommandBody = NonNullable<Command["body"]>;

/** The call that waits for a command: see proto/internal/command.proto. */
export interface RequestId {
  readonly origin: bigint;
  readonly boot: number;
  readonly sequence: number;
}

/** What one log entry did. `request` is undefined for the leader's empty entry. */
export interface Applied {
  readonly index: number;
  readonly term: number;
  readonly request: RequestId | undefined;
  readonly result: CommandResult;
  /** The changes of one revision, in the order they happened; undefined if the revision did not move. */
  readonly changes: RevisionChanges | undefined;
  /** Leases that came, went or were checkpointed by this entry, so that the expiry clock can follow. */
  readonly leases: readonly LeaseChange[];
  /** What a `change` entry did to the membership; absent for every other entry. */
  readonly membership?: MembershipChange;
  /** What it did to users, roles, permissions or tokens; absent where it did nothing to them. */
  readonly auth?: AuthChange;
}

/** A response without cluster_id, member_id and raft_term, which the api adds; or a failure that every member agrees on. */
export type CommandResult =
  | { readonly kind: "ok"; readonly revision: number; readonly response: CommandResponse }
  | { readonly kind: "failed"; readonly revision: number; readonly status: WireStatus };

/** The response part of each command, in wire form (bigint), headers undefined except inside transactions. */
export type CommandResponse =
  | { readonly kind: "put"; readonly previous: KeyValue | undefined }
  | { readonly kind: "deleteRange"; readonly deleted: number; readonly previous: readonly KeyValue[] }
  | { readonly kind: "txn"; readonly response: TxnOutcome }
  | { readonly kind: "compact" }
  | { readonly kind: "leaseGrant"; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly kind: "leaseRevoke" }
  | { readonly kind: "alarm"; readonly alarms: readonly Alarm[] }
  /** All members as the change left them; the response of `change` entries. */
  | { readonly kind: "members"; readonly members: readonly Member[] }
  /** A token was given out that ends with the index of its entry. */
  | { readonly kind: "token"; readonly index: number }
  | { readonly kind: "none" };

export type TxnOutcome = import("../../../proto/gen/etcd/rpc.js").TxnResponse;

export interface RevisionChanges {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** One put or delete. `kv` of a delete holds only key and mod_revision. `previous` is the pair it replaced, if any. */
export interface Change {
  readonly kind: "put" | "delete";
  readonly kv: KeyValue;
  /** Reads the replaced pair; undefined when there was none or it is compacted. Lazy: only watchers with prev_kv ask. */
  previous(): KeyValue | undefined;
}

export type LeaseChange =
  | { readonly kind: "granted"; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly kind: "revoked"; readonly id: bigint }
  /** What the leader said is left of it; 0: its full time again. */
  | { readonly kind: "checkpointed"; readonly id: bigint; readonly remainingSeconds: number };

export interface Alarm {
  readonly memberId: bigint;
  readonly type: "NOSPACE" | "CORRUPT";
}

export type Lease = StoredLease;
export type Member = StoredMember;

/** The rolling hash of the state as it was when the entry `index` was applied: the same on every member (state-hash.ts). */
export type StateMark = StoredMark;

export interface RangeResult {
  readonly kvs: readonly KeyValue[];
  readonly count: number;
  readonly more: boolean;
  /** The store's revision when it was read, never the one that was asked for. */
  readonly revision: number;
}

export interface HashResult {
  readonly hash: number;
  readonly compactRevision: number;
  readonly hashRevision: number;
  readonly revision: number;
}

/** Applies committed entries, in order, each batch in one transaction together with the applied index. */
export interface Machine {
  apply(entries: readonly Entry[]): readonly Applied[];
}

/**
 * Reads of the local state. They throw WireError for revisions that are compacted or in the future. Those that are given a
 * caller throw WireError too if he may not read what they read, by the rights of the very same commit; without one, they are
 * for the server itself.
 */
export interface StateReader {
  /** Current revision: 1 before the first write. */
  revision(): number;
  /** Revision of the last compaction; -1 if there was none. */
  compactRevision(): number;
  appliedIndex(): number;
  appliedTerm(): number;
  range(request: RangeRequest, caller?: Caller): RangeResult;
  /** A transaction that holds only range operations. Throws if it is not read-only. */
  readTxn(request: TxnRequest, caller?: Caller): { readonly response: TxnOutcome; readonly revision: number };
  /**
   * Changes from a revision on, whole revisions only, oldest first, at most `revisionsMax` of them. Stops after the revision
   * that brings the encoded pairs to `bytesMax` (default: no limit).
   */
  changesSince(from: number, revisionsMax: number, bytesMax?: number): readonly RevisionChanges[];
  /** The caller needs to be allowed to read every key of every lease. */
  leases(caller?: Caller): readonly Lease[];
  lease(id: bigint): Lease | undefined;
  /** The caller needs the right to each of the keys. */
  leaseKeys(id: bigint, demand?: Demand): readonly Uint8Array[];
  /** The auth store as of the last entry that this thread was told of, or later; it moves on by itself. */
  auth(): AuthView;
  /** Throws WireError unless the caller has the right to every key of the range. */
  assertAllowed(demand: Demand, range: KeyRange): void;
  members(): readonly Member[];
  /** The configuration that the members make up. */
  membership(): Membership;
  /** Whether this id was a member once and was removed; it can never be one again. */
  isRemoved(id: bigint): boolean;
  /** Every id that was removed, in order. */
  removedMembers(): readonly bigint[];
  alarms(): readonly Alarm[];
  clusterVersion(): string | undefined;
  /** Version that a downgrade goes to (x.y.z as it was requested); undefined if there is none under way. */
  downgradeTarget(): string | undefined;
  hashKv(revision: number): HashResult;
  /** Hash over the whole state, for tests; comparable between members of this implementation only. */
  hashAll(): number;
  /** The last few marks of the rolling hash, oldest first. */
  stateMarks(): readonly StateMark[];
  size(): StateSize;
}

/** The state of one member: applied to, read from, copied and closed. */
export interface State extends Machine {
  readonly reader: StateReader;
  /** Name of the file it lives in, without the directory. */
  readonly file: string;
  /** Makes everything applied so far survive a power cut; returns that applied index. */
  makeDurable(): number;
  /** One step of physical compaction over at most `rowsMax` rows (default 1000); false when nothing is left to do. */
  compactStep(rowsMax?: number): boolean;
  /** Moves pages from the WAL into the file, bounded work, called from idle turns. */
  checkpoint(): void;
  /** Writes a compact, consistent copy to `path`, durable when this returns. The path must not exist. */
  exportTo(path: string): void;
  /**
   * Goes over to another state file of the same directory and deletes the old one. `commit` moves the pointer in the log
   * store; until it returns the old file counts. The reader stays valid.
   */
  switchFile(file: string, commit: () => void): void;
  close(): void;
}
