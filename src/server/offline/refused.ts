/** Why a file or a directory at rest was not worked on. Nothing was changed. */
export type OfflineReason =
  /** A file of etcd's own store, bbolt, which this program does not read. */
  | "bbolt"
  /** No such file or directory, or one that is in the way. */
  | "place"
  /** No state of litecd, or a damaged one. */
  | "damaged"
  /** What is asked for does not exist here: WAL files, other storage versions. */
  | "unsupported";

/** The message says what is wrong, in etcd's words where etcd has some. */
export class OfflineRefused extends Error {
  override readonly name = "OfflineRefused";
  readonly reason: OfflineReason;

  constructor(reason: OfflineReason, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}
