/** Applies committed entries: a pure function of the state and the commands, the same on every member. */
import type { Auth as AuthCommand } from "../../../proto/gen/internal/command.js";
import { WireError } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import { decodeChange } from "../raft/change.js";
import type { Entry } from "../raft/types.js";
import type { StateStore } from "../storage/state-store.js";
import type { Alarms } from "./alarm.js";
import type { Auth } from "./auth/auth.js";
import { authorize } from "./auth/authorize.js";
import { applyAuth } from "./auth/commands.js";
import type { AuthChange } from "./auth/types.js";
import { type DecodedCommand, decodeCommand } from "./command.js";
import type { Counters } from "./counters.js";
import { checkpointLeases, grantLease, revokeLease } from "./lease.js";
import { changeMembers, downgrade, publishMember, setClusterVersion } from "./members.js";
import { compact } from "./mvcc/compact.js";
import {
  assertChangesFit,
  assertExists,
  assertLease,
  deleteRange,
  deletionsMax,
  keepsPart,
  type Operations,
  put,
} from "./mvcc/operations.js";
import { txn } from "./mvcc/txn.js";
import { type PreviousReader, RevisionWriter } from "./mvcc/write.js";
import type { StateHash } from "./state-hash.js";
import type { Applied, CommandBody, CommandResponse, CommandResult, LeaseChange, Machine } from "./types.js";

/** What the machine works on. */
export interface MachineParts {
  readonly store: StateStore;
  readonly counters: Counters;
  readonly alarms: Alarms;
  readonly auth: Auth;
  readonly previous: PreviousReader;
  readonly hash: StateHash;
}

interface Outcome {
  readonly response: CommandResponse;
  readonly leases: readonly LeaseChange[];
  readonly auth?: AuthChange | undefined;
}

/** Which entry holds a command. */
type Position = Pick<Entry, "index" | "term">;

type Performed = Pick<Applied, "result" | "leases"> & Pick<Outcome, "auth">;

const noLeases: readonly LeaseChange[] = [];
const nothing: Outcome = { response: { kind: "none" }, leases: noLeases };

export class CommandMachine implements Machine {
  readonly #parts: MachineParts;

  constructor(parts: MachineParts) {
    this.#parts = parts;
  }

  apply(entries: readonly Entry[]): readonly Applied[] {
    const { store, counters, hash } = this.#parts;
    if (entries.length === 0) return [];
    const before = { revision: counters.revision, appliedTerm: counters.appliedTerm, hash: hash.value };
    return store.write(() => {
      const applied = entries.map((entry) => {
        hash.begin(entry.index);
        const done = this.#applyEntry(entry);
        hash.end(store);
        return done;
      });
      counters.save(store, before);
      hash.save(store, before.hash);
      return applied;
    });
  }

