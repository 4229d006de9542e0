/** CRC-32 over what the database keeps: SQLite itself does not notice a flipped bit (spec/raft-storage.md 4.8). */
import { crc32 } from "node:zlib";

// The fixed part comes last: zlib forgets what it had before when it is handed an empty piece.
const entryHead = Buffer.alloc(13);
const revisionHead = new Uint8Array(17);
const revisionHeadView = new DataView(revisionHead.buffer);

/** Checksum of a log entry over index, term, kind and data. Index and term are below 2^48. */
export function entryChecksum(index: number, term: number, kindCode: number, data: Uint8Array): number {
  entryHead.writeUIntLE(index, 0, 6);
  entryHead.writeUIntLE(term, 6, 6);
  entryHead.writeUInt8(kindCode, 12);
  return crc32(entryHead, crc32(data));
}

/** Checksum of an encoded pair. */
export function pairChecksum(kv: Uint8Array): number {
  return crc32(kv);
}

/** Checksum of a row of `rev` over id, previous id (0 if none), tombstone flag and the checksum of the encoded pair. */
export function revisionChecksum(id: bigint, previous: bigint, deleted: boolean, pair: number): number {
  revisionHeadView.setBigInt64(0, id, true);
  revisionHeadView.setBigInt64(8, previous, true);
  revisionHead[16] = deleted ? 1 : 0;
  return crc32(revisionHead, pair);
}

/** Checksum of a small row, over its fields in a fixed order. */
export function fieldsChecksum(fields: readonly (string | number | null)[]): number {
  return crc32(JSON.stringify(fields));
}
