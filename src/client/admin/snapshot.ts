/** The bytes of a snapshot, checked: the last 32 of them are the SHA-256 of all before. */
import { createHash } from "node:crypto";
import { ReadableStream } from "node:stream/web";
import type { SnapshotResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { streamMethods } from "../calls/methods.js";
import { isEtcdError, SnapshotError } from "../errors.js";
import { ownBytes, sizeOf } from "../kv/convert.js";
import type { Bytes } from "../options.js";
import { saveSnapshot } from "./snapshot-file.js";
import type { SavedSnapshot, SnapshotDownload, SnapshotOptions } from "./types.js";

const digestBytes = 32;

/** What a download tells besides its bytes, filled in while it runs. */
export interface SnapshotFacts {
  sizeBytes: number;
  sha256: string;
  version: string;
}

export class Download implements SnapshotDownload {
  private readonly calls: Calls;
  private readonly options: SnapshotOptions;

  constructor(calls: Calls, options: SnapshotOptions) {
    this.calls = calls;
    this.options = options;
  }

  [Symbol.asyncIterator](): AsyncIterator<Bytes> {
    return this.run({ sizeBytes: 0, sha256: "", version: "" });
  }

  stream(): ReadableStream<Bytes> {
    const parts = this[Symbol.asyncIterator]();
    return new ReadableStream<Bytes>({
      pull: async (controller) => {
        const next = (await parts.next()) as IteratorResult<Bytes, undefined>;
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => {
        await parts.return?.();
      },
    });
  }

  async save(file: string): Promise<SavedSnapshot> {
    const facts: SnapshotFacts = { sizeBytes: 0, sha256: "", version: "" };
    await saveSnapshot(file, this.run(facts));
    return { file, ...facts };
  }

  private run(facts: SnapshotFacts): AsyncGenerator<Bytes> {
    const responses = this.calls.serverStream(streamMethods.snapshot, {}, this.options);
    return verifiedSnapshot(responses, facts, this.options.onProgress);
  }
}

/** Yields everything, digest included, as a snapshot file has it. Rejects at the end if the digest does not fit. */
export async function* verifiedSnapshot(
  responses: AsyncIterable<SnapshotResponse>,
  facts: SnapshotFacts = { sizeBytes: 0, sha256: "", version: "" },
  onProgress?: SnapshotOptions["onProgress"],
): AsyncGenerator<Bytes> {
  const hash = createHash("sha256");
  /** The last bytes seen, which are hashed only when more follow. */
  let tail = Buffer.alloc(0);
  try {
    for await (const { blob, remainingBytes, version } of responses) {
      const seen = Buffer.concat([tail, blob]);
      const split = Math.max(0, seen.length - digestBytes);
      hash.update(seen.subarray(0, split));
      tail = seen.subarray(split);
      facts.sizeBytes += blob.length;
      facts.version = version;
      onProgress?.({ receivedBytes: facts.sizeBytes, remainingBytes: sizeOf(remainingBytes) });
      yield ownBytes(blob);
    }
  } catch (error) {
    throw brokenOff(error, facts.sizeBytes);
  }
  const digest = hash.digest();
  if (tail.length !== digestBytes || !digest.equals(tail)) throw corrupt(facts.sizeBytes);
  facts.sha256 = digest.toString("hex");
}

/** A download that never began failed like any other call. */
function brokenOff(error: unknown, receivedBytes: number): unknown {
  if (!isEtcdError(error) || receivedBytes === 0) return error;
  const { code, grpcStatus, endpoint, attempts, retryable, serverMessage } = error;
  const facts = { code, grpcStatus, endpoint, attempts, retryable, serverMessage, cause: error };
  return new SnapshotError(
    `the snapshot broke off after ${receivedBytes} bytes: ${error.message}`,
    receivedBytes,
    facts,
  );
}

function corrupt(receivedBytes: number): SnapshotError {
  return new SnapshotError(`the ${receivedBytes} bytes of the snapshot do not match its SHA-256`, receivedBytes, {
    code: "SnapshotCorrupt",
    grpcStatus: Code.DATA_LOSS,
    retryable: true,
  });
}
