/** Transactions: choose the path, check all of it, then run it (spec/server.md 3.5). */
import type {
  PutRequest,
  RangeResponse,
  RequestOp,
  ResponseHeader,
  ResponseOp,
  TxnRequest,
} from "../../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../../proto/status.js";
import type { Interval } from "../../storage/scan.js";
import type { StateSource } from "../../storage/state-store.js";
import type { RangeResult, TxnOutcome } from "../types.js";
import { holds } from "./compare.js";
import { contains, intervalOf } from "./interval.js";
import {
  assertChangesFit,
  assertExists,
  assertLease,
  deleteRange,
  deletionsMax,
  keepsPart,
  type Operations,
  put,
  rangeWithin,
} from "./operations.js";
import { assertReadable, type ReadPoint, range } from "./read.js";

/** The branch that a transaction takes, with those of the transactions in it, decided before anything runs. */
interface Path {
  readonly succeeded: boolean;
  readonly steps: readonly Step[];
}

type Step =
  | { readonly kind: "operation"; readonly operation: RequestOp }
  | { readonly kind: "txn"; readonly path: Path };

/** Runs a transaction. Throws WireError before it has changed anything, or not at all. */
export function txn(operations: Operations, request: TxnRequest): TxnOutcome {
  const { store, writer, compactRevision } = operations;
  const path = choosePath(store, request);
  assertRunnable(store, path, { revision: writer.revision, compactRevision });
  return run(path, (operation) => perform(operations, operation));
}

/** Runs a transaction that only reads. Throws WireError for revisions that can not be read. */
export function readOnlyTxn(store: StateSource, point: ReadPoint, request: TxnRequest): TxnOutcome {
  const path = choosePath(store, request);
  assertRanges(flatten(path), point);
  return run(path, ({ request: operation }) => {
    if (operation?.$case !== "requestRange") throw new WireError(status.KeyNotFound);
    return rangeResponse(range(store, point, operation.value));
  });
}

/** Whether a transaction, whatever its branch, holds nothing but ranges. */
export function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ request }) => request?.$case === "requestRange");
}

function choosePath(store: StateSource, { compare, success, failure }: TxnRequest): Path {
  const succeeded = compare.every((condition) => holds(store, condition));
  const steps = (succeeded ? success : failure).map((operation): Step => {
    const { request } = operation;
    return request?.$case === "requestTxn"
      ? { kind: "txn", path: choosePath(store, request.value) }
      : { kind: "operation", operation };
  });
  return { succeeded, steps };
}

/** The operations of a path, those of inner transactions in place. */
function flatten({ steps }: Path): RequestOp[] {
  return steps.flatMap((step) => (step.kind === "txn" ? flatten(step.path) : [step.operation]));
}

/** What could fail fails here, before the first change: puts first, then ranges, as etcd does. */
function assertRunnable(store: StateSource, path: Path, point: ReadPoint): void {
  const operations = flatten(path);
  const deleted: Interval[] = [];
  let changesMax = 0;
  for (const { request } of operations) {
    if (request?.$case === "requestPut") {
      assertPut(store, request.value, deleted);
      // The put, and its deletion by a later step.
      changesMax += 2;
    } else if (request?.$case === "requestDeleteRange") {
      deleted.push(intervalOf(request.value));
      changesMax += deletionsMax(store, request.value);
    }
  }
  assertRanges(operations, point);
  assertChangesFit(changesMax);
}

/** Other than alone, a range in a transaction takes a negative revision for one that is compacted; etcd's clients see that. */
function assertRanges(operations: readonly RequestOp[], point: ReadPoint): void {
  for (const { request } of operations) {
    if (request === undefined) throw new WireError(status.KeyNotFound);
    if (request.$case !== "requestRange") continue;
    const { revision } = request.value;
    if (revision < 0n && revision < BigInt(point.compactRevision)) throw new WireError(status.Compacted);
    assertReadable(revision, point);
  }
}

/** `deleted` is what earlier steps delete: such a key is gone when the put runs, even if it is still there now. */
function assertPut(store: StateSource, request: PutRequest, deleted: readonly Interval[]): void {
  if (keepsPart(request)) {
    if (deleted.some((interval) => contains(interval, request.key))) throw new WireError(status.KeyNotFound);
    assertExists(store, request.key);
  }
  assertLease(store, request);
}

function run({ succeeded, steps }: Path, answer: (operation: RequestOp) => ResponseOp): TxnOutcome {
  const responses = steps.map((step): ResponseOp => {
    if (step.kind === "operation") return answer(step.operation);
    const inner = { ...run(step.path, answer), header: emptyHeader() };
    return { response: { $case: "responseTxn", value: inner } };
  });
  return { header: undefined, succeeded, responses };
}

function perform(operations: Operations, { request }: RequestOp): ResponseOp {
  const { writer } = operations;
  switch (request?.$case) {
    case "requestRange":
      return rangeResponse(rangeWithin(operations, request.value));
    case "requestPut": {
      const prevKv = put(operations, request.value);
      return { response: { $case: "responsePut", value: { header: header(writer.revision), prevKv } } };
    }
    case "requestDeleteRange": {
      const { deleted, previous } = deleteRange(operations, request.value);
      const value = { header: header(writer.revision), deleted: BigInt(deleted), prevKvs: previous };
      return { response: { $case: "responseDeleteRange", value } };
    }
    case "requestTxn":
    case undefined:
      throw new Error("a path holds an operation that was resolved or refused when it was chosen");
  }
}

function rangeResponse({ kvs, count, more, revision }: RangeResult): ResponseOp {
  const value: RangeResponse = { header: header(revision), kvs: [...kvs], more, count: BigInt(count) };
  return { response: { $case: "responseRange", value } };
}

/** Inside a transaction a header carries the revision only. */
function header(revision: number): ResponseHeader {
  return { clusterId: 0n, memberId: 0n, revision: BigInt(revision), raftTerm: 0n };
}

function emptyHeader(): ResponseHeader {
  return header(0);
}
