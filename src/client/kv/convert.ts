/** Between the generated messages and the words of the SDK. */
import type * as wire from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { DecodeError } from "../errors.js";
import type { Bytes } from "../options.js";
import { utf8 } from "./codec.js";
import type { Codec, DeleteResult, Header, KeyValue, PutResult, RangeResult, RevisionInput } from "./types.js";

/** A count or a size. Throws a RangeError above 2^53, where a number would lie. */
export function sizeOf(value: bigint): number {
  const size = Number(value);
  if (!Number.isSafeInteger(size)) throw new RangeError(`${value} is too large for a number`);
  return size;
}

/** Throws a RangeError for what is no whole number. */
export function revisionOf(input: RevisionInput): bigint {
  return BigInt(input);
}

/** An id as etcdctl prints it: hexadecimal. Where it pads, as for leases, it pads with zeros to 16 digits. */
export function formatId(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16);
}

/** Bytes that no longer share the frame they arrived in, so that keeping them keeps nothing else. */
export function ownBytes(bytes: Bytes): Bytes {
  return new Uint8Array(bytes);
}

/** Nested responses have no header of their own or only a revision; they take the one that came around them. */
export function headerOf(header: rpc.ResponseHeader | undefined): Header {
  return {
    clusterId: header?.clusterId ?? 0n,
    memberId: header?.memberId ?? 0n,
    revision: header?.revision ?? 0n,
    raftTerm: header?.raftTerm ?? 0n,
    // 0 is a server's way to say that it does not know.
    ...(header?.leaderId ? { leaderId: header.leaderId } : {}),
  };
}

/** A value that cannot be decoded becomes one that throws a DecodeError when it is read. */
export function keyValueOf<V>(kv: wire.KeyValue, codec: Codec<V>): KeyValue<V> {
  const { createRevision, modRevision, lease } = kv;
  const keyBytes = ownBytes(kv.key);
  const key = utf8.decode(keyBytes);
  const version = sizeOf(kv.version);
  let value: V;
  try {
    value = codec.decode(codec.borrows === true ? kv.value : ownBytes(kv.value));
  } catch (cause) {
    return undecodable(
      { key, keyBytes, createRevision, modRevision, version, ...(lease === 0n ? {} : { lease }) },
      cause,
    );
  }
  // Literals, because lists are made of these: a spread would cost more than all the rest.
  if (lease === 0n) return { key, keyBytes, value, createRevision, modRevision, version };
  return { key, keyBytes, value, createRevision, modRevision, version, lease };
}

function undecodable<V>(facts: Omit<KeyValue<V>, "value">, cause: unknown): KeyValue<V> {
  const value = (): never => {
    throw new DecodeError(facts, cause);
  };
  return {
    ...facts,
    get value(): V {
      return value();
    },
  };
}

export function rangeResultOf<V>(response: rpc.RangeResponse, header: Header, codec: Codec<V>): RangeResult<V> {
  return {
    header,
    kvs: response.kvs.map((kv) => keyValueOf(kv, codec)),
    count: sizeOf(response.count),
    more: response.more,
  };
}

export function putResultOf<V>(response: rpc.PutResponse, header: Header, codec: Codec<V>): PutResult<V> {
  return { header, ...(response.prevKv === undefined ? {} : { previous: keyValueOf(response.prevKv, codec) }) };
}

export function deleteResultOf<V>(response: rpc.DeleteRangeResponse, header: Header, codec: Codec<V>): DeleteResult<V> {
  return {
    header,
    deleted: sizeOf(response.deleted),
    previous: response.prevKvs.map((kv) => keyValueOf(kv, codec)),
  };
}
