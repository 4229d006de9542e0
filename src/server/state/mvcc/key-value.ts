/** KeyValue in wire form, written by hand: this runs once for every change, and the generated code is several times slower. */
import type { KeyValue } from "../../../../proto/gen/etcd/kv.js";

const noBytes = new Uint8Array(0);
/** Room for the six tags, two lengths and four numbers. */
const overheadBytesMax = 64;

let scratch = Buffer.alloc(4096);

/** A pair before it is a message: revisions as numbers, as everywhere inside the server. */
export interface Pair {
  readonly key: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly value: Uint8Array;
  readonly lease: bigint;
}

/** The message of a pair. Shares the bytes. */
export function toKeyValue({ key, createRevision, modRevision, version, value, lease }: Pair): KeyValue {
  return {
    key,
    createRevision: BigInt(createRevision),
    modRevision: BigInt(modRevision),
    version: BigInt(version),
    value,
    lease,
  };
}

/** What a deletion shows: the key and the revision that deleted it. */
export function tombstonePair(key: Uint8Array, modRevision: number): Pair {
  return { key, createRevision: 0, modRevision, version: 0, value: noBytes, lease: 0n };
}

/** The wire form of a pair, fields in order and zeros left out. The bytes are valid until the next call. */
export function encodePair(pair: Pair): Uint8Array {
  const sizeMax = pair.key.length + pair.value.length + overheadBytesMax;
  if (scratch.length < sizeMax) scratch = Buffer.alloc(sizeMax * 2);
  let end = writeBytes(0x0a, pair.key, 0);
  end = writeNumber(0x10, pair.createRevision, end);
  end = writeNumber(0x18, pair.modRevision, end);
  end = writeNumber(0x20, pair.version, end);
  end = writeBytes(0x2a, pair.value, end);
  end = writeSigned(0x30, pair.lease, end);
  return scratch.subarray(0, end);
}

/** Length of the key field at the start of an encoded pair: tag, length and key. */
export function keyFieldBytes(kv: Uint8Array): number {
  let at = 1;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = kv[at++] ?? 0;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return at + length;
  }
}

function writeBytes(tag: number, bytes: Uint8Array, at: number): number {
  if (bytes.length === 0) return at;
  scratch[at] = tag;
  const start = writeVarint(bytes.length, at + 1);
  scratch.set(bytes, start);
  return start + bytes.length;
}

function writeNumber(tag: number, value: number, at: number): number {
  if (value === 0) return at;
  scratch[at] = tag;
  return writeVarint(value, at + 1);
}

/** Two's complement, as protobuf writes int64: a negative number takes ten bytes. */
function writeSigned(tag: number, value: bigint, at: number): number {
  if (value === 0n) return at;
  scratch[at] = tag;
  let rest = BigInt.asUintN(64, value);
  let end = at + 1;
  for (; rest > 0x7fn; rest >>= 7n) scratch[end++] = Number(rest & 0x7fn) | 0x80;
  scratch[end++] = Number(rest);
  return end;
}

function writeVarint(value: number, at: number): number {
  let rest = value;
  let end = at;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) scratch[end++] = (rest % 128) | 0x80;
  scratch[end++] = rest;
  return end;
}
