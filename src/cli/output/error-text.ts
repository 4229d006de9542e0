/** What etcdctl prints after "Error: " when a call fails (spec/cli.md 10). */
import { Code, status } from "../../../proto/status.js";
import { isEtcdError } from "../../client/index.js";

const codeNames: Readonly<Record<number, string>> = {
  [Code.OK]: "OK",
  [Code.CANCELLED]: "Canceled",
  [Code.UNKNOWN]: "Unknown",
  [Code.INVALID_ARGUMENT]: "InvalidArgument",
  [Code.DEADLINE_EXCEEDED]: "DeadlineExceeded",
  [Code.NOT_FOUND]: "NotFound",
  [Code.ALREADY_EXISTS]: "AlreadyExists",
  [Code.PERMISSION_DENIED]: "PermissionDenied",
  [Code.RESOURCE_EXHAUSTED]: "ResourceExhausted",
  [Code.FAILED_PRECONDITION]: "FailedPrecondition",
  [Code.ABORTED]: "Aborted",
  [Code.OUT_OF_RANGE]: "OutOfRange",
  [Code.UNIMPLEMENTED]: "Unimplemented",
  [Code.INTERNAL]: "Internal",
  [Code.UNAVAILABLE]: "Unavailable",
  [Code.DATA_LOSS]: "DataLoss",
  [Code.UNAUTHENTICATED]: "Unauthenticated",
};

/** Texts of etcd's own table stand alone; these two start like them but are not in it. */
const outsideTable: readonly string[] = [status.LeaderTransferTimeout.message, status.UnknownMethod.message];
const known = new Set<string>(
  Object.values(status)
    .map(({ message }) => message)
    .filter((message) => message.startsWith("etcdserver: ") && !outsideTable.includes(message)),
);

export const deadlineText = "context deadline exceeded";
export const canceledText = "context canceled";

/** The server's text if etcd's clients know it, else gRPC's form with the code; Go's words for our own findings. */
export function errorText(error: unknown): string {
  if (!isEtcdError(error)) return error instanceof Error ? error.message : String(error);
  if (error.code === "Aborted" || error.code === "ClientClosed") return canceledText;
  if (known.has(error.serverMessage)) return error.serverMessage;
  if (error.grpcStatus === Code.DEADLINE_EXCEEDED || error.code === "TimedOut" || error.code === "ConnectFailed") {
    return deadlineText;
  }
  const text = error.serverMessage === "" ? ownWords(error) : error.serverMessage;
  return `rpc error: code = ${codeNames[error.grpcStatus] ?? error.grpcStatus} desc = ${text}`;
}

/** What the transport said, without the endpoint that our own message puts before it. */
function ownWords(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** The reason behind a deadline, if the client knows more than that time ran out. */
export function deadlineCause(error: unknown): string | undefined {
  if (!isEtcdError(error) || errorText(error) !== deadlineText) return undefined;
  const endpoint = error.endpoint === undefined ? "" : `${error.endpoint}: `;
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return error.message === deadlineText && cause === "" ? undefined : endpoint + (cause === "" ? error.message : cause);
}

/** What to look at when nobody answered. */
export const deadlineAdvice =
  "--endpoints (or ETCDCTL_ENDPOINTS) says which servers are asked, --command-timeout how long an answer may take.";

/** What helps against failures that have a known way out, by etcdctl's text for them. */
const ways: readonly (readonly [problem: string, way: string])[] = [
  [status.UserEmpty.message, "Authentication is on: log in with --user NAME[:PASSWORD], or ETCDCTL_USER."],
  [status.AuthFailed.message, "The name or the password is wrong; --user and --password give them."],
  [
    status.InvalidAuthToken.message,
    "The token is not valid (any more): log in with --user, or get another for --auth-jwt-token.",
  ],
  [
    status.PermissionDenied.message,
    "The user lacks a right: 'litectl user get' and 'litectl role get' show what it may do.",
  ],
  [status.NoSpace.message, "The database is full: compact and defrag it, then 'litectl alarm disarm'."],
  [status.Compacted.message, "That revision is gone: leave out --rev, or choose one that is not compacted."],
  [
    status.FutureRev.message,
    "That revision is not reached yet: 'litectl endpoint status -w json' shows the present one.",
  ],
  [status.LeaseNotFound.message, "It has expired or was revoked: 'litectl lease list' shows the living ones."],
  [status.NoLeader.message, "The cluster has no leader: 'litectl endpoint status --cluster' shows who is missing."],
  [status.RequestTooLarge.message, "The server's flag --max-request-bytes allows larger requests."],
  ["unsupported output format", "--write-out is one of simple, fields, json, protobuf and table."],
  ["not supported as output format", "-w json works with every command that prints a response."],
];

/** undefined if there is nothing to add. */
export function advice(text: string): string | undefined {
  return ways.find(([problem]) => text.includes(problem))?.[1];
}
