/** One run of a transaction's function: what it read, what it wants to write, and the commit. */
// oxlint-disable unicorn/no-thenable -- etcd's word for a branch of a transaction; an array is no thenable
import {
  type Bytes,
  type Compare,
  cmp,
  isEtcdError,
  type Key,
  type KeyRange,
  type KeyValue,
  type Kv,
  type Lease,
  type Op,
  op,
  type RangeResult,
} from "../index.js";
import type { Bounds } from "./bounds.js";
import { bytesOf, identityOf } from "./keys.js";
import { compareKeys, identityOfRange, isInRange } from "./ranges.js";
import type { Isolation } from "./stm-types.js";

type Found = KeyValue<Bytes> | undefined;

/** `value` is undefined for a delete. */
interface Write {
  readonly key: Key;
  readonly value: Bytes | undefined;
  readonly lease: Lease | bigint | undefined;
}
interface Entry {
  readonly keyBytes: Bytes;
  readonly value: Bytes;
}

/** What a failed commit has read again, at one revision: the next attempt begins with it. */
export interface Prefetch {
  readonly revision: bigint;
  readonly answers: ReadonlyMap<string, readonly KeyValue<Bytes>[]>;
}

export class Attempt {
  readonly number: number;
  /** A read needed history that is gone: the attempt is worth nothing, whatever the function says. */
  stale = false;
  private readonly kv: Kv<Bytes>;
  private readonly isolation: Isolation;
  private readonly bounds: Bounds;
  private readonly prefetch: Prefetch | undefined;
  private readonly keys = new Map<string, { readonly key: Key; readonly found: Found }>();
  private readonly ranges = new Map<string, KeyRange>();
  private readonly writes = new Map<string, Write>();
  /** The revision that everything is read at, once the first read has told. */
  private snapshot: bigint | undefined;
  private first: Promise<RangeResult<Bytes>> | undefined;
  private over = false;

  constructor(
    kv: Kv<Bytes>,
    settings: { readonly isolation: Isolation; readonly bounds: Bounds; readonly number: number },
    prefetch: Prefetch | undefined,
  ) {
    this.kv = kv;
    this.isolation = settings.isolation;
    this.bounds = settings.bounds;
    this.number = settings.number;
    this.prefetch = prefetch;
    this.snapshot = prefetch?.revision;
  }

  async get(key: Key): Promise<Bytes | undefined> {
    this.checkOpen();
    const id = identityOf(key);
    const written = this.writes.get(id);
    if (written !== undefined) return written.value;
    const known = this.keys.get(id);
    if (known !== undefined) return known.found?.value;
    const [found] = await this.read(key);
    // Another read of the same key may have been quicker; all see the same.
    const seen = this.keys.get(id) ?? { key, found };
    this.keys.set(id, seen);
    return seen.found?.value;
  }

  async list(range: KeyRange): Promise<Entry[]> {
    this.checkOpen();
    const kvs = await this.read(range);
    this.ranges.set(identityOfRange(range), range);
    const entries = new Map<string, Entry>();
    for (const kv of kvs) {
      const id = identityOf(kv.keyBytes);
      const seen = this.keys.get(id) ?? { key: kv.keyBytes, found: kv };
      this.keys.set(id, seen);
      if (seen.found !== undefined) entries.set(id, seen.found);
    }
    for (const [id, { key, value }] of this.writes) {
      const keyBytes = bytesOf(key);
      if (!isInRange(range, keyBytes)) continue;
      if (value === undefined) entries.delete(id);
      else entries.set(id, { keyBytes, value });
    }
    return [...entries.values()].toSorted((one, other) => compareKeys(one.keyBytes, other.keyBytes));
  }

  write(write: Write): void {
    this.checkOpen();
    this.writes.set(identityOf(write.key), write);
  }

  /** Nothing can be read or written any more. */
  close(): void {
    this.over = true;
  }

