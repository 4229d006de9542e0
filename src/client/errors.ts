/**
 * What the client throws: one class decided by `code`, and a few subclasses that carry more.
 * Every error says what became of the request (`outcome`), where it was sent and how often it was tried.
 */
import { Code, type StatusName, status } from "../../proto/status.js";
import type { KeyValue } from "./kv/types.js";

/** Whether a write took effect: proof that it did not, proof that it did, or neither. */
export type Outcome = "not-applied" | "unknown" | "applied";

/** Failures that the client itself finds; every other code is a name of the wire-error table. */
export type ClientErrorCode =
  | "Aborted" // the caller's signal; `cause` is its reason
  | "CacheFull" // a cache would hold more than its `keysMax` or `bytesMax`
  | "ClientClosed"
  | "Conflict" // an `ifRevision` or `ifAbsent` guard failed
  | "ConnectFailed" // no endpoint could be reached before the deadline
  | "ConnectionLost" // the transport broke under a request
  | "Decode" // a codec could not read a value
  | "CredentialsFailed" // the function that provides the password or the token threw; `cause` is what
  | "LeaseLost"
  | "LockLost" // a lock, permit or leadership is not held any more
  | "SlowConsumer"
  | "SnapshotCorrupt"
  | "TimedOut" // the caller's deadline
  | "UnknownMember" // no endpoint is the member that was named
  | "Unsupported" // the server does not know the method
  | "WrongCluster" // the endpoint answers for another cluster than the client's
  | "Other"; // a status that no table names: see `grpcStatus` and `serverMessage`

export type EtcdErrorCode = StatusName | ClientErrorCode;

/** What an error says besides its text. */
export interface EtcdErrorFacts {
  readonly code: EtcdErrorCode;
  readonly grpcStatus: number;
  readonly outcome: Outcome;
  /** The endpoint of the last attempt. */
  readonly endpoint?: string | undefined;
  readonly attempts?: number | undefined;
  /** Whether the same request may well succeed later. */
  readonly retryable?: boolean | undefined;
  /** The server's own words; empty when the failure is the client's finding. */
  readonly serverMessage?: string | undefined;
  readonly cause?: unknown;
}

const brand = Symbol.for("litecd.EtcdError");

/** The only error class of the client, decided by `code`; `cause` keeps what lay underneath. */
export class EtcdError extends Error {
  override readonly name: string = "EtcdError";
  readonly code: EtcdErrorCode;
  /** gRPC status number; 0 if no gRPC call failed (a lost lease, a failed guard). */
  readonly grpcStatus: number;
  readonly outcome: Outcome;
  readonly endpoint?: string;
  readonly attempts: number;
  readonly retryable: boolean;
  /** The text as the server sent it, such as "etcdserver: lease already exists"; empty if no server spoke. */
  readonly serverMessage: string;

  constructor(message: string, facts: EtcdErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.grpcStatus = facts.grpcStatus;
    this.outcome = facts.outcome;
    if (facts.endpoint !== undefined) this.endpoint = facts.endpoint;
    this.attempts = facts.attempts ?? 0;
    this.retryable = facts.retryable ?? false;
    this.serverMessage = facts.serverMessage ?? "";
    Object.defineProperty(this, brand, { value: true });
  }
}

/** A read or a watch needs history that compaction removed. `compactRevision` is 0n if the server did not tell. */
export class CompactedError extends EtcdError {
  override readonly name = "CompactedError";
  readonly compactRevision: bigint;
  /** The revision that was asked for: a read's revision, or the next one a watch would have delivered. */
  readonly resumeRevision: bigint;

  constructor(revisions: { compactRevision: bigint; resumeRevision: bigint }, facts: Partial<EtcdErrorFacts>) {
    const { compactRevision, resumeRevision } = revisions;
    super(`revision ${resumeRevision} is gone: the store is compacted at ${compactRevision}`, {
      grpcStatus: status.Compacted.code,
      outcome: "not-applied",
      serverMessage: status.Compacted.message,
      ...facts,
      code: "Compacted",
    });
    this.compactRevision = compactRevision;
    this.resumeRevision = resumeRevision;
  }
}

