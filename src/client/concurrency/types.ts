/** The words of coordination: what is held, under which lease, and for how long a caller waits. */
import type { Bytes, CallOptions, Compare, Key, Lease } from "../index.js";

/** What everything here takes that waits for others. */
export interface LockOptions {
  /** The session to hold it under, which then stays the caller's; without one, a session is made and ended with it. */
  readonly lease?: Lease;
  /** Seconds after which others go on if this process dies. Only without `lease`. Default 10. */
  readonly ttl?: number;
  /** Gives up: the call rejects with code "Aborted", and nothing is left in line. */
  readonly signal?: AbortSignal;
  /** Time for the whole wait; for ever if absent. Then rejects with code "TimedOut", and nothing is left in line. */
  readonly timeoutMs?: number;
}

/**
 * A lock, a permit, or a leadership, while it is held. Disposing releases it. A process may be stopped between looking at
 * `signal` and writing: what must never happen without the lock belongs into a transaction with `guard()`.
 */
export interface Held extends AsyncDisposable {
  /** The key in the store that stands for it, as UTF-8 text. */
  readonly key: string;
  readonly keyBytes: Bytes;
  /** The key's create revision: whoever holds it later has a greater one. */
  readonly fencingToken: bigint;
  readonly lease: Lease;
  /** Aborts with a LockLostError when it is released, its lease is lost, or somebody deletes its key. */
  readonly signal: AbortSignal;
  /** Holds in a transaction as long as this is held. */
  guard(): Compare;
  /** Lets others go on. Rejects if that could not be done at once; then it goes with its lease. */
  release(options?: CallOptions): Promise<void>;
}

/** A leadership, whose key's value tells others what the leader wants known. */
export interface Leadership extends Held {
  /** Changes the value. Rejects with the LockLostError if the leadership is over. */
  proclaim(value: string, options?: CallOptions): Promise<void>;
}

/** Names are keys: what belongs to a name is stored under it and a slash. */
export type Name = Key;
