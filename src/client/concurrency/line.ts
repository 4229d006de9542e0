/**
 * Lines of keys in the order of their create revisions. Whoever has less than so many older keys before him holds what
 * the line is for: one for a lock, more for a semaphore. Those ahead may leave in any order, so all of them count.
 */
// oxlint-disable unicorn/no-thenable -- etcd's word for a branch of a transaction; an array is no thenable
import { type EtcdClient, isEtcdError, type Key, type KeyRange, op, type RangeResult } from "../index.js";
import type { Bounds } from "./bounds.js";
import type { Claim } from "./claim.js";
import { identityOf } from "./keys.js";

export interface Line {
  /** Whose keys count, if they are older. */
  readonly ahead: KeyRange;
  /** How many may hold it at once. */
  readonly permits: number;
}

/** Resolves when the claim holds. Rejects with the reason of the bounds, which must end with the claim. */
export async function waitInLine(client: EtcdClient, claim: Claim, line: Line, bounds: Bounds): Promise<void> {
  for (;;) {
    const { older, revision } = await look(client, claim, line, bounds);
    bounds.signal.throwIfAborted();
    if (older.length < line.permits) return;
    await departures(client, { older, permits: line.permits, from: revision + 1n, ahead: line.ahead }, bounds);
  }
}

/** One look tells both: that one's own key is there, and who is ahead of it. */
async function look(
  client: EtcdClient,
  claim: Claim,
  { ahead, permits }: Line,
  bounds: Bounds,
): Promise<{ older: readonly Key[]; revision: bigint }> {
  const own = op.get(claim.keyBytes, { keysOnly: true });
  const before = op.get(ahead, {
    keysOnly: true,
    createRevision: { max: claim.fencingToken - 1n },
    sort: { by: "create", order: "desc" },
    // Of a line for one, the next one ahead is all there is to wait for; who leaves elsewhere is seen at the next look.
    ...(permits === 1 ? { limit: 1 } : {}),
  });
  const result = await bounds.persist((options) =>
    client.txn({ then: [own, before] }, { ...options, retry: "idempotent" }),
  );
  const [there, older] = result.results as [RangeResult<string>, RangeResult<string>];
  if (there.kvs[0]?.createRevision !== claim.fencingToken) claim.lose("deleted");
  return { older: older.kvs.map(({ keyBytes }) => keyBytes), revision: result.header.revision };
}

/** Until so many have left that it may be one's turn. A gap in the history of the store ends the wait too. */
async function departures(
  client: EtcdClient,
  wait: { readonly older: readonly Key[]; readonly permits: number; readonly from: bigint; readonly ahead: KeyRange },
  bounds: Bounds,
): Promise<void> {
  const { permits, from } = wait;
  const staying = new Set(wait.older.map(identityOf));
  const [next] = wait.older;
  const range = permits === 1 && next !== undefined ? next : wait.ahead;
  const watch = client.watch(range, { from, only: "delete", signal: bounds.signal });
  try {
    for await (const { events } of watch) {
      for (const event of events) if (event.type === "delete") staying.delete(identityOf(event.keyBytes));
      if (staying.size < permits) return;
    }
  } catch (error) {
    bounds.signal.throwIfAborted();
    if (!isEtcdError(error, "Compacted")) throw error;
  } finally {
    await watch.close();
  }
}