export type LeaseLostReason = "expired" | "revoked" | "unreachable" | "closed";

/** The lease can no longer be relied on; its keys are gone or may go at any moment. */
export class LeaseLostError extends EtcdError {
  override readonly name = "LeaseLostError";
  readonly leaseId: bigint;
  readonly reason: LeaseLostReason;

  constructor(leaseId: bigint, reason: LeaseLostReason, cause?: unknown) {
    super(`lease ${leaseId.toString(16).padStart(16, "0")} is lost: ${reason}`, {
      code: "LeaseLost",
      grpcStatus: Code.OK,
      outcome: "not-applied",
      cause,
    });
    this.leaseId = leaseId;
    this.reason = reason;
  }
}

/** An `ifRevision` or `ifAbsent` guard failed. `current` is the key as the same transaction saw it. */
export class ConflictError extends EtcdError {
  override readonly name = "ConflictError";
  readonly current?: KeyValue<Uint8Array>;

  constructor(message: string, current: KeyValue<Uint8Array> | undefined) {
    super(message, { code: "Conflict", grpcStatus: Code.OK, outcome: "not-applied" });
    if (current !== undefined) this.current = current;
  }
}

/** A watch with `overflow: "error"` was read too slowly; a new watch from `resumeRevision` loses nothing. */
export class SlowConsumerError extends EtcdError {
  override readonly name = "SlowConsumerError";
  readonly resumeRevision: bigint;

  constructor(resumeRevision: bigint) {
    super(`the watch was read too slowly; resume from revision ${resumeRevision}`, {
      code: "SlowConsumer",
      grpcStatus: Code.OK,
      outcome: "not-applied",
    });
    this.resumeRevision = resumeRevision;
  }
}

/** A value that its codec could not read. Says where it is and not what it is; `cause` is the codec's own error. */
export class DecodeError extends EtcdError {
  override readonly name = "DecodeError";
  readonly key: string;
  readonly modRevision: bigint;

  constructor({ key, modRevision }: { key: string; modRevision: bigint }, cause: unknown) {
    super(`the value of ${JSON.stringify(key)} at revision ${modRevision} cannot be decoded`, {
      code: "Decode",
      grpcStatus: Code.OK,
      outcome: "applied",
      cause,
    });
    this.key = key;
    this.modRevision = modRevision;
  }
}

/** The server is older than what was asked of it. Nothing was done; another member may well know the method. */
export class UnsupportedError extends EtcdError {
  override readonly name = "UnsupportedError";
  /** The method's path, such as `/etcdserverpb.Auth/AuthStatus`. */
  readonly method: string;

  constructor(method: string, facts: Omit<EtcdErrorFacts, "code" | "outcome">) {
    super(`the server does not know ${method}`, { ...facts, code: "Unsupported", outcome: "not-applied" });
    this.method = method;
  }
}

/**
 * A snapshot that did not arrive whole: its digest does not fit (code "SnapshotCorrupt") or its stream broke (the code
 * of that failure). The data of the cluster is untouched; where `retryable` is true, a new download may succeed. It
 * begins anew, since no server sends the rest of a snapshot.
 */
export class SnapshotError extends EtcdError {
  override readonly name = "SnapshotError";
  /** How far it came. */
  readonly receivedBytes: number;

  constructor(message: string, receivedBytes: number, facts: Omit<EtcdErrorFacts, "outcome">) {
    super(message, { ...facts, outcome: "not-applied" });
    this.receivedBytes = receivedBytes;
  }
}

/** True for an EtcdError of any loaded copy of this package, and of the given code if one is named. */
export function isEtcdError(error: unknown, code?: EtcdErrorCode): error is EtcdError {
  if (!(error instanceof Error) || !(brand in error)) return false;
  return code === undefined || ("code" in error && error.code === code);
}

const byMessage = new Map<string, StatusName>(
  (Object.keys(status) as StatusName[]).map((name) => [status[name].message, name]),
);

/** The name of a server's text in the wire-error table. The only place where texts are compared. */
export function statusName(serverMessage: string): StatusName | undefined {
  return byMessage.get(serverMessage);
}
