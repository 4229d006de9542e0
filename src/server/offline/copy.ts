/** Copies the database out of a snapshot file and checks the digest behind it (spec/server.md 7.3). */
import { createHash, timingSafeEqual } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { OfflineRefused } from "./refused.js";

const digestBytes = 32;
/** Databases come in whole pages of at least this; what is over must be the digest. */
const pageBytesMin = 512;
const chunkBytes = 1024 * 1024;

export interface CopyOptions {
  readonly from: string;
  /** Must not exist; only its owner may read it. */
  readonly to: string;
  readonly hashCheck: "check" | "skip";
  readonly onProgress: ((doneBytes: number, totalBytes: number) => void) | undefined;
  /** Called when the source is open and long enough, before anything is written. */
  readonly prepare: () => void;
}

/** Durable when it resolves. Rejects with OfflineRefused in etcd's words, and with the system's errors. */
export async function copyDatabase({ from, to, hashCheck, onProgress, prepare }: CopyOptions): Promise<void> {
  await using source = await open(from, "r");
  const { size } = await source.stat();
  if (size < digestBytes) throw new OfflineRefused("damaged", `seek ${from}: invalid argument`);
  prepare();
  const hasDigest = size % pageBytesMin === digestBytes;
  if (!hasDigest && hashCheck === "check") {
    throw new OfflineRefused("damaged", "snapshot missing hash but --skip-hash-check=false");
  }
  const databaseBytes = hasDigest ? size - digestBytes : size;
  await using target = await open(to, "wx", 0o600);
  const digest = await copyBytes(source, target, { from, databaseBytes, onProgress });
  await target.sync();
  if (!hasDigest || hashCheck === "skip") return;
  const stored = await bytesAt(source, from, { at: databaseBytes, length: digestBytes });
  if (timingSafeEqual(stored, digest)) return;
  throw new OfflineRefused("damaged", `expected sha256 ${decimal(stored)}, got ${decimal(digest)}`);
}

interface Copying {
  readonly from: string;
  readonly databaseBytes: number;
  readonly onProgress: CopyOptions["onProgress"];
}

/** Returns the digest of what was copied. */
async function copyBytes(source: FileHandle, target: FileHandle, copying: Copying): Promise<Buffer> {
  const { from, databaseBytes, onProgress } = copying;
  const hash = createHash("sha256");
  for (let done = 0; done < databaseBytes; ) {
    const chunk = await bytesAt(source, from, { at: done, length: Math.min(chunkBytes, databaseBytes - done) });
    hash.update(chunk);
    await target.writeFile(chunk); // at the file's position: appends
    done += chunk.length;
    onProgress?.(done, databaseBytes);
  }
  return hash.digest();
}

async function bytesAt(source: FileHandle, from: string, part: { at: number; length: number }): Promise<Buffer> {
  const bytes = Buffer.alloc(part.length);
  let done = 0;
  while (done < part.length) {
    const { bytesRead } = await source.read(bytes, done, part.length - done, part.at + done);
    if (bytesRead === 0) throw new OfflineRefused("damaged", `read ${from}: unexpected EOF`);
    done += bytesRead;
  }
  return bytes;
}

/** As Go prints a slice of bytes. */
function decimal(bytes: Uint8Array): string {
  return `[${bytes.join(" ")}]`;
}
