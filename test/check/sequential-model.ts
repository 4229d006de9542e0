/**
 * The store as one thing that does one command after another: the answer that every command of the log must have got, and
 * the whole history, which reads and watches are held against. Written for speed; keys and values are latin1 text.
 */
import type { KeyValue } from "../../proto/gen/etcd/kv.js";
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from "../../proto/gen/etcd/rpc.js";
import { status } from "../../proto/status.js";
import type { CommandBody } from "../../src/server/state/types.js";

/** A key as one revision left it. */
export interface Version {
  readonly kind: "put" | "delete";
  readonly key: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
  readonly value: string;
  readonly lease: bigint;
  /** The living version that it replaced, as of one revision earlier. */
  readonly previous: Version | undefined;
}

/** What one command did. */
export interface ModelResult {
  /** The error text, if it failed. */
  readonly failure: string | undefined;
  readonly revision: number;
  /** The response in words; see {@link describeTxn} and its like. */
  readonly answer: string;
  /** Changes of the new revision; empty if the revision did not move. */
  readonly changes: readonly Version[];
}

class Failure extends Error {}

function fail({ message }: { readonly message: string }): never {
  throw new Failure(message);
}

/** Node's own conversion, without a Buffer around the bytes first. */
const { latin1Slice } = Buffer.prototype as unknown as {
  readonly latin1Slice: (this: Uint8Array, from: number, to: number) => string;
};

/** Bytes as text of one character each, which sorts as they do. */
export function latin1(data: Uint8Array): string {
  return latin1Slice.call(data, 0, data.length);
}

/** Whether a range that starts at `from` holds the key. */
export function inRange(key: string, from: string, rangeEnd: string): boolean {
  if (rangeEnd === "") return key === from;
  return key >= from && (rangeEnd === "\0" || key < rangeEnd);
}

interface Path {
  readonly succeeded: boolean;
  readonly steps: readonly (RequestOp | Path)[];
}

const firstRevision = 1;
const noVersions: readonly Version[] = [];

export class SequentialModel {
  revision = firstRevision;
  compactRevision = -1;
  readonly leases = new Map<bigint, number>();
  private readonly removedMembers = new Set<bigint>();
  private readonly versions = new Map<string, Version[]>();
  private sortedKeys: string[] = [];
  /** Changes by revision, from revision 2 on. */
  private readonly history: (readonly Version[])[] = [];
  private changes: Version[] = [];

  /** Does one command that the log holds in an entry of this term. */
  apply(body: CommandBody, term: number): ModelResult {
    this.changes = [];
    try {
      const answer = this.execute(body, term);
      if (this.changes.length > 0) {
        this.revision += 1;
        this.history.push(this.changes);
      }
      return { failure: undefined, revision: this.revision, answer, changes: this.changes };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (this.changes.length > 0)
        throw new Error(`a failed command has changed the model: ${error.message}`, { cause: error });
      return { failure: error.message, revision: this.revision, answer: "", changes: noVersions };
    }
  }

  /** The changes of one revision, in order. */
  changesAt(revision: number): readonly Version[] {
    return this.history[revision - firstRevision - 1] ?? noVersions;
  }

  /** The living version of a key at a revision. */
  at(key: string, revision = Number.POSITIVE_INFINITY): Version | undefined {
    const version = this.versions.get(key)?.findLast((one) => one.revision <= revision);
    return version?.kind === "put" ? version : undefined;
  }

  alive(from: string, rangeEnd: string, revision?: number): Version[] {
    if (rangeEnd === "") {
      const version = this.at(from, revision);
      return version === undefined ? [] : [version];
    }
    const found: Version[] = [];
    for (const key of this.sortedKeys) {
      const version = inRange(key, from, rangeEnd) ? this.at(key, revision) : undefined;
      if (version !== undefined) found.push(version);
    }
    return found;
  }

  /** The answer to a range when the store stood at revision `newest`; an error's text if it must be refused. */
  range(request: RangeRequest, newest: number): string {
    const wanted = Number(request.revision);
    if (wanted > newest) return status.FutureRev.message;
    const found = this.alive(latin1(request.key), latin1(request.rangeEnd), wanted > 0 ? wanted : newest);
    if (request.countOnly) return rangeText([], found.length, false);
    const limit = request.limit > 0n ? Number(request.limit) : Number.POSITIVE_INFINITY;
    const kept = found.filter((version) => passes(request, version));
    if (request.sortOrder !== 0 || request.sortTarget !== 0) sort(kept, request);
    const lines = kept.slice(0, limit).map((version) => versionText(version, request.keysOnly));
    return rangeText(lines, found.length, kept.length > limit);
  }

