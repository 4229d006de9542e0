/** The error of something that is not held any more. */
import { EtcdError } from "../index.js";

/**
 * "lease": its lease was lost, see `cause`. "deleted": somebody deleted its key. "released": by this process.
 * "unwatched": the server refused to tell whether the key is there, see `cause`.
 */
export type LockLostReason = "lease" | "deleted" | "released" | "unwatched";

/** A lock, a permit or a leadership is not held any more, or a place in its line is gone. */
export class LockLostError extends EtcdError {
  override readonly name = "LockLostError";
  /** The key that stood for it, as UTF-8 text. */
  readonly key: string;
  readonly fencingToken: bigint;
  readonly reason: LockLostReason;

  constructor(held: { readonly key: string; readonly fencingToken: bigint }, reason: LockLostReason, cause?: unknown) {
    super(`${held.key} is not held any more: ${texts[reason]}`, {
      code: "LockLost",
      grpcStatus: 0,
      outcome: "not-applied",
      cause,
    });
    this.key = held.key;
    this.fencingToken = held.fencingToken;
    this.reason = reason;
  }
}

const texts: Readonly<Record<LockLostReason, string>> = {
  lease: "its lease is lost",
  deleted: "its key was deleted",
  released: "it was released",
  unwatched: "the server refuses to tell whether it is",
};
