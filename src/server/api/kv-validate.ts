/**
 * What a KV request must fulfil before it may be read for or proposed: order of checks and texts of spec/server.md 3.
 * Enum values that the API does not name are refused here, because whatever enters the log must be applicable.
 */
import type {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../../proto/gen/etcd/rpc.js";
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import { IntervalTree } from "../watch/interval-tree.js";
import { type Interval, intervalOf, isEmpty, type KeyText, keyText } from "../watch/ranges.js";

/** Highest numbers of the API's enums; each starts at 0 and has no gaps. */
const enumMax = { sortOrder: 2, sortTarget: 4, compareResult: 3, compareTarget: 4 } as const;

export function validateRange(request: RangeRequest): void {
  require(request.key.length > 0, status.EmptyKey);
  require(isNamed(request.sortOrder, enumMax.sortOrder), status.InvalidSortOption);
  require(isNamed(request.sortTarget, enumMax.sortTarget), status.InvalidSortOption);
}

export function validatePut(request: PutRequest): void {
  require(request.key.length > 0, status.EmptyKey);
  require(!request.ignoreValue || request.value.length === 0, status.ValueProvided);
  require(!request.ignoreLease || request.lease === 0n, status.LeaseProvided);
}

export function validateDeleteRange(request: DeleteRangeRequest): void {
  require(request.key.length > 0, status.EmptyKey);
}

/** A revision below 1 never existed, so it counts as compacted; etcd lets 0 pass and poisons a cache (spec 15.1 no. 9). */
export function validateCompaction(request: CompactionRequest): void {
  require(request.revision > 0n, status.Compacted);
}

/** `opsMax` bounds each list at the top; what a level uses is missing below it. */
export function validateTxn(request: TxnRequest, opsMax: number): void {
  validateTxnOps(request, opsMax);
  collectWrites(request.success);
  collectWrites(request.failure);
}

/** Whether a transaction writes nothing, whatever branch it takes. A nested transaction counts as a write. */
export function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ request }) => request?.$case === "requestRange");
}

/** Whether it may be answered from local state: it reads something, and all its reads are serializable. */
export function isSerializable({ success, failure }: TxnRequest): boolean {
  const ops = [...success, ...failure];
  return ops.length > 0 && ops.every(({ request }) => request?.$case === "requestRange" && request.value.serializable);
}

function validateTxnOps({ compare, success, failure }: TxnRequest, opsMax: number): void {
  const used = Math.max(compare.length, success.length, failure.length);
  require(used <= opsMax, status.TooManyOps);
  for (const one of compare) validateCompare(one);
  for (const op of [...success, ...failure]) validateOp(op, opsMax - used);
}

function validateCompare(compare: Compare): void {
  require(compare.key.length > 0, status.EmptyKey);
  require(isNamed(compare.result, enumMax.compareResult), status.InvalidCompare);
  require(isNamed(compare.target, enumMax.compareTarget), status.InvalidCompare);
}

function validateOp({ request }: RequestOp, opsMaxBelow: number): void {
  switch (request?.$case) {
    case "requestRange":
      return validateRange(request.value);
    case "requestPut":
      return validatePut(request.value);
    case "requestDeleteRange":
      return validateDeleteRange(request.value);
    case "requestTxn":
      return validateTxnOps(request.value, opsMaxBelow);
    case undefined:
      throw new WireError(status.KeyNotFound);
  }
}

/** What a list of operations may write, nested ones included. */
interface Writes {
  readonly puts: Set<KeyText>;
  readonly deletes: Interval[];
}

/**
 * Refuses lists in which the order of two writes to one key would matter: two puts, or a put under a delete.
 * Only the two branches of one nested transaction may put the same key, since at most one of them runs. As in etcd, a
 * nested put is checked against the deletes of its list and of earlier siblings, not of later ones (spec 3.5).
 */
function collectWrites(ops: readonly RequestOp[]): Writes {
  const puts = new Set<KeyText>();
  const deletes = new DeletedKeys();
  for (const { request } of ops) {
    if (request?.$case === "requestDeleteRange") deletes.add(intervalOf(request.value.key, request.value.rangeEnd));
  }
  const add = (key: KeyText, alsoAllowed?: ReadonlySet<KeyText>): void => {
    require(!puts.has(key) || alsoAllowed?.has(key) === true, status.DuplicateKey);
    require(!deletes.has(key), status.DuplicateKey);
    puts.add(key);
  };
  for (const { request } of ops) {
    if (request?.$case !== "requestTxn") continue;
    const branches = [collectWrites(request.value.success), collectWrites(request.value.failure)] as const;
    for (const key of branches[0].puts) add(key);
    for (const key of branches[1].puts) add(key, branches[0].puts);
    for (const branch of branches) branch.deletes.forEach((interval) => deletes.add(interval));
  }
  for (const { request } of ops) if (request?.$case === "requestPut") add(keyText(request.value.key));
  return { puts, deletes: deletes.intervals };
}

class DeletedKeys {
  readonly intervals: Interval[] = [];
  private readonly tree = new IntervalTree<true>();

  add(interval: Interval): void {
    if (isEmpty(interval) || this.tree.get(interval) === true) return;
    this.tree.insert(interval, true);
    this.intervals.push(interval);
  }

  has(key: KeyText): boolean {
    return this.tree.holds(key);
  }
}

function isNamed(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function require(condition: boolean, otherwise: WireStatus): void {
  if (!condition) throw new WireError(otherwise);
}
