/** The public face of the SDK. */
export { createClient } from "./client.js";
export { bytes, json, type StandardSchema, utf8 } from "./codec.js";
export { formatId } from "./convert.js";
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
} from "./raw-types.js";
export type { Connection, ConnectionSettings, Duplex, Method, MethodFacts, Transport, WireCall } from "./transport.js";
export { cmp, op } from "./txn.js";
export type { Compare, Comparison, Op, OpKind, ResultsOf, TxnResult, TxnSpec } from "./txn-types.js";
export type {
  Alarm,
  Cluster,
  Codec,
  DeleteOptions,
  DeleteResult,
  EtcdClient,
  HashKv,
  Header,
  Key,
  KeyRange,
  KeyValue,
  Kv,
  Lease,
  LeaseInfo,
  Leases,
  ListOptions,
  Maintenance,
  MemberInfo,
  MemberStatus,
  PutOptions,
  PutResult,
  RangeResult,
  ReadOptions,
  RevisionInput,
  Sort,
  Span,
  Watch,
  WatchBatch,
  WatchEvent,
  WatchOptions,
  WatchState,
} from "./types.js";
