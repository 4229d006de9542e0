/**
 * etcd's hash of the key history, worked out from the facts of its storage format and from nothing of ours:
 * CRC-32C over the word "key" and then, revision by revision, storage key and storage value.
 */

import { type DeepPartial, KeyValue } from "../../proto/gen/etcd/kv.js";

/** One stored revision: a put with its KeyValue, or a tombstone, whose KeyValue has a key alone. */
export interface StoredRevision {
  readonly main: bigint;
  readonly sub: bigint;
  readonly tombstone: boolean;
  readonly kv: DeepPartial<KeyValue>;
}

const POLYNOMIAL = 0x82f63b78;
const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value >>> 0;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}

function storageKey({ main, sub, tombstone }: StoredRevision): Buffer {
  const key = Buffer.alloc(tombstone ? 18 : 17);
  key.writeBigInt64BE(main, 0);
  key.write("_", 8);
  key.writeBigInt64BE(sub, 9);
  if (tombstone) key.write("t", 17);
  return key;
}

/** The hash of exactly these revisions, in their order. */
export function historyHash(revisions: readonly StoredRevision[]): number {
  const parts = revisions.flatMap((revision) => [
    storageKey(revision),
    Buffer.from(KeyValue.encode(KeyValue.fromPartial(revision.kv as KeyValue)).finish()),
  ]);
  return crc32c(Buffer.concat([Buffer.from("key"), ...parts]));
}