  private execute(body: CommandBody, term: number): string {
    switch (body.$case) {
      case "put":
        this.assertPut(body.value);
        return this.put(body.value);
      case "deleteRange":
        return this.delete(body.value);
      case "txn":
        return this.txn(body.value);
      case "compact":
        return this.compact(Number(body.value.revision));
      case "leaseGrant":
        if (body.value.id === 0n) fail(status.LeaseNotFound);
        if (this.leases.has(body.value.id)) fail(status.LeaseExist);
        this.leases.set(body.value.id, Number(body.value.ttlSeconds));
        return `${body.value.id} ${body.value.ttlSeconds}`;
      case "leaseRevoke":
        return this.revoke(body.value.id, body.value.onlyInTerm === 0n || body.value.onlyInTerm === BigInt(term));
      case "memberRemove":
        this.removedMembers.add(body.value.id);
        return "";
      case "memberPublish":
        // Asked for before the removal, and in the log behind it.
        if (this.removedMembers.has(body.value.id)) fail(status.MemberNotFound);
        return "";
      case "alarm":
      case "memberAdd":
      case "memberUpdate":
      case "memberPromote":
      case "leaseCheckpoint":
      case "clusterVersionSet":
      case "downgrade":
      case "auth":
        return "";
    }
  }

  private compact(revision: number): string {
    if (revision > this.revision) fail(status.FutureRev);
    if (revision <= this.compactRevision) fail(status.Compacted);
    this.compactRevision = revision;
    return "";
  }

  private revoke(id: bigint, inTerm: boolean): string {
    if (!inTerm) return "";
    if (!this.leases.has(id)) fail(status.LeaseNotFound);
    for (const version of this.alive("\0", "\0")) if (version.lease === id) this.bury(version);
    this.leases.delete(id);
    return "";
  }

  private assertPut(request: PutRequest): void {
    if ((request.ignoreValue || request.ignoreLease) && this.at(latin1(request.key)) === undefined)
      fail(status.KeyNotFound);
    if (request.lease !== 0n && !this.leases.has(request.lease)) fail(status.LeaseNotFound);
  }

  private put(request: PutRequest): string {
    const key = latin1(request.key);
    const current = this.at(key);
    const revision = this.revision + 1;
    this.record({
      kind: "put",
      key,
      revision,
      createRevision: current?.createRevision ?? revision,
      version: (current?.version ?? 0) + 1,
      value: request.ignoreValue ? (current?.value ?? "") : latin1(request.value),
      lease: request.ignoreLease ? (current?.lease ?? 0n) : request.lease,
      previous: current === undefined ? undefined : this.at(key, this.revision),
    });
    return current !== undefined && request.prevKv ? versionText(current) : "";
  }

  private delete(request: DeleteRangeRequest): string {
    const found = this.alive(latin1(request.key), latin1(request.rangeEnd));
    for (const version of found) this.bury(version);
    return deletionText(found.length, request.prevKv ? found.map((version) => versionText(version)) : []);
  }

  private bury({ key }: Version): void {
    const head = { kind: "delete", key, revision: this.revision + 1, previous: this.at(key, this.revision) } as const;
    this.record({ ...head, createRevision: 0, version: 0, value: "", lease: 0n });
  }

  private record(version: Version): void {
    this.changes.push(version);
    const known = this.versions.get(version.key);
    if (known !== undefined) known.push(version);
    else {
      this.versions.set(version.key, [version]);
      this.sortedKeys = [...this.sortedKeys, version.key].toSorted(compareText);
    }
  }

  private txn(request: TxnRequest): string {
    const path = this.path(request);
    const steps = flatten(path);
    for (const { request: step } of steps) if (step?.$case === "requestPut") this.assertPut(step.value);
    for (const { request: step } of steps) {
      if (step?.$case !== "requestRange" || step.value.revision <= 0n) continue;
      if (step.value.revision > this.revision) fail(status.FutureRev);
      if (step.value.revision < this.compactRevision) fail(status.Compacted);
    }
    return this.run(path);
  }

  private run({ succeeded, steps }: Path): string {
    const now = (): number => (this.changes.length > 0 ? this.revision + 1 : this.revision);
    const answers = steps.map((step) => {
      if ("steps" in step) return this.run(step);
      const { request } = step;
      if (request?.$case === "requestPut") return `${this.put(request.value)} r${now()}`;
      if (request?.$case === "requestDeleteRange") return `${this.delete(request.value)} r${now()}`;
      if (request?.$case === "requestRange") return `${this.range(request.value, now())} r${now()}`;
      throw new Error("not a step");
    });
    return `${succeeded} [${answers.join("; ")}]`;
  }

