/** The state as simply as it can be said: every version of every key in one list, every question answered by looking at all. */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import type { CommandBody, CommandResult, RangeResult, TxnOutcome } from "../../../src/server/state/types.js";

interface Version {
  readonly revision: number;
  readonly key: string;
  readonly deleted: boolean;
  readonly create: number;
  readonly version: number;
  readonly value: string;
  readonly lease: bigint;
}

/** What the model says about one command. Values and keys are latin1 text. */
export interface ModelOutcome {
  readonly failure: string | undefined;
  readonly revision: number;
  readonly events: readonly string[];
  readonly answer: Answer;
}

/** What a command answers, in words: former pairs, counts, and for a transaction one answer a step. */
export type Answer = string | readonly Answer[];

interface Path {
  readonly succeeded: boolean;
  readonly steps: readonly (RequestOp | Path)[];
}

class Failure extends Error {}

const fail = (wire: { readonly message: string }): never => {
  throw new Failure(wire.message);
};
export const latin1 = (data: Uint8Array): string => Buffer.from(data).toString("latin1");

/** One line that says all about a pair. */
export function show(kv: KeyValue): string {
  const { createRevision, modRevision, version, lease } = kv;
  return `${latin1(kv.key)}=${latin1(kv.value)} c${createRevision} m${modRevision} v${version} l${lease}`;
}

function showVersion({ key, value, create, revision, version, lease }: Version): string {
  return `${key}=${value} c${create} m${revision} v${version} l${lease}`;
}

export function inRange(key: string, from: string, rangeEnd: string): boolean {
  if (rangeEnd === "") return key === from;
  return rangeEnd === "\0" ? key >= from : key >= from && key < rangeEnd;
}

export class Model {
  history: Version[] = [];
  /** What is left of each lease, in seconds; 0: its full time. */
  leases = new Map<bigint, number>();
  /** Ids of the members, and whether each is a learner. */
  members = new Map<bigint, "voter" | "learner">();
  removed = new Set<bigint>();
  revision = 1;
  compactRevision = -1;

  apply(body: CommandBody): ModelOutcome {
    let answer: Answer = "";
    const saved = { history: [...this.history], leases: new Map(this.leases), revision: this.revision };
    try {
      answer = this.#execute(body);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      Object.assign(this, saved);
      return { failure: error.message, revision: this.revision, events: [], answer: "" };
    }
    const fresh = this.history.slice(saved.history.length);
    if (fresh.length > 0) this.revision += 1;
    return {
      failure: undefined,
      revision: this.revision,
      events: fresh.map((version) => this.#event(version)),
      answer,
    };
  }

  /** `put a=… c… m… v… l… <- former` or `delete a m… <- former`. */
  #event(version: Version): string {
    const what = version.deleted ? `delete ${version.key} m${version.revision}` : `put ${showVersion(version)}`;
    if (!version.deleted && version.create === version.revision) return what;
    const before = version.revision - 1;
    const former = before < this.compactRevision ? undefined : this.at(version.key, before);
    return former === undefined ? what : `${what} <- ${showVersion(former)}`;
  }

