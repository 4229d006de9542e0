/** What it means that a server cancels a watch. */
import type { WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code, type StatusName, status } from "../../../proto/status.js";
import { CompactedError, EtcdError, statusName } from "../errors.js";

const tokenRefusals: ReadonlySet<StatusName> = new Set(["InvalidAuthToken", "AuthOldRevision", "UserEmpty"]);

/** The status inside a cancel reason such as `rpc error: code = X desc = text`. */
export function cancelText(reason: string): string {
  return /^rpc error: code = \w+ desc = (.*)$/s.exec(reason)?.[1] ?? reason;
}

/** True if the watch was refused for its token, which may have run out while it was disconnected. */
export function refusedForToken(response: WatchResponse): boolean {
  const name = statusName(cancelText(response.cancelReason));
  return name !== undefined && tokenRefusals.has(name);
}

/**
 * The error for a watch that is cancelled for good by `endpoint`; `resumeRevision` is the next one it would have passed
 * on.
 */
export function cancellation(response: WatchResponse, resumeRevision: bigint, endpoint?: string): EtcdError {
  const { compactRevision, cancelReason } = response;
  const where = { endpoint, attempts: 1 };
  if (compactRevision > 0n) return new CompactedError({ compactRevision, resumeRevision }, where);
  const text = cancelText(cancelReason);
  const name = statusName(text);
  return new EtcdError(text === "" ? "the server canceled the watch" : `the watch was refused: ${text}`, {
    code: name ?? "Other",
    grpcStatus: name === undefined ? Code.CANCELLED : status[name].code,
    outcome: "not-applied",
    serverMessage: text,
    ...where,
  });
}
