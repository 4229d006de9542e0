/**
 * Elections, with the keys of Go's Election: `name/<lease id in hex>`, the value being what the candidate has to say.
 * etcdctl's elect and the server's Election service stand in the same line.
 */
// oxlint-disable unicorn/no-thenable -- etcd's word for a branch of a transaction; an array is no thenable
import {
  type CallOptions,
  cmp,
  type EtcdClient,
  formatId,
  isEtcdError,
  type KeyValue,
  op,
  type ReadOptions,
  type WatchBatch,
} from "../index.js";
import { acquire } from "./acquire.js";
import { Claim } from "./claim.js";
import { allUnder, identityOf, keyUnder, textOf } from "./keys.js";
import { waitInLine } from "./line.js";
import { LockLostError } from "./lock-lost.js";
import type { Leadership, LockOptions, Name } from "./types.js";

/** Waits to be the leader. Others see `value` as soon as the candidate leads. */
export function campaign(
  client: EtcdClient,
  election: Name,
  value: string,
  options: LockOptions = {},
): Promise<Leadership> {
  return acquire<LeadershipClaim>(
    client,
    {
      what: `campaign ${textOf(election)}`,
      wait: (claim, bounds) => waitInLine(client, claim, { ahead: allUnder(election), permits: 1 }, bounds),
      value,
      keyed: "lease",
      keyFor: (lease) => keyUnder(election, formatId(lease.id)),
      make: (parts) => new LeadershipClaim(parts),
      resume: (claim) => claim.proclaim(value),
    },
    options,
  );
}

/** The leader now: the oldest candidate. */
export function leader(
  client: EtcdClient,
  election: Name,
  options: ReadOptions = {},
): Promise<KeyValue<string> | undefined> {
  return client.first(allUnder(election), { ...options, by: "create" });
}

class LeadershipClaim extends Claim implements Leadership {
  /** Of the key, as far as is known here. */
  private modRevision: bigint | undefined;
  private last: Promise<void> = Promise.resolve();

  /** One at a time, each on top of the one before, so that an attempt that comes late cannot bring an old value back. */
  proclaim(value: string, options: CallOptions = {}): Promise<void> {
    const done = this.last.then(() => this.proclaimOnce(value, options));
    this.last = done.catch(() => undefined);
    return done;
  }

  private async proclaimOnce(value: string, options: CallOptions): Promise<void> {
    const { client, key } = this.parts;
    for (;;) {
      this.signal.throwIfAborted();
      const same = cmp.modRevision(key).equal(this.modRevision ?? this.fencingToken);
      const put = op.put(key, value, { lease: this.lease });
      const result = await client.txn({ if: [this.guard(), same], then: [put], else: [op.get(key)] }, options);
      if (result.succeeded) {
        this.modRevision = result.header.revision;
        return;
      }
      const [there] = result.results[0].kvs;
      if (there === undefined || there.createRevision !== this.fencingToken) {
        this.lose("deleted");
        throw new LockLostError(this, "deleted");
      }
      this.modRevision = there.modRevision;
    }
  }
}

/**
 * The leader as it is, then every change: another leader, another value, or undefined where nobody leads. None is left
 * out and none comes twice, except where the store was compacted while no server could be reached.
 */
export async function* observeLeader(
  client: EtcdClient,
  election: Name,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<KeyValue<string> | undefined> {
  let seen: KeyValue<string> | "nothing yet" | undefined = "nothing yet";
  for (;;) {
    const { kvs, header } = await client.list(allUnder(election), options);
    const candidates = new Map(kvs.map((kv) => [identityOf(kv.keyBytes), kv]));
    const now = oldest(candidates);
    if (seen === "nothing yet" || seen?.modRevision !== now?.modRevision) yield (seen = now);
    const watch = client.watch(allUnder(election), { ...options, from: header.revision + 1n });
    try {
      for await (const batch of watch) {
        for (const leading of leadersIn(candidates, batch)) {
          if (seen?.modRevision !== leading?.modRevision) yield (seen = leading);
        }
      }
      return;
    } catch (error) {
      if (!isEtcdError(error, "Compacted")) throw error;
    } finally {
      await watch.close();
    }
  }
}

/** Follows the candidates through a batch: who leads after each revision in it. */
function* leadersIn(
  candidates: Map<string, KeyValue<string>>,
  { events }: WatchBatch<string>,
): Generator<KeyValue<string> | undefined> {
  for (const [position, event] of events.entries()) {
    if (event.type === "put") candidates.set(identityOf(event.kv.keyBytes), event.kv);
    else candidates.delete(identityOf(event.keyBytes));
    const next = events[position + 1];
    if (next === undefined || revisionOf(next) !== revisionOf(event)) yield oldest(candidates);
  }
}

function revisionOf(event: WatchBatch<string>["events"][number]): bigint {
  return event.type === "put" ? event.kv.modRevision : event.modRevision;
}

function oldest(candidates: ReadonlyMap<string, KeyValue<string>>): KeyValue<string> | undefined {
  let found: KeyValue<string> | undefined;
  for (const kv of candidates.values()) {
    if (found === undefined || kv.createRevision < found.createRevision) found = kv;
  }
  return found;
}
