/** Transactions as types: the tuple of operations given decides the tuple of results returned. */
import type {
  DeleteOptions,
  DeleteResult,
  Header,
  Key,
  KeyRange,
  ListOptions,
  PutOptions,
  PutResult,
  RangeResult,
} from "./types.js";

/** One guard of a transaction, made by `cmp`. */
export interface Compare {
  readonly target: "version" | "createRevision" | "modRevision" | "value" | "lease";
  readonly result: "equal" | "notEqual" | "greater" | "less";
  readonly range: KeyRange;
  readonly operand: bigint | Key;
}

/** The right-hand side of a guard on a key, or on every key of a range. */
export interface Comparison<T> {
  equal(operand: T): Compare;
  notEqual(operand: T): Compare;
  greater(operand: T): Compare;
  less(operand: T): Compare;
}

export type OpKind = "range" | "put" | "delete" | "txn";
/** The options of operations inside a transaction: what concerns the call itself belongs to the transaction. */
export type OpGetOptions = Omit<ListOptions, "signal" | "timeoutMs" | "target" | "retry" | "minRevision">;
export type OpPutOptions = Pick<PutOptions, "lease" | "previous">;
export type OpDeleteOptions = Pick<DeleteOptions, "previous">;

export interface RangeOp {
  readonly kind: "range";
  readonly range: KeyRange;
  readonly options: OpGetOptions;
}
export interface PutOp {
  readonly kind: "put";
  readonly key: Key;
  /** undefined leaves the value that is there. */
  readonly value: Key | undefined;
  readonly options: OpPutOptions;
}
export interface DeleteOp {
  readonly kind: "delete";
  readonly range: KeyRange;
  readonly options: OpDeleteOptions;
}
export interface TxnOp<T extends readonly AnyOp[], E extends readonly AnyOp[]> {
  readonly kind: "txn";
  readonly spec: TxnSpec<T, E>;
}
type AnyOp = RangeOp | PutOp | DeleteOp | TxnOp<readonly AnyOp[], readonly AnyOp[]>;
interface OpOfKind<T extends readonly AnyOp[], E extends readonly AnyOp[]> {
  readonly range: RangeOp;
  readonly put: PutOp;
  readonly delete: DeleteOp;
  readonly txn: TxnOp<T, E>;
}

/** One operation of a transaction, made by `op`. */
export type Op<
  K extends OpKind = OpKind,
  T extends readonly AnyOp[] = readonly AnyOp[],
  E extends readonly AnyOp[] = readonly AnyOp[],
> = OpOfKind<T, E>[K];

export interface TxnSpec<T extends readonly Op[], E extends readonly Op[] = []> {
  /** All must hold; none always holds. */
  readonly if?: readonly Compare[];
  readonly then: T;
  readonly else?: E;
}

type ResultOf<O, V> = O extends RangeOp
  ? RangeResult<V>
  : O extends PutOp
    ? PutResult<V>
    : O extends DeleteOp
      ? DeleteResult<V>
      : O extends TxnOp<infer T, infer E>
        ? TxnResult<T, E, V>
        : never;

export type ResultsOf<T extends readonly Op[], V = string> = { -readonly [I in keyof T]: ResultOf<T[I], V> };

export type TxnResult<T extends readonly Op[], E extends readonly Op[], V = string> =
  | { readonly succeeded: true; readonly header: Header; readonly results: ResultsOf<T, V> }
  | { readonly succeeded: false; readonly header: Header; readonly results: ResultsOf<E, V> };