  private path({ compare, success, failure }: TxnRequest): Path {
    const succeeded = compare.every((condition) => this.holds(condition));
    const steps = (succeeded ? success : failure).map((step) =>
      step.request?.$case === "requestTxn" ? this.path(step.request.value) : step,
    );
    return { succeeded, steps };
  }

  private holds(condition: Compare): boolean {
    const found = this.alive(latin1(condition.key), latin1(condition.rangeEnd));
    if (found.length === 0) return condition.target !== 3 && matches(condition, undefined);
    return found.every((version) => matches(condition, version));
  }
}

function flatten({ steps }: Path): RequestOp[] {
  return steps.flatMap((step) => ("steps" in step ? flatten(step) : [step]));
}

function matches({ target, result, targetUnion }: Compare, version: Version | undefined): boolean {
  const stored = [version?.version, version?.createRevision, version?.revision, version?.value, version?.lease][target];
  const given = targetUnion?.value;
  const order =
    target === 3
      ? compareText(String(stored), given instanceof Uint8Array ? latin1(given) : "")
      : compareText(BigInt(stored ?? 0), typeof given === "bigint" ? given : 0n);
  return [order === 0, order > 0, order < 0, order !== 0][result] ?? false;
}

function passes(request: RangeRequest, { revision, createRevision }: Version): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return (
    (minModRevision === 0n || revision >= minModRevision) &&
    (maxModRevision === 0n || revision <= maxModRevision) &&
    (minCreateRevision === 0n || createRevision >= minCreateRevision) &&
    (maxCreateRevision === 0n || createRevision <= maxCreateRevision)
  );
}

function sort(versions: Version[], { sortOrder, sortTarget }: RangeRequest): void {
  const by = (version: Version): string | number =>
    [version.key, version.version, version.createRevision, version.revision, version.value][sortTarget] ?? version.key;
  const sign = sortOrder === 2 ? -1 : 1;
  versions.sort((a, b) => sign * compareText(by(a), by(b)));
}

function compareText<T extends string | number | bigint>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** One line that says all about a version. */
export function versionText(version: Version, keysOnly = false): string {
  const { key, createRevision, revision, version: count, value, lease } = version;
  return keysOnly
    ? `${key}= c${createRevision} m${revision} v${count} l0`
    : `${key}=${value} c${createRevision} m${revision} v${count} l${lease}`;
}

/** The same words for a pair as a member sends it. */
export function pairText({ key, value, createRevision, modRevision, version, lease }: KeyValue): string {
  return `${latin1(key)}=${latin1(value)} c${createRevision} m${modRevision} v${version} l${lease}`;
}

function rangeText(lines: readonly string[], count: number, more: boolean): string {
  return `${count} ${more ? "more" : "all"} ${lines.join(", ")}`;
}

function deletionText(count: number, lines: readonly string[]): string {
  return `${count}: ${lines.join(", ")}`;
}

/** A range response in the model's words. */
export function describeRange(response: {
  readonly kvs: readonly KeyValue[];
  readonly count: bigint;
  readonly more: boolean;
}): string {
  return rangeText(response.kvs.map(pairText), Number(response.count), response.more);
}

/** A put response in the model's words. */
export function describePut({ prevKv }: { readonly prevKv?: KeyValue | undefined }): string {
  return prevKv === undefined ? "" : pairText(prevKv);
}

/** A delete response in the model's words. */
export function describeDelete(response: { readonly deleted: bigint; readonly prevKvs: readonly KeyValue[] }): string {
  return deletionText(Number(response.deleted), response.prevKvs.map(pairText));
}

/** A transaction's response in the model's words. */
export function describeTxn({ succeeded, responses }: Pick<TxnResponse, "succeeded" | "responses">): string {
  return `${succeeded} [${responses.map(describeOp).join("; ")}]`;
}

function describeOp({ response }: ResponseOp): string {
  switch (response?.$case) {
    case "responsePut":
      return `${describePut(response.value)} r${response.value.header?.revision}`;
    case "responseDeleteRange":
      return `${describeDelete(response.value)} r${response.value.header?.revision}`;
    case "responseRange":
      return `${describeRange(response.value)} r${response.value.header?.revision}`;
    case "responseTxn":
      return describeTxn(response.value);
    case undefined:
      return "nothing";
  }
}
