/** The words of mirroring. */
import type { Key, RevisionInput } from "../index.js";

export interface MirrorOptions {
  /** The keys to copy: those that begin with this; all if absent. */
  readonly prefix?: Key;
  /**
   * What takes the place of the prefix at the destination; the prefix itself if absent. Empty strips it; a key that is
   * nothing but the prefix then has no name, and the destination refuses it.
   */
  readonly toPrefix?: Key;
  /** "mirror", the default: the copy, and then every change, for ever. "copy": ends with the copy. */
  readonly mode?: "mirror" | "copy";
  /** The first revision to take over, without copying what was there before. A checkpoint that exists prevails. */
  readonly since?: RevisionInput;
  /**
   * Keys under `toPrefix` that the source does not have: "keep", the default, or "delete" whenever all is compared. Only
   * with "delete" can a mirror that lost history to a compaction begin anew by itself; it ends with a CompactedError
   * otherwise, since it cannot know what to delete.
   */
  readonly extraKeys?: "keep" | "delete";
  /**
   * A key at the destination that says how far the mirror has come, written in the same transactions as the copies. With
   * it, a mirror goes on where an earlier one ended, writes nothing twice although answers get lost, waits out failures
   * of the destination, and ends with a ConflictError if another mirror uses the key. Without it, a write whose outcome
   * is unknown ends the mirror: repeating it could overwrite something newer.
   */
  readonly checkpoint?: Key;
  /** How often a checkpoint is written while nothing changes, in milliseconds; 60 000 if absent. */
  readonly checkpointIntervalMs?: number;
  /** Operations in one transaction at the destination, which accepts 128 if not told otherwise: the default. */
  readonly txnOpsMax?: number;
  /** Bytes of keys and values in one transaction; 1 500 000 if absent, a little under what servers accept. */
  readonly txnBytesMax?: number;
  /**
   * Give up when the source could not be followed, or with a checkpoint the destination not be written, for so long; for
   * ever if absent. Reads of the base, and writes without a checkpoint, have the client's own deadline.
   */
  readonly maxDisconnectedMs?: number;
  /** Ends the mirror: its loop then rejects with code "Aborted". */
  readonly signal?: AbortSignal;
}

/** Told after each step. The numbers count from the start of this loop. */
export interface MirrorProgress {
  /** "base": what is there is being copied, as of `revision`. "follow": everything up to `revision` is copied. */
  readonly phase: "base" | "follow";
  readonly revision: bigint;
  /** What to give as `since` to go on from here without a checkpoint; undefined while the base is copied. */
  readonly resumeRevision: bigint | undefined;
  readonly puts: number;
  readonly deletes: number;
  /** Keys of the base that the destination had already. */
  readonly unchanged: number;
}
