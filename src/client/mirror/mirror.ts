/** A copy of a range that follows its original: the base, compared and made good, and then every revision in turn. */
import {
  type Bytes,
  bytes,
  formatId,
  isEtcdError,
  type Key,
  type KeyRange,
  type Kv,
  type Op,
  op,
  type WatchEvent,
} from "../index.js";
import { compare, type Finding, type Sides } from "./base.js";
import type { Position } from "./checkpoint.js";
import { Destination } from "./destination.js";
import { bytesOf, moved } from "./keys.js";
import type { MirrorOptions, MirrorProgress } from "./types.js";

type Anywhere = Pick<Kv<unknown>, "as">;

/**
 * Copies what is under a prefix, as of one revision and only where the destination differs, and then applies every later
 * revision in its own transaction. Nothing happens before the result is iterated; leaving the loop ends the mirror.
 *
 * A revision is split over several transactions only if it has more operations or bytes than the destination accepts;
 * they come in order, and a checkpoint names the revision only with the last of them. Values are copied and leases are
 * not: a key that expires at the source is deleted at the destination when that happens. The destination's keys under
 * `toPrefix` are the mirror's to write; what others write there stays until the source changes the same key.
 *
 * Rejects with a CompactedError if history is missing (see `extraKeys`), with a ConflictError if another mirror uses the
 * same checkpoint, and with the errors of the source's reads and of the destination's writes.
 */
export async function* mirror(
  from: Anywhere,
  to: Anywhere,
  options: MirrorOptions = {},
): AsyncGenerator<MirrorProgress, void, undefined> {
  const source = from.as(bytes);
  const prefix = bytesOf(options.prefix ?? "");
  const toPrefix = bytesOf(options.toPrefix ?? prefix);
  const of = await identity(source, [prefix, toPrefix], options.signal);
  const destination = new Destination({ kv: to.as(bytes), of, options });
  const sides: Sides = { from: source, to: destination.kv, prefix, toPrefix, signal: options.signal };
  yield* new Mirror(sides, destination, options).run();
}

/** Of the source and of what is copied: a checkpoint of another mirror is not mistaken for one of this. */
async function identity(source: Kv<Bytes>, prefixes: readonly Bytes[], signal?: AbortSignal): Promise<string> {
  const key = prefixes[0]?.length === 0 ? "\0" : (prefixes[0] ?? "\0");
  const { header } = await source.list(key, { keysOnly: true, ...(signal === undefined ? {} : { signal }) });
  return [formatId(header.clusterId), ...prefixes.map((prefix) => Buffer.from(prefix).toString("hex"))].join("/");
}

/** Operations that go together, and where the mirror stands when they are done. */
interface Step {
  readonly operations: readonly Op[];
  readonly position: Position;
}

/** The place in the base before its first key. */
const nothingYet: Bytes = new Uint8Array(0);

class Mirror {
  private readonly sides: Sides;
  private readonly destination: Destination;
  private readonly options: MirrorOptions;
  private readonly checkpoint: Bytes | undefined;
  private readonly counts = { puts: 0, deletes: 0, unchanged: 0 };

  constructor(sides: Sides, destination: Destination, options: MirrorOptions) {
    this.sides = sides;
    this.destination = destination;
    this.options = options;
    this.checkpoint = options.checkpoint === undefined ? undefined : bytesOf(options.checkpoint);
  }

  async *run(): AsyncGenerator<MirrorProgress, void, undefined> {
    const found = await this.destination.position();
    let position = this.options.mode === "copy" ? unfinished(found) : (found ?? this.begin());
    for (;;) {
      try {
        if (position === undefined || position.after !== undefined) position = yield* this.copy(position);
        if (this.options.mode === "copy") return;
        yield* this.follow(position);
        return;
      } catch (error) {
        if (this.options.extraKeys !== "delete" || !isEtcdError(error, "Compacted")) throw error;
        position = undefined;
      }
    }
  }

  private begin(): Position | undefined {
    const { since } = this.options;
    if (since === undefined) return undefined;
    // Watches take revision 0 for now.
    if (BigInt(since) < 1n) throw new RangeError(`the first revision is 1, and not ${since}`);
    return { revision: BigInt(since) - 1n };
  }

  /** The base, from the start or from where a position says. */
  private async *copy(begun: Position | undefined): AsyncGenerator<MirrorProgress, Position, undefined> {
    const resume = begun?.after === undefined ? undefined : { revision: begun.revision, after: begun.after };
    const place = { after: resume?.after ?? nothingYet };
    let position: Position = { revision: begun?.revision ?? 0n };
    for await (const { revision, findings } of compare(this.sides, resume)) {
      position = { revision };
      for (const step of this.packed(findings, revision, place)) await this.write(step);
      yield this.progress("base", revision);
    }
    await this.write({ operations: [], position });
    yield this.progress("follow", position.revision);
    return position;
  }

  private async *follow({ revision }: Position): AsyncGenerator<MirrorProgress, void, undefined> {
    const { maxDisconnectedMs } = this.options;
    const { from, prefix, signal } = this.sides;
    await using watch = from.watch(prefix.length === 0 ? { all: true } : { prefix }, {
      from: revision + 1n,
      progress: true,
      ...(signal === undefined ? {} : { signal }),
      ...(maxDisconnectedMs === undefined ? {} : { maxDisconnectedMs }),
    });
    for await (const batch of watch) {
      for (const events of byRevision(batch.events)) {
        for (const step of this.split(events)) await this.write(step);
        yield this.progress("follow", revisionOf(events));
      }
      if (batch.events.length > 0) continue;
      await this.destination.note({ revision: batch.revision });
      yield this.progress("follow", batch.revision);
    }
  }

