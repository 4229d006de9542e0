/**
 * Coordination between processes, on the public face of the SDK alone: `litecd/concurrency`.
 *
 * @module litecd/concurrency
 */

export { barrier, type Entered } from "./barrier.js";
export type { Patience } from "./bounds.js";
export { campaign, leader, observeLeader } from "./election.js";
export { lock, tryLock, withLock } from "./lock.js";
export { LockLostError, type LockLostReason } from "./lock-lost.js";
export { readLock, writeLock } from "./rwlock.js";
export { semaphore } from "./semaphore.js";
export { type SessionOptions, session } from "./session.js";
export { stm } from "./stm.js";
export type { Isolation, StmEntry, StmOptions, StmTransaction } from "./stm-types.js";
export type { Held, Leadership, LockOptions, Name } from "./types.js";
