/** 64-bit ids as they are stored: SQLite has no unsigned integers, so an id is 8 bytes, most significant first. */
import { invariant } from "../invariant.js";

const idBytes = 8;

export function encodeId(id: bigint): Buffer {
  const bytes = Buffer.alloc(idBytes);
  bytes.writeBigUInt64BE(id);
  return bytes;
}

export function decodeId(bytes: Uint8Array): bigint {
  invariant(bytes.length === idBytes, "a stored id does not have 8 bytes", { length: bytes.length });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readBigUInt64BE();
}
