/** Why storage gives up: failures that must end the process, and reasons to refuse to start. */

/** What kind of damage stopped the member. */
export type FailureReason = "io" | "full" | "corrupt" | "lostTail" | "other";

/**
 * A write or read whose outcome can no longer be trusted. The process must end with {@link StorageFailure.exitCode},
 * without a retry, a rollback, a close or a checkpoint: after a failed fsync a later success proves nothing
 * (spec/raft-storage.md 4.10).
 */
export class StorageFailure extends Error {
  override readonly name = "StorageFailure";
  readonly exitCode = 70;
  readonly reason: FailureReason;

  constructor(reason: FailureReason, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

/** Why a data directory was not opened. Nothing was changed; a person has to act. */
export type RefusalReason = "inUse" | "missingDriver" | "unsupportedVersion" | "notInitialized" | "wrongCluster";

/** The data directory can not be used as it is; the message says what to do. */
export class StorageRefused extends Error {
  override readonly name = "StorageRefused";
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

/** A copy could not be written, for a reason that lies with the place it should go to. The state itself is untouched. */
export class ExportFailed extends Error {
  override readonly name = "ExportFailed";
}

/** Turns an error of SQLite or of the file system into a {@link StorageFailure}; every other error passes unchanged. */
export function asFailure(error: unknown, where: string): unknown {
  const code = errorCode(error);
  if (code === undefined) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new StorageFailure(reasonOf(code), `${where}: ${text} (${code})`, { cause: error });
}

/** `SQLITE_*` codes of the driver and errno names of the file system; undefined for errors of our own. */
function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof StorageFailure) return undefined;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string") return undefined;
  return code.startsWith("SQLITE_") || /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

function reasonOf(code: string): FailureReason {
  if (code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT") return "full";
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") return "corrupt";
  if (code.startsWith("SQLITE_IOERR") || code.startsWith("SQLITE_CANTOPEN") || !code.startsWith("SQLITE_")) return "io";
  return "other";
}