  /** Events from a revision on, by revision, with what they replaced as far as that is not compacted now. */
  eventsSince(from: number): Map<number, string[]> {
    const events = new Map<number, string[]>();
    for (const version of this.history) {
      if (version.revision < from || this.#isLost(version)) continue;
      const list = events.get(version.revision) ?? [];
      list.push(this.#event(version));
      events.set(version.revision, list);
    }
    return events;
  }

  /** Compaction keeps of the compact revision itself only the last change of each key. */
  #isLost(version: Version): boolean {
    if (version.revision > this.compactRevision) return false;
    const last = this.history.findLast(({ key, revision }) => key === version.key && revision === version.revision);
    return last !== version;
  }

  /** What a finished compaction leaves in the file: rows of `rev` and of `cur`. */
  rowsLeft(): { changes: number; keys: number } {
    const kept = this.history.filter((version) => {
      if (version.revision > this.compactRevision) return true;
      const successor = this.history.find((one, at) => one.key === version.key && at > this.history.indexOf(version));
      if (successor !== undefined && successor.revision <= this.compactRevision) return false;
      return !version.deleted || version.revision === this.compactRevision;
    });
    return { changes: kept.length, keys: new Set(kept.map(({ key }) => key)).size };
  }

  /** The living version of a key at a revision. */
  at(key: string, revision: number): Version | undefined {
    const version = this.history.findLast((one) => one.key === key && one.revision <= revision);
    return version === undefined || version.deleted ? undefined : version;
  }

  alive(from: string, rangeEnd: string, revision = Number.POSITIVE_INFINITY): Version[] {
    const keys = [...new Set(this.history.map(({ key }) => key))].filter((key) => inRange(key, from, rangeEnd));
    return keys.toSorted(compareText).flatMap((key) => this.at(key, revision) ?? []);
  }

  leaseKeys(lease: bigint): string[] {
    return this.alive("\0", "\0").flatMap((version) => (version.lease === lease ? [version.key] : []));
  }

  /** `revision` is what counts as newest: inside a transaction its own changes are. */
  range(request: RangeRequest, newest = this.revision): { lines: string[]; count: number; more: boolean } | string {
    const wanted = Number(request.revision);
    if (wanted > this.revision) return status.FutureRev.message;
    if (wanted > 0 && wanted < this.compactRevision) return status.Compacted.message;
    const found = this.alive(latin1(request.key), latin1(request.rangeEnd), wanted > 0 ? wanted : newest);
    const count = found.length;
    if (request.countOnly) return { lines: [], count, more: false };
    const limit = request.limit > 0n ? Number(request.limit) : Number.POSITIVE_INFINITY;
    const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
    const passes = ({ revision, create }: Version): boolean =>
      (minModRevision === 0n || revision >= minModRevision) &&
      (maxModRevision === 0n || revision <= maxModRevision) &&
      (minCreateRevision === 0n || create >= minCreateRevision) &&
      (maxCreateRevision === 0n || create <= maxCreateRevision);
    const anyFilter = [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision].some(
      (bound) => bound !== 0n,
    );
    let kept = found.filter(passes);
    if (request.sortOrder === 0 && !anyFilter) kept = kept.slice(0, limit + 1);
    const sign = request.sortOrder === 2 ? -1 : 1;
    const sortKeys: ((version: Version) => string | number)[] = [
      ({ key }) => key,
      ({ version }) => version,
      ({ create }) => create,
      ({ revision }) => revision,
      ({ value }) => value,
    ];
    const by = sortKeys[request.sortTarget] ?? (({ key }) => key);
    kept = kept.toSorted((a, b) => sign * compareText(by(a), by(b)));
    const hidesLease = request.keysOnly && request.sortTarget !== 4;
    const lines = kept.slice(0, limit).map((version) =>
      showVersion({
        ...version,
        value: request.keysOnly ? "" : version.value,
        lease: hidesLease ? 0n : version.lease,
      }),
    );
    return { lines, count, more: kept.length > limit };
  }

  #execute(body: CommandBody): Answer {
    switch (body.$case) {
      case "put":
        if (body.value.lease !== 0n && !this.leases.has(body.value.lease)) fail(status.LeaseNotFound);
        this.#assertKept(body.value, this.at(latin1(body.value.key), this.revision));
        return this.#put(body.value);
      case "deleteRange":
        return this.#delete(body.value);
      case "txn":
        return this.#txn(body.value);
      case "compact":
        this.#compact(Number(body.value.revision));
        return "";
      case "leaseGrant":
        if (this.leases.has(body.value.id)) fail(status.LeaseExist);
        this.leases.set(body.value.id, 0);
        return "";
      case "leaseRevoke":
        if (!this.leases.has(body.value.id)) fail(status.LeaseNotFound);
        for (const key of this.leaseKeys(body.value.id)) this.#bury(key, "");
        this.leases.delete(body.value.id);
        return "";
      case "leaseCheckpoint":
        for (const { id, remainingSeconds } of body.value.leases) {
          if (this.leases.has(id)) this.leases.set(id, Number(remainingSeconds));
        }
        return "";
      case "memberAdd":
        this.members.set(body.value.id, body.value.learner ? "learner" : "voter");
        return "";
      case "memberRemove":
        this.members.delete(body.value.id);
        this.removed.add(body.value.id);
        return "";
      case "memberPromote":
        this.members.set(body.value.id, "voter");
        return "";
      case "memberUpdate":
        return "";
      case "alarm":
      case "memberPublish":
      case "clusterVersionSet":
      case "downgrade":
      case "auth":
        throw new Error(`the model does not know ${body.$case}`);
    }
  }

