/** The keys that a check writes under its prefix, and how it leaves nothing of them (spec/cli.md 8.21). */
import { randomBytes } from "node:crypto";
import { ExitCode, Failure } from "../exit-code.js";
import { bytesOf } from "../input/byte-text.js";
import { keyRange } from "../input/key-range.js";
import type { Session } from "../session.js";
import { writeOut } from "../terminal.js";
import type { CheckValues } from "./flags.js";

/** For reading whether the prefix is empty. */
const readTimeoutMs = 60_000;
/** For one write of the check: longer than any server that works takes, so that a dead one ends the check. */
const writeTimeoutMs = 30_000;
const compactTimeoutMs = 30_000;

/** Throws Failure (3) with `advice` if there are keys under the prefix: the check would delete them. */
export async function refuseKeys(session: Session, prefix: string, advice: string): Promise<void> {
  await session.reach();
  const request = { ...keyRange({ key: prefix, prefix: true }), limit: 1n, keysOnly: true };
  const { kvs } = await session.raw.kv.range(request, { timeoutMs: readTimeoutMs });
  if (kvs.length > 0)
    throw new Failure(ExitCode.InvalidInput, `prefix "${prefix}" has keys. Delete with ${advice} first`);
}

/** Puts pairs of this size, each under a key of its own. */
export function putter(session: Session, prefix: string, size: { keyBytes: number; valueBytes: number }) {
  const start = bytesOf(prefix);
  const value = new Uint8Array(size.valueBytes);
  return async (): Promise<void> => {
    const key = Buffer.alloc(start.length + size.keyBytes);
    key.set(start);
    key.set(randomBytes(10), start.length);
    await session.raw.kv.put({ key, value }, { timeoutMs: writeTimeoutMs });
  };
}

/** Deletes what the check has written; returns the revision of that. */
export async function deleteKeys(session: Session, prefix: string, timeoutMs: number): Promise<bigint> {
  const { header } = await session.raw.kv.deleteRange(keyRange({ key: prefix, prefix: true }), { timeoutMs });
  return header?.revision ?? 0n;
}

/** Compacts and defragments as the flags demand, and says so. */
export async function reclaim(session: Session, revision: bigint, flags: CheckValues): Promise<void> {
  const options = { timeoutMs: compactTimeoutMs };
  if (flags["auto-compact"]) {
    await writeOut(`Compacting with revision ${revision}\n`);
    await session.raw.kv.compact({ revision, physical: true }, options);
    await writeOut(`Compacted with revision ${revision}\n`);
  }
  if (!flags["auto-defrag"]) return;
  for (const endpoint of session.endpoints) {
    await writeOut(`Defragmenting "${endpoint}"\n`);
    await session.raw.maintenance.defragment({}, session.at(endpoint, options));
    await writeOut(`Defragmented "${endpoint}"\n`);
  }
}
