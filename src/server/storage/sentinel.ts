/**
 * A 16-byte file that knows how far the log was written. SQLite takes a damaged write-ahead log for a torn one and drops
 * its tail in silence; the sentinel notices, because it is written after each append and never leads the log.
 */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { invariant } from "../invariant.js";
import { asFailure, StorageFailure } from "./failure.js";

const sizeBytes = 16;
const checkedBytes = 12;
const positionMax = 2 ** 48;

/** The last entry of a log. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** Owns its file descriptor. */
export class Sentinel {
  readonly path: string;
  readonly #descriptor: number;
  readonly #buffer = Buffer.alloc(sizeBytes);

  /** Throws StorageFailure. */
  constructor(path: string) {
    this.path = path;
    try {
      // Neither truncated nor appended to: the 16 bytes are written in place.
      this.#descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (error) {
      throw asFailure(error, path);
    }
  }

  /** The recorded position; undefined if nothing was ever recorded. Throws StorageFailure if the file is damaged. */
  read(): LogPosition | undefined {
    const size = fstatSync(this.#descriptor).size;
    if (size === 0) return undefined;
    const read = readSync(this.#descriptor, this.#buffer, 0, sizeBytes, 0);
    if (
      read !== sizeBytes ||
      crc32(this.#buffer.subarray(0, checkedBytes)) !== this.#buffer.readUInt32LE(checkedBytes)
    ) {
      throw new StorageFailure("corrupt", `${this.path} is damaged; replace this member`);
    }
    return { index: this.#buffer.readUIntLE(0, 6), term: this.#buffer.readUIntLE(6, 6) };
  }

  /** Records a position that the log has reached. No fsync: after a power cut an older one does no harm. */
  write({ index, term }: LogPosition): void {
    invariant(index < positionMax && term < positionMax, "the log position does not fit the sentinel", { index, term });
    this.#buffer.writeUIntLE(index, 0, 6);
    this.#buffer.writeUIntLE(term, 6, 6);
    this.#buffer.writeUInt32LE(crc32(this.#buffer.subarray(0, checkedBytes)), checkedBytes);
    try {
      writeSync(this.#descriptor, this.#buffer, 0, sizeBytes, 0);
    } catch (error) {
      throw asFailure(error, this.path);
    }
  }

  /**
   * Records an earlier position, because the log is about to get shorter. On disk when it returns: if a power cut brought
   * the later position back, a sound log would be taken for one that has lost its tail.
   */
  lower(position: LogPosition): void {
    this.write(position);
    try {
      fsyncSync(this.#descriptor);
    } catch (error) {
      throw asFailure(error, this.path);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