  #compact(revision: number): void {
    if (revision > this.revision) fail(status.FutureRev);
    if (revision <= this.compactRevision) fail(status.Compacted);
    this.compactRevision = revision;
  }

  #assertKept(request: { ignoreValue: boolean; ignoreLease: boolean }, current: Version | undefined): void {
    if ((request.ignoreValue || request.ignoreLease) && current === undefined) fail(status.KeyNotFound);
  }

  #put(request: PutRequest): string {
    const key = latin1(request.key);
    const current = this.at(key, Number.POSITIVE_INFINITY);
    const revision = this.revision + 1;
    this.history.push({
      revision,
      key,
      deleted: false,
      create: current?.create ?? revision,
      version: (current?.version ?? 0) + 1,
      value: request.ignoreValue ? (current?.value ?? "") : latin1(request.value),
      lease: request.ignoreLease ? (current?.lease ?? 0n) : request.lease,
    });
    return current !== undefined && request.prevKv ? showVersion(current) : "";
  }

  #delete(request: DeleteRangeRequest): string {
    const found = this.#bury(latin1(request.key), latin1(request.rangeEnd));
    return `${found.length}: ${request.prevKv ? found.map(showVersion).join(", ") : ""}`;
  }

  #bury(from: string, rangeEnd: string): Version[] {
    const found = this.alive(from, rangeEnd);
    const revision = this.revision + 1;
    for (const { key } of found) {
      this.history.push({ revision, key, deleted: true, create: 0, version: 0, value: "", lease: 0n });
    }
    return found;
  }

  #txn(request: TxnRequest): Answer {
    const path = this.#path(request);
    const steps = flatten(path);
    const deleted: [from: string, rangeEnd: string][] = [];
    for (const { request: step } of steps) {
      if (step?.$case === "requestDeleteRange") deleted.push([latin1(step.value.key), latin1(step.value.rangeEnd)]);
      if (step?.$case !== "requestPut") continue;
      const key = latin1(step.value.key);
      const gone = deleted.some(([from, rangeEnd]) => inRange(key, from, rangeEnd));
      this.#assertKept(step.value, gone ? undefined : this.at(key, this.revision));
      if (step.value.lease !== 0n && !this.leases.has(step.value.lease)) fail(status.LeaseNotFound);
    }
    for (const { request: step } of steps) {
      if (step?.$case !== "requestRange") continue;
      if (step.value.revision < 0n && step.value.revision < this.compactRevision) fail(status.Compacted);
      const answer = this.range(step.value);
      if (typeof answer === "string") fail({ message: answer });
    }
    const size = this.history.length;
    return this.#run(path, () => (this.history.length > size ? this.revision + 1 : this.revision));
  }

  #run({ succeeded, steps }: Path, now: () => number): Answer {
    const answers = steps.map((step): Answer => {
      if ("steps" in step) return this.#run(step, now);
      const { request } = step;
      if (request?.$case === "requestPut") return [this.#put(request.value), `r${now()}`];
      if (request?.$case === "requestDeleteRange") return [this.#delete(request.value), `r${now()}`];
      if (request?.$case !== "requestRange") throw new Error("not a step");
      return [JSON.stringify(this.range(request.value, now())), `r${now()}`];
    });
    return [String(succeeded), ...answers];
  }

  #path({ compare, success, failure }: TxnRequest): Path {
    const succeeded = compare.every((condition) => this.holds(condition));
    const steps = (succeeded ? success : failure).map((step) =>
      step.request?.$case === "requestTxn" ? this.#path(step.request.value) : step,
    );
    return { succeeded, steps };
  }

  holds(condition: Compare): boolean {
    const found = this.alive(latin1(condition.key), latin1(condition.rangeEnd));
    if (found.length === 0) return condition.target !== 3 && this.#matches(condition, undefined);
    return found.every((version) => this.#matches(condition, version));
  }

  #matches({ target, result, targetUnion }: Compare, version: Version | undefined): boolean {
    const stored = [version?.version, version?.create, version?.revision, version?.value, version?.lease][target];
    const kinds = ["version", "createRevision", "modRevision", "value", "lease"];
    const given = targetUnion?.$case === kinds[target] ? targetUnion?.value : undefined;
    const order =
      target === 3
        ? compareText(String(stored), given instanceof Uint8Array ? latin1(given) : "")
        : compareText(BigInt(stored ?? 0), typeof given === "bigint" ? given : 0n);
    return [order === 0, order > 0, order < 0, order !== 0][result] ?? false;
  }
}

function compareText<T extends string | number | bigint>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The steps of the branches that are taken, those of inner transactions in place. */
function flatten({ steps }: Path): RequestOp[] {
  return steps.flatMap((step) => ("steps" in step ? flatten(step) : [step]));
}

/** A range result in the model's words. */
export function showRange({ kvs, count, more }: Pick<RangeResult, "kvs" | "count" | "more">): {
  lines: string[];
  count: number;
  more: boolean;
} {
  return { lines: kvs.map(show), count, more };
}

/** The answer of a command in the model's words. */
export function showAnswer(result: CommandResult): Answer {
  if (result.kind === "failed") return "";
  const { response } = result;
  if (response.kind === "put") return response.previous === undefined ? "" : show(response.previous);
  if (response.kind === "deleteRange") return `${response.deleted}: ${response.previous.map(show).join(", ")}`;
  return response.kind === "txn" ? showTxn(response.response) : "";
}

function showTxn({ succeeded, responses }: TxnOutcome): Answer {
  const answers = responses.map(({ response }): Answer => {
    switch (response?.$case) {
      case "responsePut":
        return [response.value.prevKv === undefined ? "" : show(response.value.prevKv), showHeader(response.value)];
      case "responseDeleteRange":
        return [
          `${response.value.deleted}: ${response.value.prevKvs.map(show).join(", ")}`,
          showHeader(response.value),
        ];
      case "responseRange":
        return [
          JSON.stringify(showRange({ ...response.value, count: Number(response.value.count) })),
          showHeader(response.value),
        ];
      case "responseTxn":
        return showTxn(response.value);
      case undefined:
        return "nothing";
    }
  });
  return [String(succeeded), ...answers];
}

function showHeader({ header }: { header: { revision: bigint } | undefined }): string {
  return `r${header?.revision}`;
}
