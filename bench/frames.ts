/** The requests of the benchmark as gRPC frames, ready to be sent again and again by a load generator. */
import { PutRequest, RangeRequest } from "../proto/gen/etcd/rpc.js";

/** One kind of request. The key is always the same, since a load generator repeats one prepared body. */
export interface Operation {
  readonly name: "put" | "linearizable get" | "serializable get";
  /** The gRPC method as a path. */
  readonly path: string;
  readonly frame: Uint8Array;
  /** Bytes of DATA that a right answer has at least: below it, the answers were errors. */
  readonly answerBytesMin: number;
}

export const benchKey: Uint8Array = new TextEncoder().encode("bench/the-key-of-38-bytes-for-all-calls");
export const valueBytes = 256;
export const benchValue: Uint8Array = new Uint8Array(valueBytes).fill("v".charCodeAt(0));

const framePrefixBytes = 5;

export const operations: readonly Operation[] = [
  {
    name: "put",
    path: "/etcdserverpb.KV/Put",
    frame: frame(PutRequest.encode(PutRequest.fromPartial({ key: benchKey, value: benchValue })).finish()),
    answerBytesMin: framePrefixBytes + 1,
  },
  get("linearizable get", false),
  get("serializable get", true),
];

function get(name: Operation["name"], serializable: boolean): Operation {
  return {
    name,
    path: "/etcdserverpb.KV/Range",
    frame: frame(RangeRequest.encode(RangeRequest.fromPartial({ key: benchKey, serializable })).finish()),
    answerBytesMin: framePrefixBytes + valueBytes + benchKey.length,
  };
}

/** gRPC's length-prefixed message, uncompressed. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(framePrefixBytes + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, framePrefixBytes);
  return framed;
}
