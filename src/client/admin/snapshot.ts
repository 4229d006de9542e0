/** The bytes of a snapshot, checked: the last 32 of them are the SHA-256 of all before. */
import { createHash } from "node:crypto";
import type { SnapshotResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import { EtcdError } from "../errors.js";
import { ownBytes } from "../kv/convert.js";
import type { Bytes } from "../options.js";

const digestBytes = 32;

/** Yields everything, digest included, as a snapshot file has it. Rejects at the end if the digest does not fit. */
export async function* verifiedSnapshot(responses: AsyncIterable<SnapshotResponse>): AsyncGenerator<Bytes> {
  const hash = createHash("sha256");
  /** The last bytes seen, which are hashed only when more follow. */
  let tail = Buffer.alloc(0);
  for await (const { blob } of responses) {
    const seen = Buffer.concat([tail, blob]);
    const split = Math.max(0, seen.length - digestBytes);
    hash.update(seen.subarray(0, split));
    tail = seen.subarray(split);
    yield ownBytes(blob);
  }
  if (tail.length === digestBytes && hash.digest().equals(tail)) return;
  throw new EtcdError("the snapshot does not match its SHA-256", {
    code: "SnapshotCorrupt",
    grpcStatus: Code.DATA_LOSS,
    outcome: "not-applied",
    retryable: true,
  });
}
