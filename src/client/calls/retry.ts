/**
 * What a failed attempt means and what to do next: the retry matrix of spec/sdk.md 1.8. Pure. A write is repeated
 * only on proof that it was not applied; a text or code that proves nothing leaves its outcome unknown.
 */
import { Code, type StatusName } from "../../../proto/status.js";
import type { MethodFacts, TransportError } from "../connection/transport.js";
import { type EtcdErrorCode, type Outcome, statusName } from "../errors.js";
import type { RetryPolicy } from "../options.js";

/** "again" waits its turn, "elsewhere" prefers another member, "refresh" wants a new token first. */
export type Remedy = "stop" | "again" | "elsewhere" | "refresh" | "no-leader";

export interface Judgement {
  readonly code: EtcdErrorCode;
  readonly outcome: Outcome;
  readonly remedy: Remedy;
  /** Whether the same request may well succeed later, if the caller dares to repeat it. */
  readonly passing: boolean;
  /** Empty if the words are the transport's and not a server's. */
  readonly serverMessage: string;
}

/** Texts after which a write may still be applied. */
const ambiguous: ReadonlySet<StatusName> = new Set<StatusName>([
  "Stopped",
  "Timeout",
  "TimeoutDueToLeaderFail",
  "TimeoutDueToConnectionLost",
  "TimeoutWaitAppliedIndex",
  "LeaderChanged",
  "Canceled",
  "DeadlineExceeded",
  "ContextDeadlineExceeded",
  "RaftProposalDropped",
  "LeaderTransferTimeout",
  "NotPrimaryLessor",
  "Corrupt",
  "WatchCanceled",
]);

/** Codes by which servers refuse before they act. */
const refusals: ReadonlySet<number> = new Set([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.ALREADY_EXISTS,
  Code.PERMISSION_DENIED,
  Code.FAILED_PRECONDITION,
  Code.OUT_OF_RANGE,
  Code.UNIMPLEMENTED,
  Code.UNAUTHENTICATED,
]);

export interface Circumstances {
  readonly kind: MethodFacts["kind"];
  readonly mode: "safe" | "idempotent" | "none";
  /** Whether the client can fetch another token. */
  readonly canRefresh: boolean;
}

export function judge(failure: TransportError, circumstances: Circumstances): Judgement {
  if (!failure.sent) return unsent(failure);
  const name = statusName(failure.message);
  if (name !== undefined) return named(name, failure, circumstances);
  const refused = refusals.has(failure.grpcStatus);
  const outcome = refused || circumstances.kind === "read" ? "not-applied" : "unknown";
  const code = codeOf(failure.grpcStatus);
  const remedy = refused || !transient(failure.grpcStatus) ? "stop" : repeat("elsewhere", circumstances);
  const passing = transient(failure.grpcStatus);
  return { code, outcome, remedy, passing, serverMessage: code === "ConnectionLost" ? "" : failure.message };
}

function unsent(failure: TransportError): Judgement {
  // What is too big to send here is too big to send anywhere.
  const local = failure.grpcStatus === Code.RESOURCE_EXHAUSTED;
  return {
    code: local ? "RequestTooLarge" : "ConnectFailed",
    outcome: "not-applied",
    remedy: local ? "stop" : "elsewhere",
    passing: !local && !failure.lasting,
    serverMessage: "",
  };
}

/** What helps against the refusals that come before anything is applied. */
const remedies: Partial<Record<StatusName, Remedy>> = {
  NoLeader: "no-leader",
  TooManyRequests: "again",
  NotSupportedForLearner: "elsewhere",
  NotLeader: "elsewhere",
  InvalidAuthToken: "refresh",
  AuthOldRevision: "refresh",
  UserEmpty: "refresh",
};

function named(name: StatusName, failure: TransportError, circumstances: Circumstances): Judgement {
  const unclear = ambiguous.has(name);
  const mendable = unclear && name !== "Corrupt";
  return {
    code: name,
    outcome: unclear && circumstances.kind !== "read" ? "unknown" : "not-applied",
    remedy: mendable ? repeat("elsewhere", circumstances) : afterRefusal(name, circumstances),
    passing: mendable || (name in remedies && remedies[name] !== "refresh"),
    serverMessage: failure.message,
  };
}

function afterRefusal(name: StatusName, { mode, canRefresh }: Circumstances): Remedy {
  const remedy = remedies[name] ?? "stop";
  if (remedy === "refresh") return canRefresh ? remedy : "stop";
  return mode === "none" ? "stop" : remedy;
}

function repeat(remedy: Remedy, { kind, mode }: Circumstances): Remedy {
  if (mode === "none") return "stop";
  return kind === "read" || (kind === "write" && mode === "idempotent") ? remedy : "stop";
}

/** A CANCELLED nobody asked for and a DEADLINE_EXCEEDED ahead of time are both a transport or a server giving up. */
function transient(grpcStatus: number): boolean {
  switch (grpcStatus) {
    case Code.UNAVAILABLE:
    case Code.CANCELLED:
    case Code.DEADLINE_EXCEEDED:
    case Code.INTERNAL:
      return true;
  }
  return false;
}

function codeOf(grpcStatus: number): EtcdErrorCode {
  switch (grpcStatus) {
    case Code.UNAVAILABLE:
    case Code.CANCELLED:
    case Code.INTERNAL:
      return "ConnectionLost";
    case Code.DEADLINE_EXCEEDED:
      return "DeadlineExceeded";
    case Code.UNIMPLEMENTED:
      return "Unsupported";
  }
  return "Other";
}

/** A random wait up to the base doubled per earlier pause: full jitter keeps clients that failed together apart. */
export function backoffMs(policy: RetryPolicy, pauses: number): number {
  return Math.random() * Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(pauses, 20));
}
