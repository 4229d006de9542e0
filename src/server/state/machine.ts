/** Applies committed entries: a pure function of the state and the commands, the same on every member. */
import { WireError } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import type { Entry } from "../raft/types.js";
import type { StateStore } from "../storage/state-store.js";
import type { Alarms } from "./alarm.js";
import { decodeCommand } from "./command.js";
import type { Counters } from "./counters.js";
import { grantLease, revokeLease } from "./lease.js";
import { downgrade, publishMember, setClusterVersion } from "./members.js";
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
import type { Applied, CommandBody, CommandResponse, CommandResult, LeaseChange, Machine } from "./types.js";

/** What the machine works on. */
export interface MachineParts {
  readonly store: StateStore;
  readonly counters: Counters;
  readonly alarms: Alarms;
  readonly previous: PreviousReader;
}

interface Outcome {
  readonly response: CommandResponse;
  readonly leases: readonly LeaseChange[];
}

const noLeases: readonly LeaseChange[] = [];
const nothing: Outcome = { response: { kind: "none" }, leases: noLeases };

export class CommandMachine implements Machine {
  readonly #parts: MachineParts;

  constructor(parts: MachineParts) {
    this.#parts = parts;
  }

  apply(entries: readonly Entry[]): readonly Applied[] {
    const { store, counters } = this.#parts;
    if (entries.length === 0) return [];
    const before = { revision: counters.revision, appliedTerm: counters.appliedTerm };
    return store.write(() => {
      const applied = entries.map((entry) => this.#applyEntry(entry));
      counters.save(store, before);
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
    if (entry.kind === "noop") return this.#idle(entry);
    const { request, body } = decodeCommand(entry.data);
    const { store, previous } = this.#parts;
    const writer = new RevisionWriter(store, counters.revision, previous);
    const { result, leases } = this.#perform(body, term, writer);
    const changes = writer.changes;
    counters.revision = writer.revision;
    return { index, term, request, result, changes, leases };
  }

  /** The empty entry of a new leader moves the applied index and nothing else. */
  #idle({ index, term }: Entry): Applied {
    const result: CommandResult = { kind: "ok", revision: this.#parts.counters.revision, response: nothing.response };
    return { index, term, request: undefined, result, changes: undefined, leases: noLeases };
  }

  /** A failure is a result like any other, and it has changed nothing. */
  #perform(body: CommandBody, term: number, writer: RevisionWriter): Pick<Applied, "result" | "leases"> {
    const { store, counters, alarms } = this.#parts;
    const refusal = alarms.refusal(body);
    if (refusal !== undefined) return failed(counters.revision, new WireError(refusal));
    const operations: Operations = { store, writer, compactRevision: counters.compactRevision };
    try {
      const { response, leases } = this.#execute(body, term, operations);
      return { result: { kind: "ok", revision: writer.revision, response }, leases };
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      invariant(writer.changes === undefined, "a failed command has changed something", { failure: error.message });
      return failed(counters.revision, error);
    }
  }

  #execute(body: CommandBody, term: number, operations: Operations): Outcome {
    const { store, counters, alarms } = this.#parts;
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
        counters.compactRevision = compact(store, counters, body.value.revision);
        return { response: { kind: "compact" }, leases: noLeases };
      case "leaseGrant": {
        const lease = grantLease(operations, body.value);
        return { response: { kind: "leaseGrant", ...lease }, leases: [{ kind: "granted", ...lease }] };
      }
      case "leaseRevoke": {
        const revoked = revokeLease(operations, body.value, term);
        const leases: readonly LeaseChange[] = revoked ? [{ kind: "revoked", id: body.value.id }] : noLeases;
        return { response: { kind: "leaseRevoke" }, leases };
      }
      case "alarm":
        return { response: { kind: "alarm", alarms: alarms.handle(body.value) }, leases: noLeases };
      case "memberPublish":
        publishMember(store, body.value);
        return nothing;
      case "clusterVersionSet":
        setClusterVersion(store, body.value);
        return nothing;
      case "downgrade":
        downgrade(store, body.value);
        return nothing;
    }
  }
}

function failed(revision: number, { code, message }: WireError): Pick<Applied, "result" | "leases"> {
  return { result: { kind: "failed", revision, status: { code, message } }, leases: noLeases };
}
