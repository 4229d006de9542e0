/**
 * What was applied, on its way to another thread. The changes of a batch travel in one buffer that is handed over instead of
 * copied; results that hold nothing are a number, the others are plain objects (spec/raft-storage.md 4.12).
 */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import { invariant } from "../invariant.js";
import { revisionId } from "../storage/revisions.js";
import { type PreviousReader, StoredChange } from "./mvcc/write.js";
import type { Applied, Change, CommandResponse, CommandResult, RequestId } from "./types.js";

/** Hand over `buffer` with the message: `postMessage(packed, [packed.buffer])`. */
export interface PackedApplied {
  /** First `slots` numbers of 8 bytes, then the keys and values of all changes. */
  readonly buffer: ArrayBuffer;
  readonly slots: number;
  readonly entries: number;
  /** What does not go into numbers; in order of `at`, the position of the entry. */
  readonly extras: readonly PackedExtra[];
}

interface PackedExtra {
  readonly at: number;
  readonly result: CommandResult | undefined;
  readonly leases: Applied["leases"];
  readonly membership: Applied["membership"];
  readonly auth: Applied["auth"];
}

/** Whose calls wait on the other side. */
export type Caller = Pick<RequestId, "origin" | "boot">;

/** Results without content; every other one is in the extras. */
const resultCodes = { extra: 0, put: 1, none: 2, compact: 3, leaseRevoke: 4, deleteRange: 5, txn: 6 } as const;

/** index, term, origin, boot, sequence (0: nobody asked), result code, its count, revision, changes (-1: none). */
const entrySlots = 9;
/** 1 for a deletion, bytes of the key, bytes of the value, create revision, version, lease. */
const changeSlots = 6;
const slotBytes = 8;
/** In a larger buffer each pair gets memory of its own, or one event that waits for a slow watcher would keep all of it. */
const sharedBytesMax = 64 * 1024;

/** With `own`, the answers to all other calls go without the pairs that only the caller wants to see. */
export function packApplied(applied: readonly Applied[], own?: Caller): PackedApplied {
  const changes = applied.flatMap((entry) => entry.changes?.changes ?? []);
  const slots = applied.length * entrySlots + changes.length * changeSlots;
  const bytes = changes.reduce((sum, { kv }) => sum + kv.key.length + kv.value.length, 0);
  const writer = new SlotWriter(slots, bytes);
  const extras: PackedExtra[] = [];
  for (const [at, entry] of applied.entries()) {
    const result = own === undefined || isOf(entry, own) ? entry.result : withoutPairs(entry.result);
    const [code, count] = codeOf(result);
    writeEntry(writer, entry, code, count);
    for (const change of entry.changes?.changes ?? []) writeChange(writer, change);
    const { leases, membership, auth } = entry;
    const inSlots = code !== resultCodes.extra;
    if (inSlots && leases.length === 0 && membership === undefined && auth === undefined) continue;
    extras.push({ at, result: inSlots ? undefined : result, leases, membership, auth });
  }
  return { buffer: writer.buffer, slots, entries: applied.length, extras };
}

/** What was packed; what changes replaced is read through `source`, which belongs to this thread. */
export function unpackApplied(
  packed: PackedApplied,
  source: { readonly previous: PreviousReader },
): readonly Applied[] {
  const reader = new SlotReader(packed);
  let extraAt = 0;
  return Array.from({ length: packed.entries }, (_, at): Applied => {
    const next = packed.extras[extraAt];
    const extra = next?.at === at ? next : undefined;
    if (extra !== undefined) extraAt += 1;
    return readEntry(reader, extra, source.previous);
  });
}

function isOf({ request }: Applied, { origin, boot }: Caller): boolean {
  return request !== undefined && request.origin === origin && request.boot === boot;
}

/** The result of somebody else's call, of the same kind, without the pairs in it. */
function withoutPairs(result: CommandResult): CommandResult {
  if (result.kind === "failed") return result;
  const { response } = result;
  switch (response.kind) {
    case "put":
      return { ...result, response: { kind: "put", previous: undefined } };
    case "deleteRange":
      return { ...result, response: { ...response, previous: [] } };
    case "txn": {
      const { succeeded } = response.response;
      return { ...result, response: { kind: "txn", response: { header: undefined, succeeded, responses: [] } } };
    }
    case "compact":
    case "leaseGrant":
    case "leaseRevoke":
    case "alarm":
    case "members":
    case "token":
    case "none":
      return result;
  }
}

function codeOf(result: CommandResult): readonly [code: number, count: number] {
  if (result.kind === "failed") return [resultCodes.extra, 0];
  const { response } = result;
  switch (response.kind) {
    case "put":
      return [response.previous === undefined ? resultCodes.put : resultCodes.extra, 0];
    case "deleteRange":
      return [response.previous.length === 0 ? resultCodes.deleteRange : resultCodes.extra, response.deleted];
    case "txn": {
      const { header, succeeded, responses } = response.response;
      const bare = header === undefined && responses.length === 0;
      return [bare ? resultCodes.txn : resultCodes.extra, succeeded ? 1 : 0];
    }
    case "compact":
    case "leaseRevoke":
    case "none":
      return [resultCodes[response.kind], 0];
    case "leaseGrant":
    case "alarm":
    case "members":
    case "token":
      return [resultCodes.extra, 0];
  }
}

