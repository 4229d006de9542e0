/**
 * The wire-error table: every error that etcd's API names, with its gRPC code and exact text.
 * Clients compare the text, so it is part of the contract. Source: spec/server.md section 10 (etcd 3.7).
 */

/** gRPC status codes by name. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** One error as it travels: a gRPC code and etcd's text. */
export interface WireStatus {
  readonly code: Code;
  readonly message: string;
}

export const status = {
  EmptyKey: { code: Code.INVALID_ARGUMENT, message: "etcdserver: key is not provided" },
  KeyNotFound: { code: Code.INVALID_ARGUMENT, message: "etcdserver: key not found" },
  ValueProvided: { code: Code.INVALID_ARGUMENT, message: "etcdserver: value is provided" },
  LeaseProvided: { code: Code.INVALID_ARGUMENT, message: "etcdserver: lease is provided" },
  TooManyOps: { code: Code.INVALID_ARGUMENT, message: "etcdserver: too many operations in txn request" },
  DuplicateKey: { code: Code.INVALID_ARGUMENT, message: "etcdserver: duplicate key given in txn request" },
  InvalidClientAPIVersion: { code: Code.INVALID_ARGUMENT, message: "etcdserver: invalid client api version" },
  InvalidSortOption: { code: Code.INVALID_ARGUMENT, message: "etcdserver: invalid sort option" },
  Compacted: { code: Code.OUT_OF_RANGE, message: "etcdserver: mvcc: required revision has been compacted" },
  FutureRev: { code: Code.OUT_OF_RANGE, message: "etcdserver: mvcc: required revision is a future revision" },
  NoSpace: { code: Code.RESOURCE_EXHAUSTED, message: "etcdserver: mvcc: database space exceeded" },
  LeaseNotFound: { code: Code.NOT_FOUND, message: "etcdserver: requested lease not found" },
  LeaseExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: lease already exists" },
  LeaseTTLTooLarge: { code: Code.OUT_OF_RANGE, message: "etcdserver: too large lease TTL" },
  WatchCanceled: { code: Code.CANCELLED, message: "etcdserver: watch canceled" },
  MemberExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: member ID already exist" },
  PeerURLExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: Peer URLs already exists" },
  MemberNotEnoughStarted: {
    code: Code.UNKNOWN,
    message: "etcdserver: re-configuration failed due to not enough started members",
  }, // etcd lists it as FAILED_PRECONDITION; on the wire it arrives as UNKNOWN
  MemberBadURLs: { code: Code.INVALID_ARGUMENT, message: "etcdserver: given member URLs are invalid" },
  MemberNotFound: { code: Code.NOT_FOUND, message: "etcdserver: member not found" },
  MemberNotLearner: { code: Code.FAILED_PRECONDITION, message: "etcdserver: can only promote a learner member" },
  LearnerNotReady: {
    code: Code.FAILED_PRECONDITION,
    message: "etcdserver: can only promote a learner member which is in sync with leader",
  },
  TooManyLearners: { code: Code.FAILED_PRECONDITION, message: "etcdserver: too many learner members in cluster" },
  ClusterIDMismatch: { code: Code.FAILED_PRECONDITION, message: "etcdserver: cluster ID mismatch" },
  RequestTooLarge: { code: Code.INVALID_ARGUMENT, message: "etcdserver: request is too large" },
  TooManyRequests: { code: Code.UNKNOWN, message: "etcdserver: too many requests" }, // etcd lists it as RESOURCE_EXHAUSTED; on the wire it arrives as UNKNOWN
  RootUserNotExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: root user does not exist" },
  RootRoleNotExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: root user does not have root role" },
  UserAlreadyExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: user name already exists" },
  UserEmpty: { code: Code.INVALID_ARGUMENT, message: "etcdserver: user name is empty" },
  UserNotFound: { code: Code.FAILED_PRECONDITION, message: "etcdserver: user name not found" },
  RoleAlreadyExist: { code: Code.FAILED_PRECONDITION, message: "etcdserver: role name already exists" },
  RoleNotFound: { code: Code.FAILED_PRECONDITION, message: "etcdserver: role name not found" },
  RoleEmpty: { code: Code.INVALID_ARGUMENT, message: "etcdserver: role name is empty" },
  AuthFailed: {
    code: Code.INVALID_ARGUMENT,
    message: "etcdserver: authentication failed, invalid user ID or password",
  },
  PermissionNotGiven: { code: Code.INVALID_ARGUMENT, message: "etcdserver: permission not given" },
  PermissionDenied: { code: Code.PERMISSION_DENIED, message: "etcdserver: permission denied" },
  RoleNotGranted: { code: Code.FAILED_PRECONDITION, message: "etcdserver: role is not granted to the user" },
  PermissionNotGranted: {
    code: Code.FAILED_PRECONDITION,
    message: "etcdserver: permission is not granted to the role",
  },
  AuthNotEnabled: { code: Code.FAILED_PRECONDITION, message: "etcdserver: authentication is not enabled" },
  InvalidAuthToken: { code: Code.UNAUTHENTICATED, message: "etcdserver: invalid auth token" },
  InvalidAuthMgmt: { code: Code.INVALID_ARGUMENT, message: "etcdserver: invalid auth management" },
  AuthOldRevision: { code: Code.INVALID_ARGUMENT, message: "etcdserver: revision of auth store is old" },
  NoLeader: { code: Code.UNAVAILABLE, message: "etcdserver: no leader" },
  NotLeader: { code: Code.FAILED_PRECONDITION, message: "etcdserver: not leader" },
  LeaderChanged: { code: Code.UNAVAILABLE, message: "etcdserver: leader changed" },
  NotCapable: { code: Code.FAILED_PRECONDITION, message: "etcdserver: not capable" },
  Stopped: { code: Code.UNAVAILABLE, message: "etcdserver: server stopped" },
  Timeout: { code: Code.UNAVAILABLE, message: "etcdserver: request timed out" },
  TimeoutDueToLeaderFail: {
    code: Code.UNAVAILABLE,
    message: "etcdserver: request timed out, possibly due to previous leader failure",
  },
  TimeoutDueToConnectionLost: {
    code: Code.UNAVAILABLE,
    message: "etcdserver: request timed out, possibly due to connection lost",
  },
  TimeoutWaitAppliedIndex: {
    code: Code.UNAVAILABLE,
    message: "etcdserver: request timed out, waiting for the applied index took too long",
  },
  Unhealthy: { code: Code.UNAVAILABLE, message: "etcdserver: unhealthy cluster" },
  Corrupt: { code: Code.DATA_LOSS, message: "etcdserver: corrupt cluster" },
  NotSupportedForLearner: { code: Code.FAILED_PRECONDITION, message: "etcdserver: rpc not supported for learner" },
  BadLeaderTransferee: { code: Code.FAILED_PRECONDITION, message: "etcdserver: bad leader transferee" },
  WrongDowngradeVersionFormat: {
    code: Code.INVALID_ARGUMENT,
    message: "etcdserver: wrong downgrade target version format",
  },
  InvalidDowngradeTargetVersion: {
    code: Code.INVALID_ARGUMENT,
    message: "etcdserver: invalid downgrade target version",
  },
  ClusterVersionUnavailable: {
    code: Code.FAILED_PRECONDITION,
    message: "etcdserver: cluster version not found during downgrade",
  },
  DowngradeInProcess: {
    code: Code.FAILED_PRECONDITION,
    message: "etcdserver: cluster has a downgrade job in progress",
  },
  NoInflightDowngrade: { code: Code.FAILED_PRECONDITION, message: "etcdserver: no inflight downgrade job" },
  Canceled: { code: Code.CANCELLED, message: "etcdserver: request canceled" },
  DeadlineExceeded: { code: Code.DEADLINE_EXCEEDED, message: "etcdserver: context deadline exceeded" },

  // Ours alone: etcd lets these enum values through, and some of them stop it (spec 15.1).
  InvalidCompare: { code: Code.INVALID_ARGUMENT, message: "etcdserver: invalid compare option" },
  InvalidAlarm: { code: Code.INVALID_ARGUMENT, message: "etcdserver: invalid alarm option" },

  // Texts outside etcd's own table that reach clients with code UNKNOWN.
  RaftProposalDropped: { code: Code.UNKNOWN, message: "raft proposal dropped" },
  LeaderTransferTimeout: {
    code: Code.UNKNOWN,
    message: "etcdserver: request timed out, leader transfer took too long",
  },
  AuthNoPasswordUser: {
    code: Code.UNKNOWN,
    message: "auth: authentication failed, password was given for no password user",
  },
  PasswordTooLong: { code: Code.UNKNOWN, message: "bcrypt: password length exceeds 72 bytes" },
  TokenVerifyOnly: { code: Code.UNKNOWN, message: "auth: token signing attempted with verify-only key" },
  UnknownMethod: { code: Code.UNKNOWN, message: "etcdserver: unknown method" },
  NotPrimaryLessor: { code: Code.UNKNOWN, message: "not a primary lessor" },
  ElectionNoLeader: { code: Code.UNKNOWN, message: "election: no leader" },
  ElectionNotLeader: { code: Code.UNKNOWN, message: "election: not leader" },
  ElectionLeaderMissing: { code: Code.UNKNOWN, message: '"leader" field must be provided' },
  MutexSessionExpired: { code: Code.UNKNOWN, message: "mutex: session is expired" },
  RangeStreamSortUnsupported: { code: Code.UNIMPLEMENTED, message: "RangeStream does not support custom sort orders" },
  RangeStreamFilterUnsupported: { code: Code.UNIMPLEMENTED, message: "RangeStream does not support revision filters" },
  HealthServiceUnknown: { code: Code.NOT_FOUND, message: "unknown service" },
  ContextDeadlineExceeded: { code: Code.DEADLINE_EXCEEDED, message: "context deadline exceeded" },
} as const satisfies Record<string, WireStatus>;

export type StatusName = keyof typeof status;

/** Reasons that a watch gives in `cancel_reason`; they are no gRPC statuses. Source: spec/server.md section 4.1. */
export const watchCancelReason = {
  emptyRange: "mvcc: watcher range is empty",
  duplicateId: "mvcc: duplicate watch ID provided on the WatchStream",
  compacted: status.Compacted.message,
} as const;

/** A failure that can happen: it ends one request and travels to the client as a gRPC status. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly code: Code;

  constructor(wireStatus: WireStatus, options?: { cause?: unknown }) {
    super(wireStatus.message, options);
    this.code = wireStatus.code;
  }
}
