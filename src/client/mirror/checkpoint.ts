/** How far a mirror has come, as the destination keeps it. Pure. */
import type { Bytes } from "../index.js";

export interface Position {
  /** Everything up to here is at the destination; while the base is copied, the revision it is copied at. */
  readonly revision: bigint;
  /** The last key of the source that the base has, empty for none yet; undefined when the base is whole. */
  readonly after?: Bytes;
}

export interface Checkpoint extends Position {
  /** Which source and which keys it is about. */
  readonly of: string;
  /** Which step of which run wrote it: no two writes are the same. */
  readonly step: string;
}

export function encodeCheckpoint({ revision, after, of, step }: Checkpoint): Bytes {
  const key = after === undefined ? {} : { after: Buffer.from(after).toString("base64") };
  return new TextEncoder().encode(JSON.stringify({ revision: String(revision), ...key, of, step }));
}

/** Throws a TypeError for what is no checkpoint. */
export function decodeCheckpoint(value: Bytes): Checkpoint {
  const text = new TextDecoder().decode(value);
  const record = parsed(text);
  const { revision, after, of, step } = record;
  const shaped = typeof revision === "string" && /^\d+$/.test(revision) && typeof of === "string";
  if (!shaped || typeof step !== "string" || (after !== undefined && typeof after !== "string")) {
    throw new TypeError(`the key of the checkpoint holds something else (${value.length} bytes)`);
  }
  const key = after === undefined ? {} : { after: Buffer.from(after, "base64") };
  return { revision: BigInt(revision), ...key, of, step };
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    // Told by the caller, as everything that is no checkpoint is.
    return {};
  }
}