function responseOf(code: number, count: number): CommandResponse {
  switch (code) {
    case resultCodes.put:
      return { kind: "put", previous: undefined };
    case resultCodes.none:
      return { kind: "none" };
    case resultCodes.compact:
      return { kind: "compact" };
    case resultCodes.leaseRevoke:
      return { kind: "leaseRevoke" };
    case resultCodes.deleteRange:
      return { kind: "deleteRange", deleted: count, previous: [] };
    case resultCodes.txn:
      return { kind: "txn", response: { header: undefined, succeeded: count === 1, responses: [] } };
  }
  invariant(false, "a packed result cannot be read", { code, count });
}

function writeEntry(writer: SlotWriter, entry: Applied, code: number, count: number): void {
  const { index, term, request, result, changes } = entry;
  writer.number(index);
  writer.number(term);
  writer.id(request?.origin ?? 0n);
  writer.number(request?.boot ?? 0);
  writer.number(request?.sequence ?? noRequest);
  writer.number(code);
  writer.number(count);
  writer.number(result.revision);
  writer.number(changes?.changes.length ?? -1);
}

const noRequest = -1;

function readEntry(reader: SlotReader, extra: PackedExtra | undefined, previous: PreviousReader): Applied {
  const index = reader.number();
  const term = reader.number();
  const origin = BigInt.asUintN(64, reader.id());
  const boot = reader.number();
  const sequence = reader.number();
  const code = reader.number();
  const count = reader.number();
  const revision = reader.number();
  const changeCount = reader.number();
  const result = extra?.result ?? { kind: "ok", revision, response: responseOf(code, count) };
  const changes = Array.from({ length: Math.max(changeCount, 0) }, (_, position) => {
    const id = revisionId(revision, position);
    return readChange(reader, { id, modRevision: BigInt(revision), previous });
  });
  const membership = extra?.membership;
  const auth = extra?.auth;
  return {
    index,
    term,
    request: sequence === noRequest ? undefined : { origin, boot, sequence },
    result,
    changes: changeCount < 0 ? undefined : { revision, changes },
    leases: extra?.leases ?? [],
    ...(membership === undefined ? {} : { membership }),
    ...(auth === undefined ? {} : { auth }),
  };
}

function writeChange(writer: SlotWriter, { kind, kv }: Change): void {
  writer.number(kind === "delete" ? 1 : 0);
  writer.number(kv.key.length);
  writer.number(kv.value.length);
  writer.id(kv.createRevision);
  writer.id(kv.version);
  writer.id(kv.lease);
  writer.bytes(kv.key);
  writer.bytes(kv.value);
}

interface ChangeContext {
  readonly id: bigint;
  readonly modRevision: bigint;
  readonly previous: PreviousReader;
}

function readChange(reader: SlotReader, { id, modRevision, previous }: ChangeContext): Change {
  const kind = reader.number() === 1 ? "delete" : "put";
  const keyBytes = reader.number();
  const valueBytes = reader.number();
  const createRevision = reader.id();
  const version = reader.id();
  const lease = reader.id();
  const key = reader.bytes(keyBytes);
  const kv: KeyValue = { key, createRevision, modRevision, version, value: reader.bytes(valueBytes), lease };
  return new StoredChange(kind, kv, id, previous);
}

class SlotWriter {
  readonly buffer: ArrayBuffer;
  readonly #numbers: Float64Array;
  readonly #ids: BigInt64Array;
  readonly #bytes: Uint8Array;
  #slot = 0;
  #byte = 0;

  constructor(slots: number, bytes: number) {
    this.buffer = new ArrayBuffer(slots * slotBytes + bytes);
    this.#numbers = new Float64Array(this.buffer, 0, slots);
    this.#ids = new BigInt64Array(this.buffer, 0, slots);
    this.#bytes = new Uint8Array(this.buffer, slots * slotBytes);
  }

  number(value: number): void {
    this.#numbers[this.#slot++] = value;
  }

  /** Any 64 bits. */
  id(value: bigint): void {
    this.#ids[this.#slot++] = value;
  }

  bytes(value: Uint8Array): void {
    this.#bytes.set(value, this.#byte);
    this.#byte += value.length;
  }
}

class SlotReader {
  readonly #numbers: Float64Array;
  readonly #ids: BigInt64Array;
  readonly #bytes: Uint8Array;
  readonly #shares: boolean;
  #slot = 0;
  #byte = 0;

  constructor({ buffer, slots }: PackedApplied) {
    this.#numbers = new Float64Array(buffer, 0, slots);
    this.#ids = new BigInt64Array(buffer, 0, slots);
    this.#bytes = new Uint8Array(buffer, slots * slotBytes);
    this.#shares = buffer.byteLength <= sharedBytesMax;
  }

  number(): number {
    return this.#numbers[this.#slot++] ?? 0;
  }

  /** As a signed number. */
  id(): bigint {
    return this.#ids[this.#slot++] ?? 0n;
  }

  bytes(length: number): Uint8Array {
    const start = this.#byte;
    this.#byte += length;
    return this.#shares ? this.#bytes.subarray(start, this.#byte) : this.#bytes.slice(start, this.#byte);
  }
}
