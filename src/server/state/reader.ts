/** Reads of the local state, as fresh as what has been applied. */
import type { RangeRequest, TxnRequest } from "../../../proto/gen/etcd/rpc.js";
import { invariant } from "../invariant.js";
import type { Membership } from "../raft/types.js";
import type { StateSource } from "../storage/state-store.js";
import { membershipOf } from "../storage/tables.js";
import type { StateSize } from "../storage/types.js";
import { authorizeLeases, authorizeReads, type Demand } from "./auth/authorize.js";
import type { KeyRange } from "./auth/intervals.js";
import { type AuthView, type Caller, theServer } from "./auth/types.js";
import type { CounterValues } from "./counters.js";
import { changesSince } from "./mvcc/changes.js";
import { hashAll, hashKv } from "./mvcc/hash.js";
import { range } from "./mvcc/read.js";
import { isReadOnly, readOnlyTxn } from "./mvcc/txn.js";
import type { PreviousReader } from "./mvcc/write.js";
import type {
  Alarm,
  HashResult,
  Lease,
  Member,
  RangeResult,
  RevisionChanges,
  StateMark,
  StateReader,
  TxnOutcome,
} from "./types.js";

/** What the reader looks at. */
export interface ReaderParts {
  readonly store: StateSource;
  readonly counters: CounterValues;
  readonly alarms: { list(): readonly Alarm[] };
  readonly auth: AuthSource;
  readonly previous: PreviousReader;
}

/** Where the reader finds the auth store. */
export interface AuthSource {
  /** As of what this thread was told, or later. */
  known(): AuthView;
  /** As of the commit that is being read; inside a read only. */
  current(): AuthView;
}

export class LocalReader implements StateReader {
  readonly #store: StateSource;
  readonly #counters: CounterValues;
  readonly #alarms: ReaderParts["alarms"];
  readonly #auth: AuthSource;
  readonly #previous: PreviousReader;

  constructor({ store, counters, alarms, auth, previous }: ReaderParts) {
    this.#store = store;
    this.#counters = counters;
    this.#alarms = alarms;
    this.#auth = auth;
    this.#previous = previous;
  }

  revision(): number {
    return this.#counters.revision;
  }

  compactRevision(): number {
    return this.#counters.compactRevision;
  }

  appliedIndex(): number {
    return this.#counters.appliedIndex;
  }

  appliedTerm(): number {
    return this.#counters.appliedTerm;
  }

  range(request: RangeRequest, caller: Caller = theServer): RangeResult {
    return this.#store.read(() => {
      if (caller !== theServer) this.#auth.current().access(caller).assert("read", request);
      return range(this.#store, this.#counters, request);
    });
  }

  readTxn(
    request: TxnRequest,
    caller: Caller = theServer,
  ): { readonly response: TxnOutcome; readonly revision: number } {
    invariant(isReadOnly(request), "a transaction that writes has to go through the log");
    const response = this.#store.read(() => {
      authorizeReads({ store: this.#store, auth: this.#auth.current() }, caller, request);
      return readOnlyTxn(this.#store, this.#counters, request);
    });
    return { response, revision: this.#counters.revision };
  }

  changesSince(from: number, revisionsMax: number, bytesMax = Number.POSITIVE_INFINITY): readonly RevisionChanges[] {
    const request = { from, revisionsMax, bytesMax };
    return this.#store.read(() => changesSince(this.#store, this.#counters, this.#previous, request));
  }

  leases(caller: Caller = theServer): readonly Lease[] {
    return this.#store.read(() => {
      const leases = this.#store.tables.leases.all();
      authorizeLeases({ store: this.#store, auth: this.#auth.current() }, { caller, right: "read" }, leases);
      return leases;
    });
  }

  lease(id: bigint): Lease | undefined {
    return this.#store.read(() => this.#store.tables.leases.get(id));
  }

  leaseKeys(id: bigint, demand: Demand = { caller: theServer, right: "read" }): readonly Uint8Array[] {
    return this.#store.read(() => {
      authorizeLeases({ store: this.#store, auth: this.#auth.current() }, demand, [{ id }]);
      return this.#store.tables.keys.ofLease(id).map(({ key }) => key);
    });
  }

  auth(): AuthView {
    return this.#auth.known();
  }

  assertAllowed({ caller, right }: Demand, keyRange: KeyRange): void {
    this.#store.read(() => this.#auth.current().access(caller).assert(right, keyRange));
  }

  members(): readonly Member[] {
    return this.#store.read(() => this.#store.tables.members.all());
  }

  membership(): Membership {
    return membershipOf(this.members());
  }

  isRemoved(id: bigint): boolean {
    return this.#store.read(() => this.#store.tables.removed.has(id));
  }

  removedMembers(): readonly bigint[] {
    return this.#store.read(() => this.#store.tables.removed.all());
  }

  alarms(): readonly Alarm[] {
    return this.#alarms.list();
  }

  clusterVersion(): string | undefined {
    return this.#store.read(() => this.#store.tables.meta.text("cluster_version"));
  }

  downgradeTarget(): string | undefined {
    return this.#store.read(() => this.#store.tables.meta.text("downgrade_target"));
  }

  hashKv(revision: number): HashResult {
    return this.#store.read(() => hashKv(this.#store, this.#counters, revision));
  }

  hashAll(): number {
    return this.#store.read(() => hashAll(this.#store, this.#counters));
  }

  stateMarks(): readonly StateMark[] {
    return this.#store.read(() => this.#store.tables.marks.all());
  }

  size(): StateSize {
    return this.#store.size();
  }
}
