/** The state as a stream of fixed-size blobs, closed by the SHA-256 of all of them (spec/server.md 7.3). */
import { createHash } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import type { SnapshotResponse } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import { storageVersion } from "../runtime/version.js";
import { abortError } from "./abort.js";
import type { GuardedDependencies } from "./dependencies.js";
import type { CallContext } from "./types.js";

const blobBytes = 32_768;

/** Exports a copy, sends it, and deletes it however the call ends. */
export async function* snapshot(
  { replica, guard }: GuardedDependencies,
  context: CallContext,
): AsyncGenerator<SnapshotResponse> {
  const { signal } = context;
  await guard.admin(context);
  const { path, sizeBytes } = await replica.maintenance.exportSnapshot();
  try {
    await using file = await open(path);
    const digest = createHash("sha256");
    for (let sent = 0; sent < sizeBytes; ) {
      if (signal.aborted) throw abortError(signal, status.Canceled);
      const blob = await readBlob(file, Math.min(blobBytes, sizeBytes - sent));
      sent += blob.length;
      digest.update(blob);
      yield message(sizeBytes - sent, blob);
    }
    yield message(0, digest.digest());
  } finally {
    await rm(path, { force: true });
  }
}

async function readBlob(file: FileHandle, length: number): Promise<Uint8Array> {
  const blob = new Uint8Array(length);
  const { bytesRead } = await file.read(blob, 0, length);
  invariant(bytesRead > 0, "an exported snapshot is as long as it was said to be", { length });
  return blob.subarray(0, bytesRead);
}

function message(remainingBytes: number, blob: Uint8Array): SnapshotResponse {
  return { header: undefined, remainingBytes: BigInt(remainingBytes), blob, version: storageVersion };
}