  /** What the findings ask for, in transactions as large as they may be. `place` moves along. */
  private *packed(findings: readonly Finding[], revision: bigint, place: { after: Bytes }): Generator<Step> {
    const batch = new Batch(this.options);
    for (const finding of findings) {
      const operation = this.operationFor(finding);
      if (operation !== undefined) {
        if (!batch.fits(operation)) yield { operations: batch.take(), position: { revision, ...place } };
        batch.add(operation);
      }
      if (finding.kind !== "extra") place.after = finding.after;
    }
    if (batch.length > 0) yield { operations: batch.take(), position: { revision, ...place } };
  }

  private operationFor(finding: Finding): Op | undefined {
    switch (finding.kind) {
      case "same":
        this.counts.unchanged++;
        return undefined;
      case "put":
        return this.put(finding.key, finding.value);
      case "extra":
        if (this.options.extraKeys !== "delete" || this.isCheckpoint(finding.key)) return undefined;
        return op.delete(finding.key);
    }
  }

  /** One revision: as one transaction if it fits. */
  private *split(events: readonly WatchEvent<Bytes>[]): Generator<Step> {
    const revision = revisionOf(events);
    const batch = new Batch(this.options);
    for (const event of events) {
      const operation = this.operationOf(event);
      if (!batch.fits(operation)) yield { operations: batch.take(), position: { revision: revision - 1n } };
      batch.add(operation);
    }
    yield { operations: batch.take(), position: { revision } };
  }

  private operationOf(event: WatchEvent<Bytes>): Op {
    const { prefix, toPrefix } = this.sides;
    switch (event.type) {
      case "put":
        return this.put(moved(event.kv.keyBytes, prefix, toPrefix), event.kv.value);
      case "delete":
        return op.delete(moved(event.keyBytes, prefix, toPrefix));
    }
  }

  private put(key: Bytes, value: Bytes): Op {
    if (this.isCheckpoint(key)) throw new RangeError("a key of the source would overwrite the checkpoint");
    return op.put(key, value);
  }

  private isCheckpoint(key: Bytes): boolean {
    return this.checkpoint !== undefined && Buffer.compare(this.checkpoint, key) === 0;
  }

  private async write({ operations, position }: Step): Promise<void> {
    await this.destination.write(operations, position);
    for (const { kind } of operations) this.counts[kind === "put" ? "puts" : "deletes"]++;
  }

  private progress(phase: MirrorProgress["phase"], revision: bigint): MirrorProgress {
    return { phase, revision, resumeRevision: phase === "base" ? undefined : revision + 1n, ...this.counts };
  }
}

/** Operations up to what one transaction may have; one that is too large by itself goes alone. */
class Batch {
  private readonly operationsMax: number;
  private readonly bytesMax: number;
  private operations: Op[] = [];
  private sizeBytes = 0;

  constructor({ checkpoint, txnOpsMax = 128, txnBytesMax = 1_500_000 }: MirrorOptions) {
    // The checkpoint is one more operation.
    this.operationsMax = Math.max(1, checkpoint === undefined ? txnOpsMax : txnOpsMax - 1);
    this.bytesMax = txnBytesMax;
  }

  get length(): number {
    return this.operations.length;
  }

  fits(operation: Op): boolean {
    if (this.operations.length === 0) return true;
    return this.operations.length < this.operationsMax && this.sizeBytes + weight(operation) <= this.bytesMax;
  }

  add(operation: Op): void {
    this.operations.push(operation);
    this.sizeBytes += weight(operation);
  }

  take(): readonly Op[] {
    const { operations } = this;
    this.operations = [];
    this.sizeBytes = 0;
    return operations;
  }
}

/** Bytes on the wire, with room for what frames them. */
function weight(operation: Op): number {
  const frameBytes = 24;
  switch (operation.kind) {
    case "put":
      return frameBytes + lengthOf(operation.key) + lengthOf(operation.value ?? "");
    case "delete":
      return frameBytes + (isKey(operation.range) ? lengthOf(operation.range) : 0);
    case "range":
    case "txn":
      return frameBytes;
  }
}

function isKey(range: KeyRange): range is Key {
  return typeof range === "string" || range instanceof Uint8Array;
}

function lengthOf(key: Key): number {
  return typeof key === "string" ? Buffer.byteLength(key) : key.length;
}

/** A base that was begun, and not one that is whole. */
function unfinished(position: Position | undefined): Position | undefined {
  return position?.after === undefined ? undefined : position;
}

function modRevisionOf(event: WatchEvent<Bytes>): bigint {
  return event.type === "put" ? event.kv.modRevision : event.modRevision;
}

function revisionOf(events: readonly WatchEvent<Bytes>[]): bigint {
  const [first] = events;
  if (first === undefined) throw new RangeError("a revision has at least one event");
  return modRevisionOf(first);
}

/** Events of one revision follow each other. */
function byRevision(events: readonly WatchEvent<Bytes>[]): WatchEvent<Bytes>[][] {
  const groups: WatchEvent<Bytes>[][] = [];
  let revision = -1n;
  for (const event of events) {
    if (modRevisionOf(event) !== revision) groups.push([]);
    revision = modRevisionOf(event);
    groups.at(-1)?.push(event);
  }
  return groups;
}
