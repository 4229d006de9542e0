/**
 * A rolling hash over everything that applying has changed: members that applied the same log must have the same one, so a
 * difference is a proof that they have drifted apart (spec/raft-storage.md 4.8). It takes in only what is the same on every
 * member: how far compaction has come physically, and what it left behind as the predecessor of a change, is not.
 */
import { crc32 } from "node:zlib";
import type { StateStore } from "../storage/state-store.js";
import type { StoredMark } from "../storage/tables.js";

/** Applied entries from one mark to the next. */
const markIntervalEntries = 1024;

const changeBytes = Buffer.alloc(21);
const indexBytes = Buffer.alloc(8);

export class StateHash {
  readonly #interval: number;
  #value = 0;
  #index = 0;

  /** All members of a cluster need the same interval, or their marks never meet. */
  constructor(interval = markIntervalEntries) {
    this.#interval = interval;
  }

  get value(): number {
    return this.#value;
  }

  /** Reads the hash of the store's current file. */
  load({ tables: { meta } }: StateStore): void {
    this.#value = meta.number("state_hash") ?? 0;
  }

  /** What follows is done by this entry. */
  begin(index: number): void {
    this.#index = index;
  }

  /** One change of a key; `checksum` is that of its encoded pair. */
  change(id: bigint, deleted: boolean, checksum: number): void {
    changeBytes.writeDoubleLE(this.#index, 0);
    changeBytes.writeBigInt64LE(id, 8);
    changeBytes.writeUInt8(deleted ? 1 : 0, 16);
    changeBytes.writeUInt32LE(checksum, 17);
    this.#value = crc32(changeBytes, this.#value);
  }

  /** A change of anything else, in words that tell it from every other one. */
  note(...fields: readonly (string | number | bigint | boolean | readonly string[])[]): void {
    indexBytes.writeDoubleLE(this.#index, 0);
    const text = JSON.stringify(fields, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
    this.#value = crc32(text, crc32(indexBytes, this.#value));
  }

  /** The entry is done: marks the hash if it is the turn of this index. */
  end({ tables: { marks } }: StateStore): void {
    if (this.#index % this.#interval !== 0) return;
    marks.insert({ index: this.#index, hash: this.#value } satisfies StoredMark);
  }

  /** Stores the hash if it has moved since it was `before`. */
  save({ tables: { meta } }: StateStore, before: number): void {
    if (this.#value !== before) meta.putNumber("state_hash", this.#value);
  }
}
