/** The public face of the SDK. */

export type { Alarm, Cluster, HashKv, Maintenance, MemberInfo, MemberStatus } from "./admin/types.js";
export { createClient } from "./client.js";
export type {
  Connection,
  ConnectionSettings,
  Duplex,
  Method,
  MethodFacts,
  Transport,
  WireCall,
} from "./connection/transport.js";
export {
  type ClientErrorCode,
  CompactedError,
  ConflictError,
  EtcdError,
  type EtcdErrorCode,
  isEtcdError,
  LeaseLostError,
  type LeaseLostReason,
  type Outcome,
  SlowConsumerError,
} from "./errors.js";
export { bytes, json, type StandardSchema, utf8 } from "./kv/codec.js";
export { formatId } from "./kv/convert.js";
export { cmp, op } from "./kv/txn.js";
export type { Compare, Comparison, Op, OpKind, ResultsOf, TxnResult, TxnSpec } from "./kv/txn-types.js";
export type {
  Codec,
  DeleteOptions,
  DeleteResult,
  Header,
  Key,
  KeyRange,
  KeyValue,
  Kv,
  ListOptions,
  PutOptions,
  PutResult,
  RangeResult,
  ReadOptions,
  RevisionInput,
  Sort,
  Span,
} from "./kv/types.js";
export type { Lease, LeaseInfo, Leases } from "./lease/types.js";
export type {
  Bytes,
  CallOptions,
  ClientOptions,
  LogEntry,
  MonotonicClock,
  PasswordAuth,
  Pem,
  Provider,
  RetryPolicy,
  Routing,
  Target,
  TlsOptions,
  TokenAuth,
} from "./options.js";
export type {
  RawClient,
  RawElection,
  RawKv,
  RawLease,
  RawMaintenance,
  RawUnaries,
  RawWatch,
  RawWatchOptions,
} from "./raw/raw-types.js";
export type { EtcdClient } from "./types.js";
export type { Watch, WatchBatch, WatchEvent, WatchOptions, WatchState } from "./watch/types.js";
