/** A store so simple that it is plainly right: every revision kept in a list. What the hub's tests compare with. */

import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import { status, WireError } from "../../../proto/status.js";
import type { Applied, Change, RevisionChanges } from "../../../src/server/state/types.js";
import type { WatchSource } from "../../../src/server/watch/catch-up.js";

export type Write =
  | { readonly kind: "put"; readonly key: string; readonly value?: string }
  | { readonly kind: "delete"; readonly key: string };

/** One change with the pair it replaced, whatever was compacted since. */
export interface History {
  readonly revision: number;
  readonly kind: "put" | "delete";
  readonly key: string;
  readonly kv: KeyValue;
  readonly replaced: KeyValue | undefined;
}

export class NaiveStore {
  readonly history: History[] = [];
  readonly source: WatchSource;
  /** What the state is asked for, in order; tests of sharing count these. */
  readonly reads: { readonly from: number; readonly revisionsMax: number }[] = [];
  private readonly pairs = new Map<string, KeyValue>();
  private currentRevision = 1;
  private compacted = -1;
  private seenCompacted = -1;
  private index = 1;

  constructor() {
    this.source = {
      state: {
        revision: () => this.currentRevision,
        compactRevision: () => this.seenCompacted,
        changesSince: (from, revisionsMax, bytesMax) => this.changesSince(from, revisionsMax, bytesMax),
      },
    };
  }

  get revision(): number {
    return this.currentRevision;
  }

  get compactRevision(): number {
    return this.compacted;
  }

  /** Applies writes as one transaction and returns what the hub is told. Deleting nothing changes nothing. */
  apply(...writes: readonly Write[]): Applied {
    const revision = this.currentRevision + 1;
    const entries = writes.flatMap((write) => this.write(write, revision));
    if (entries.length > 0) this.currentRevision = revision;
    this.history.push(...entries);
    this.index += 1;
    const changes = entries.length > 0 ? { revision, changes: entries.map((entry) => this.change(entry)) } : undefined;
    const result = { kind: "ok", revision: this.currentRevision, response: { kind: "none" } } as const;
    return { index: this.index, term: 2, request: undefined, result, changes, leases: [] };
  }

  compact(revision: number): void {
    this.compacted = revision;
    this.seenCompacted = revision;
  }

  /** By another thread: the next read finds out. */
  compactUnseen(revision: number): void {
    this.compacted = revision;
  }

  changesSince(from: number, revisionsMax: number, bytesMax = Number.POSITIVE_INFINITY): RevisionChanges[] {
    this.reads.push({ from, revisionsMax });
    this.seenCompacted = this.compacted;
    if (from < this.compacted) throw new WireError(status.Compacted);
    const revisions = new Map<number, Change[]>();
    let bytes = 0;
    for (const entry of this.history) {
      if (entry.revision < from) continue;
      const changes = revisions.get(entry.revision) ?? [];
      if (changes.length === 0 && (revisions.size === revisionsMax || bytes >= bytesMax)) break;
      bytes += entry.kv.key.length + entry.kv.value.length;
      revisions.set(entry.revision, [...changes, this.change(entry)]);
    }
    return [...revisions].map(([revision, changes]) => ({ revision, changes }));
  }

  private change({ kind, kv, replaced, revision }: History): Change {
    return { kind, kv, previous: () => (revision - 1 < this.compacted ? undefined : replaced) };
  }

  private write(write: Write, revision: number): History[] {
    const { key } = write;
    const replaced = this.pairs.get(key);
    if (write.kind === "delete") {
      if (replaced === undefined) return [];
      this.pairs.delete(key);
      return [{ revision, kind: "delete", key, kv: pair(key, { modRevision: BigInt(revision) }), replaced }];
    }
    const kv = pair(key, {
      createRevision: replaced?.createRevision ?? BigInt(revision),
      modRevision: BigInt(revision),
      version: (replaced?.version ?? 0n) + 1n,
      value: Buffer.from(write.value ?? `${key}@${revision}`),
    });
    this.pairs.set(key, kv);
    return [{ revision, kind: "put", key, kv, replaced }];
  }
}

export function put(key: string, value?: string): Write {
  return value === undefined ? { kind: "put", key } : { kind: "put", key, value };
}

export function remove(key: string): Write {
  return { kind: "delete", key };
}

function pair(key: string, fields: Partial<KeyValue>): KeyValue {
  const empty = { createRevision: 0n, modRevision: 0n, version: 0n, value: new Uint8Array(), lease: 0n };
  return { key: Buffer.from(key), ...empty, ...fields };
}