  #applyEntry(entry: Entry): Applied {
    const { index, term } = entry;
    const { counters } = this.#parts;
    const { appliedIndex, appliedTerm } = counters;
    invariant(index === appliedIndex + 1, "an entry is applied out of order", { index, appliedIndex });
    invariant(term >= appliedTerm, "terms never go backwards", { index, term, appliedTerm });
    counters.appliedIndex = index;
    counters.appliedTerm = term;
    switch (entry.kind) {
      case "noop":
        return this.#idle(entry);
      case "change":
        return this.#change(entry);
      case "command":
        return this.#command(entry);
    }
  }

  #command({ index, term, data }: Entry): Applied {
    const { counters } = this.#parts;
    const command = decodeCommand(data);
    const writer = new RevisionWriter(this.#parts, counters.revision);
    const { result, leases, auth } = this.#perform(command, { index, term }, writer);
    const changes = writer.changes;
    counters.revision = writer.revision;
    const applied = { index, term, request: command.request, result, changes, leases };
    return auth === undefined ? applied : { ...applied, auth };
  }

  /** No alarm and no check stands in the way: for the core this change has been in force since it was committed. */
  #change({ index, term, data }: Entry): Applied {
    const { store, counters } = this.#parts;
    const { change, command } = decodeChange(data);
    const { request, body } = decodeCommand(command);
    changeMembers(this.#parts, change, body);
    const response: CommandResponse = { kind: "members", members: store.tables.members.all() };
    const result: CommandResult = { kind: "ok", revision: counters.revision, response };
    return { index, term, request, result, changes: undefined, leases: noLeases, membership: change };
  }

  /** The empty entry of a new leader moves the applied index and nothing else. */
  #idle({ index, term }: Entry): Applied {
    const result: CommandResult = { kind: "ok", revision: this.#parts.counters.revision, response: nothing.response };
    return { index, term, request: undefined, result, changes: undefined, leases: noLeases };
  }

  /** A failure is a result like any other, and it has changed nothing. */
  #perform({ body, caller }: DecodedCommand, at: Position, writer: RevisionWriter): Performed {
    const { store, counters, alarms, hash } = this.#parts;
    const refusal = alarms.refusal(body);
    if (refusal !== undefined) return failed(counters.revision, new WireError(refusal));
    const operations: Operations = { store, writer, hash, compactRevision: counters.compactRevision };
    const hashBefore = hash.value;
    try {
      authorize(this.#parts, caller, body);
      const { response, leases, auth } = this.#execute(body, at, operations);
      return { result: { kind: "ok", revision: writer.revision, response }, leases, auth };
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      invariant(hash.value === hashBefore, "a failed command has changed something", { failure: error.message });
      return failed(counters.revision, error);
    }
  }

  #execute(body: CommandBody, { index, term }: Position, operations: Operations): Outcome {
    const { store, alarms, hash } = this.#parts;
    switch (body.$case) {
      case "put":
        assertLease(store, body.value);
        if (keepsPart(body.value)) assertExists(store, body.value.key);
        return { response: { kind: "put", previous: put(operations, body.value) }, leases: noLeases };
      case "deleteRange":
        assertChangesFit(deletionsMax(store, body.value));
        return { response: { kind: "deleteRange", ...deleteRange(operations, body.value) }, leases: noLeases };
      case "txn":
        return { response: { kind: "txn", response: txn(operations, body.value) }, leases: noLeases };
      case "compact":
        return this.#compact(body.value.revision);
      case "leaseGrant": {
        const { id, ttlSeconds } = grantLease(operations, body.value);
        return { response: { kind: "leaseGrant", id, ttlSeconds }, leases: [{ kind: "granted", id, ttlSeconds }] };
      }
      case "leaseRevoke": {
        const revoked = revokeLease(operations, body.value, term);
        return { response: { kind: "leaseRevoke" }, leases: revoked ? [{ kind: "revoked", id: body.value.id }] : [] };
      }
      case "leaseCheckpoint":
        return { ...nothing, leases: checkpointLeases(operations, body.value, term) };
      case "alarm":
        return { response: { kind: "alarm", alarms: alarms.handle(body.value, hash) }, leases: noLeases };
      case "memberPublish":
        publishMember(this.#parts, body.value);
        return nothing;
      case "clusterVersionSet":
        setClusterVersion(this.#parts, body.value);
        return nothing;
      case "downgrade":
        downgrade(this.#parts, body.value);
        return nothing;
      case "auth":
        return this.#auth(body.value, index);
      case "memberAdd":
      case "memberRemove":
      case "memberUpdate":
      case "memberPromote":
        invariant(false, "a change of the membership travels as a plain command", { command: body.$case });
    }
  }

  #compact(revision: bigint): Outcome {
    const { store, counters, hash } = this.#parts;
    counters.compactRevision = compact(store, counters, revision);
    hash.note("compacted", counters.compactRevision);
    return { response: { kind: "compact" }, leases: noLeases };
  }

  #auth(command: AuthCommand, index: number): Outcome {
    const auth = applyAuth(this.#parts, command);
    const response: CommandResponse = auth?.kind === "tokenAssigned" ? { kind: "token", index } : nothing.response;
    return { response, leases: noLeases, auth };
  }
}

function failed(revision: number, { code, message }: WireError): Performed {
  return { result: { kind: "failed", revision, status: { code, message } }, leases: noLeases };
}
