/**
 * The public face of the SDK.
 *
 * @module litecd
 */

export type {
  Alarm,
  AuthAdmin,
  AuthStatus,
  Cluster,
  Downgrade,
  Hash,
  HashKv,
  Maintenance,
  MemberInfo,
  MemberStatus,
  Permission,
  Role,
  RoleAdmin,
  SavedSnapshot,
  SnapshotDownload,
  SnapshotOptions,
  SnapshotProgress,
  User,
  UserAdmin,
  UserLogin,
} from "./admin/types.js";
export type { ClusterInfo, EndpointInfo } from "./calls/membership.js";
export type { ClientState, StatusEvent } from "./calls/status-board.js";
export { createClient } from "./client.js";
export { type DiscoverOptions, discover, type SrvRecord, type SrvResolver } from "./connection/srv.js";
export {
  type Connection,
  type ConnectionEvent,
  type ConnectionSettings,
  type Duplex,
  type Method,
  type MethodFacts,
  type Transport,
  TransportError,
  type WireCall,
} from "./connection/transport.js";
export { optionsFromEnv } from "./env.js";
export {
  type ClientErrorCode,
  CompactedError,
  ConflictError,
  DecodeError,
  EtcdError,
  type EtcdErrorCode,
  isEtcdError,
  LeaseLostError,
  type LeaseLostReason,
  type Outcome,
  SlowConsumerError,
  SnapshotError,
  UnsupportedError,
} from "./errors.js";
export { bytes, json, jsonReplacer, type StandardSchema, utf8 } from "./kv/codec.js";
export { formatId } from "./kv/convert.js";
export { cmp, op } from "./kv/txn.js";
export type {
  Compare,
  Comparison,
  Op,
  OpDeleteOptions,
  OpGetOptions,
  OpKind,
  OpPutOptions,
  ResultsOf,
  TxnResult,
  TxnSpec,
} from "./kv/txn-types.js";
export type {
  Binding,
  BindOptions,
  Codec,
  DeleteOptions,
  DeleteResult,
  EdgeOptions,
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
  Scan,
  ScanOptions,
  ScanPage,
  Sort,
  Span,
} from "./kv/types.js";
export { keepRegistered, type Registration, type RegistrationOptions } from "./lease/keep-registered.js";
export type { Lease, LeaseInfo, LeaseState, Leases } from "./lease/types.js";
export {
  type CallAttempt,
  type CallEnd,
  type CallFacts,
  type CallStart,
  type ConnectionMessage,
  type DiagnosticsChannel,
  type DiagnosticsMessages,
  type LeaderChange,
  type LeaseLost,
  observe,
  type TokenFetch,
  type WatchResume,
} from "./observe/channels.js";
export type {
  Bytes,
  CallOptions,
  ClientOptions,
  GrpcInterceptor,
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
  RawHealth,
  RawKv,
  RawLease,
  RawMaintenance,
  RawUnaries,
  RawWatch,
  RawWatchOptions,
} from "./raw/raw-types.js";
export type { EtcdClient } from "./types.js";
export type {
  Delta,
  FollowOptions,
  Snapshot,
  Watch,
  WatchBatch,
  WatchEvent,
  WatchOptions,
  WatchState,
} from "./watch/types.js";