  /** "done", or what was read again where the guards did not hold. */
  async commit(): Promise<"done" | Prefetch | undefined> {
    const reads = this.keys.size + this.ranges.size;
    // One revision is a state of the store as it was, and so is a single read.
    if (this.writes.size === 0 && (this.pinned || reads < 2)) return "done";
    const guards = this.guards();
    if (this.writes.size === 0 && guards.length === 0) return "done";
    const then = [...this.writes.values()].map(writeOp);
    const again = this.again();
    const result = await this.bounds.call((call) => {
      const spec = { if: guards, then, else: again.map(({ range }) => op.get(range)) };
      return this.kv.txn<readonly Op[], readonly Op<"range">[]>(spec, call);
    });
    if (result.succeeded) return "done";
    if (!this.pinned) return undefined;
    const answers = new Map(again.map(({ id }, index) => [id, result.results[index]?.kvs ?? []]));
    return { revision: result.header.revision, answers };
  }

  private get pinned(): boolean {
    return this.isolation === "serializable-snapshot" || this.isolation === "serializable";
  }

  private checkOpen(): void {
    if (this.over) throw new TypeError("a transaction is of use only while its function runs");
  }

  private again(): { readonly id: string; readonly range: KeyRange }[] {
    if (!this.pinned) return [];
    const inRanges = (key: Bytes): boolean => [...this.ranges.values()].some((range) => isInRange(range, key));
    const single = [...this.keys.values()].map(({ key }) => key).filter((key) => !inRanges(bytesOf(key)));
    return [...single, ...this.ranges.values()].map((range) => ({ id: identityOfRange(range), range }));
  }

  private guards(): Compare[] {
    const keys = [...this.keys.values()].map(({ key, found }) => cmp.modRevision(key).equal(found?.modRevision ?? 0n));
    const next = (this.snapshot ?? 0n) + 1n;
    switch (this.isolation) {
      case "read-committed":
        return [];
      case "repeatable-reads":
        return keys;
      case "serializable":
        return [...keys, ...this.newcomers(next)];
      case "serializable-snapshot":
        return [...keys, ...this.newcomers(next), ...this.unread(next)];
    }
  }

  /** That nothing came into a range: what was in it is guarded key by key, which also notices what left it. */
  private newcomers(next: bigint): Compare[] {
    return [...this.ranges.values()].map((range) => cmp.modRevision(range).less(next));
  }

  /** Of what is written without having been read; without any read there is nothing it could conflict with. */
  private unread(next: bigint): Compare[] {
    if (this.snapshot === undefined) return [];
    const blind = [...this.writes].filter(([id]) => !this.keys.has(id));
    return blind.map(([, { key }]) => cmp.modRevision(key).less(next));
  }

  private async read(range: KeyRange): Promise<readonly KeyValue<Bytes>[]> {
    const ready = this.prefetch?.answers.get(identityOfRange(range));
    if (ready !== undefined) return ready;
    if (!this.pinned) return (await this.fetch(range)).kvs;
    if (this.snapshot === undefined && this.first === undefined) {
      this.first = this.fetch(range);
      const { kvs, header } = await this.first;
      this.snapshot = header.revision;
      return kvs;
    }
    const revision = this.snapshot ?? (await this.first)?.header.revision;
    return (await this.fetch(range, revision)).kvs;
  }

  private async fetch(range: KeyRange, revision?: bigint): Promise<RangeResult<Bytes>> {
    try {
      const at = revision === undefined ? {} : { revision };
      return await this.bounds.call((call) => this.kv.list(range, { ...at, ...call }));
    } catch (error) {
      this.stale ||= isEtcdError(error, "Compacted");
      throw error;
    }
  }
}

function writeOp({ key, value, lease }: Write): Op<"put"> | Op<"delete"> {
  if (value === undefined) return op.delete(key);
  return op.put(key, value, lease === undefined ? {} : { lease });
}
