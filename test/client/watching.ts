/** What tests of watches share. */
import type { Delta, EtcdClient, FollowOptions, KeyRange, Snapshot, WatchEvent } from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";

/** The first `count` items, or all there are; the test's own timeout is the limit. */
export async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  if (count === 0) return taken;
  for await (const item of items) if (taken.push(item) === count) break;
  return taken;
}

export function keyOf(event: WatchEvent<unknown>): string {
  return event.type === "put" ? event.kv.key : event.key;
}

export function revisionOf(event: WatchEvent<unknown>): bigint {
  return event.type === "put" ? event.kv.modRevision : event.modRevision;
}

/** So many revisions in a row. */
export function revisions(first: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => first + BigInt(index));
}

/** Watchers that the server holds. */
export async function watcherCount(server: RealEtcd): Promise<number> {
  const text = await (await fetch(`${server.endpoint}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\d+)/m.exec(text)?.[1]);
}

export interface Following {
  /** Rejects when there is no more. */
  next(): Promise<Snapshot<string> | Delta<string>>;
  return(): Promise<unknown>;
}

/** One loop over `follow`, step by step. */
export function follow(client: EtcdClient, range: KeyRange, options?: FollowOptions): Following {
  const iterator = client.follow(range, options)[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      if (done === true) throw new Error("there is nothing more to follow");
      return value;
    },
    return: async () => iterator.return?.(),
  };
}
