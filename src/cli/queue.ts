/**
 * The queue of keys under a name, as etcd's lock and election recipes keep it: one key a contender, bound to a lease,
 * first come first served by create revision (spec/cli.md 8.15, 8.16).
 */
import type { KeyValue } from "../../proto/gen/etcd/kv.js";
import type { CallOptions, Lease, RawClient } from "../client/index.js";
import { prefixEnd } from "./input/key-range.js";
import { withoutLimit } from "./limits.js";
import { hexId } from "./output/human.js";

const descending = 2;
const ascending = 1;
const byCreateRevision = 2;
const deleted = 1;

/** A place in the queue. The key goes when `leave` is called or the lease ends. */
export interface Place {
  readonly key: Uint8Array;
  /** Of the response that showed that this place is the first. */
  readonly revision: bigint;
}

/** A place in the queue of `name`, under `lease`. */
export class QueuePlace {
  private readonly raw: RawClient;
  private readonly prefix: Uint8Array;
  private readonly key: Uint8Array;
  private readonly lease: Lease;

  constructor(raw: RawClient, name: string, lease: Lease) {
    this.raw = raw;
    this.lease = lease;
    this.prefix = Buffer.from(`${name}/`);
    this.key = Buffer.from(`${name}/${hexId(lease.id)}`);
  }

  /** Takes the last place and waits until it is the first. Leaves again and rejects if `signal` or the lease ends. */
  async reachFront(value: Uint8Array, signal: AbortSignal): Promise<Place> {
    const options = { ...withoutLimit, signal: AbortSignal.any([signal, this.lease.signal]) };
    try {
      const entered = await this.enter(value, options);
      const waited = await this.waitForOthers(entered - 1n, options);
      return { key: this.key, revision: waited ?? entered };
    } catch (error) {
      await this.leave();
      throw error;
    }
  }

  /** The key is gone afterwards: it is deleted, or it goes with the lease. */
  async leave(): Promise<void> {
    if (!this.lease.signal.aborted) await this.raw.kv.deleteRange({ key: this.key }, withoutLimit);
  }

  /** The create revision of the key. A repeated request finds the key that the first one made. */
  private async enter(value: Uint8Array, options: CallOptions): Promise<bigint> {
    const { key } = this;
    const response = await this.raw.kv.txn(
      {
        compare: [{ key, target: 1, result: 0, targetUnion: { $case: "createRevision", value: 0n } }],
        success: [{ request: { $case: "requestPut", value: { key, value, lease: this.lease.id } } }],
        failure: [{ request: { $case: "requestRange", value: { key } } }],
      },
      { ...options, retry: "idempotent" },
    );
    const [answer] = response.responses;
    const found = answer?.response?.$case === "responseRange" ? answer.response.value.kvs[0] : undefined;
    return found?.createRevision ?? response.header?.revision ?? 0n;
  }

  /** Waits until no key of the queue is older; the revision at which that was seen, undefined if at once. */
  private async waitForOthers(maxCreateRevision: bigint, options: CallOptions): Promise<bigint | undefined> {
    let seen: bigint | undefined;
    for (;;) {
      const older = await this.raw.kv.range(
        {
          key: this.prefix,
          rangeEnd: prefixEnd(this.prefix),
          sortOrder: descending,
          sortTarget: byCreateRevision,
          limit: 1n,
          maxCreateRevision,
          keysOnly: true,
        },
        options,
      );
      const [last] = older.kvs;
      if (last === undefined) return seen;
      seen = await this.waitForDeletion(last.key, (older.header?.revision ?? 0n) + 1n, options);
    }
  }

  private async waitForDeletion(key: Uint8Array, startRevision: bigint, options: CallOptions): Promise<bigint> {
    await using watch = this.raw.watch({ key, startRevision }, options);
    for await (const { events, header } of watch) {
      if (events.some((event) => event.type === deleted)) return header?.revision ?? startRevision;
    }
    return startRevision; // the watch was ended by the server: look again
  }
}

/** The first of the queue, now and after every change, until `signal` aborts. */
export async function* leaders(raw: RawClient, name: string, signal: AbortSignal) {
  const prefix = Buffer.from(`${name}/`);
  const range = { key: prefix, rangeEnd: prefixEnd(prefix) };
  const options = { ...withoutLimit, signal };
  for (;;) {
    const request = { ...range, sortOrder: ascending, sortTarget: byCreateRevision, limit: 1n } as const;
    const { header, kvs } = await raw.kv.range(request, options);
    const [leader] = kvs;
    const startRevision = (header?.revision ?? 0n) + 1n;
    if (leader === undefined) {
      await using watch = raw.watch({ ...range, startRevision }, options);
      for await (const { events } of watch) {
        if (events.some((event) => event.type !== deleted)) break;
      }
    } else {
      yield { header, leader };
      yield* reign(raw, { leader, startRevision }, options);
    }
  }
}

/** What the leader proclaims anew, until its key goes. */
async function* reign(
  raw: RawClient,
  { leader, startRevision }: { leader: KeyValue; startRevision: bigint },
  options: CallOptions,
) {
  await using watch = raw.watch({ key: leader.key, startRevision }, options);
  for await (const { events, header } of watch) {
    for (const { type, kv } of events) {
      if (type === deleted) return;
      if (kv !== undefined) yield { header, leader: kv };
    }
  }
}
