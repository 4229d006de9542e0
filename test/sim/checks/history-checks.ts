/**
 * White-box linearizability: the committed log is the witness. Each command is done once by the model when it is first
 * applied; what members make of it, what writers are told and what readers see is held against the model.
 */
import type { RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { decodeChange } from "../../../src/server/raft/change.js";
import type { Entry, MemberId } from "../../../src/server/raft/types.js";
import { decodeCommand } from "../../../src/server/state/command.js";
import type { Applied, Change, CommandBody } from "../../../src/server/state/types.js";
import type { LeaseValidator } from "../../check/lease-validators.js";
import {
  latin1,
  type ModelResult,
  pairText,
  SequentialModel,
  type Version,
  versionText,
} from "../../check/sequential-model.js";
import { Violation } from "../world/world.js";
import { name } from "./raft-checks.js";

/** What names a client's write in the log: something in it that no other write has. */
export type WriteName = string;

/** Where the model did a write. */
export interface DoneWrite extends ModelResult {
  readonly index: number;
}

/** Entries from one hash of all states to the next; a hash reads everything, so they get rarer as a history gets longer. */
const hashEvery = { first: 256, later: 2048 } as const;

export class HistoryChecks {
  readonly model = new SequentialModel();
  private readonly leases: LeaseValidator;
  private readonly nowMs: () => number;
  private readonly firstIndex: number;
  /** What each entry did, from `firstIndex` on. */
  private readonly results: ModelResult[] = [];
  private readonly writes = new Map<WriteName, DoneWrite>();
  private readonly hashes = new Map<number, { readonly hash: number; readonly member: MemberId }>();
  /** Highest revision and index that any client was told of. */
  toldRevision = 1;
  toldIndex = 0;

  constructor(foundedIndex: number, leases: LeaseValidator, nowMs: () => number) {
    this.firstIndex = foundedIndex + 1;
    this.leases = leases;
    this.nowMs = nowMs;
  }

  get appliedIndex(): number {
    return this.firstIndex + this.results.length - 1;
  }

  /** A member has applied these entries. */
  applied(id: MemberId, entries: readonly Entry[], batch: readonly Applied[]): void {
    entries.forEach((entry, at) => {
      const applied = batch[at];
      if (applied === undefined || applied.index !== entry.index)
        throw new Violation("apply", `${name(id)} gave no result for ${entry.index}`);
      if (entry.index > this.appliedIndex) this.advance(entry);
      this.compare(id, entry.index, applied);
    });
  }

  /** Whether the state after this index is to be hashed. */
  wantsHash(index: number): boolean {
    return index % (index < hashEvery.later ? hashEvery.first : hashEvery.later) === 0;
  }

  /** The hash of a member's whole state after an index. */
  hashed(id: MemberId, index: number, hash: number): void {
    const known = this.hashes.get(index);
    if (known === undefined) this.hashes.set(index, { hash, member: id });
    else if (known.hash !== hash) {
      throw new Violation("state hash", `${name(id)} and ${name(known.member)} differ after entry ${index}`);
    }
  }

  /** What the log made of a write; undefined if it is not in it (yet). */
  find(write: WriteName): DoneWrite | undefined {
    return this.writes.get(write);
  }

  /** The answer to a range at a revision, and an error's text if it must fail. */
  range(request: RangeRequest, revision: number): string {
    return this.model.range(request, revision);
  }

  private advance(entry: Entry): void {
    if (entry.index !== this.appliedIndex + 1)
      throw new Violation("apply", `entry ${entry.index} was applied before those in front of it`);
    const body = bodyOf(entry);
    if (body === undefined) {
      const { revision } = this.model;
      this.results.push({ failure: undefined, revision, answer: "", changes: [] });
      return;
    }
    const leased = body.$case === "leaseRevoke" ? this.model.leases.has(body.value.id) : false;
    const result = this.model.apply(body, entry.term);
    this.results.push(result);
    this.followLease(body, leased);
    const write = writeName(body);
    if (write === undefined) return;
    if (this.writes.has(write))
      throw new Violation("exactly once", `write ${write} is in the log again at ${entry.index}`);
    this.writes.set(write, { ...result, index: entry.index });
  }

  private followLease(body: CommandBody, leased: boolean): void {
    if (body.$case === "leaseGrant" && this.model.leases.has(body.value.id)) {
      this.leases.granted(body.value.id, Number(body.value.ttlSeconds), this.nowMs());
    }
    if (body.$case === "leaseRevoke" && leased && !this.model.leases.has(body.value.id)) {
      this.leases.revoked(body.value.id, body.value.onlyInTerm === 0n ? "asked" : "expired", this.nowMs());
    }
  }

  private compare(id: MemberId, index: number, { result, changes }: Applied): void {
    const expected = this.results[index - this.firstIndex];
    if (expected === undefined) throw new Violation("apply", `${name(id)} applied ${index} twice or out of order`);
    const failure = result.kind === "failed" ? result.status.message : undefined;
    if (failure !== expected.failure || result.revision !== expected.revision) {
      const got = `${failure ?? "ok"} at revision ${result.revision}`;
      throw new Violation(
        "state machine",
        `${name(id)} says ${got} to entry ${index}, the model ${expected.failure ?? "ok"} at ${expected.revision}`,
      );
    }
    const found = changes?.changes ?? [];
    const same =
      found.length === expected.changes.length && found.every((change, at) => sameChange(change, expected.changes[at]));
    if (!same)
      throw new Violation("state machine", `${name(id)} made other changes with entry ${index} than the model`);
  }
}

function sameChange({ kind, kv }: Change, expected: Version | undefined): boolean {
  if (kind !== expected?.kind) return false;
  if (kind === "delete") return latin1(kv.key) === expected.key && Number(kv.modRevision) === expected.revision;
  return pairText(kv) === versionText(expected);
}

function bodyOf(entry: Entry): CommandBody | undefined {
  switch (entry.kind) {
    case "noop":
      return undefined;
    case "command":
      return decodeCommand(entry.data).body;
    case "change":
      return decodeCommand(decodeChange(entry.data).command).body;
  }
}

/**
 * Clients make sure that no two of their writes share it: unique values in puts, unique upper bounds in deletes, ids of
 * leases. Undefined for what no client writes.
 */
export function writeName(body: CommandBody): WriteName | undefined {
  switch (body.$case) {
    case "put":
      return `put ${latin1(body.value.value)}`;
    case "deleteRange":
      return `delete ${latin1(body.value.rangeEnd)}`;
    case "txn": {
      const tag = body.value.compare[0]?.targetUnion;
      return tag?.$case === "value" ? `txn ${latin1(tag.value)}` : undefined;
    }
    case "leaseGrant":
      return `grant ${body.value.id}`;
    case "leaseRevoke":
      return body.value.onlyInTerm === 0n ? `revoke ${body.value.id}` : undefined;
    case "compact":
    case "alarm":
    case "memberPublish":
    case "clusterVersionSet":
    case "downgrade":
    case "auth":
    case "memberAdd":
    case "memberRemove":
    case "memberUpdate":
    case "memberPromote":
    case "leaseCheckpoint":
      return undefined;
  }
}
