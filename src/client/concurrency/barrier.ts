/**
 * Double barriers: everybody waits until so many are there, works, and waits until all are done. `name/waiters/` has one
 * key for each. `name/ready` holds one number: whoever came up to that create revision has been let in. It only grows,
 * so what it says is never out of date: after an outage, a crash or a compaction it is simply read again, and those who
 * come for the next round are told from those of the last one by when they came.
 */
// oxlint-disable unicorn/no-thenable -- etcd's word for a branch of a transaction; an array is no thenable
import {
  cmp,
  type EtcdClient,
  formatId,
  isEtcdError,
  type KeyRange,
  type KeyValue,
  op,
  type RangeResult,
} from "../index.js";
import { acquire } from "./acquire.js";
import { Bounds, type Patience } from "./bounds.js";
import { Claim } from "./claim.js";
import { allUnder, keyUnder, textOf } from "./keys.js";
import type { LockOptions, Name } from "./types.js";

/** One who has been let in. Disposing leaves without waiting for the others. */
export interface Entered extends AsyncDisposable {
  /** Aborts with a LockLostError when the others cannot count on this process any more: they go on without it. */
  readonly signal: AbortSignal;
  /** Resolves when everybody who was let in has left, or is gone. */
  leave(options?: Patience): Promise<void>;
}

/** Waits until `parties` are there, in groups of that size in the order of their coming. */
export async function barrier(
  client: EtcdClient,
  name: Name,
  parties: number,
  options: LockOptions = {},
): Promise<Entered> {
  if (!Number.isSafeInteger(parties) || parties < 1)
    throw new RangeError(`a barrier is for one or more, not ${parties}`);
  const waiters = keyUnder(name, "waiters");
  const unique = crypto.randomUUID();
  const place: Place = { client, name, parties };
  let admitted = 0n;
  const claim = await acquire(
    client,
    {
      what: `barrier ${textOf(name)}`,
      value: "",
      keyed: "claim",
      keyFor: (lease) => keyUnder(waiters, `${formatId(lease.id)}-${unique}`),
      make: (parts) => new Claim(parts),
      wait: async (own, bounds) => {
        admitted = await admission(place, own, bounds);
      },
    },
    options,
  );
  return new Party(place, claim, admitted);
}

interface Place {
  readonly client: EtcdClient;
  readonly name: Name;
  readonly parties: number;
}

/** Until the number under `ready` has come up to one's own revision; whoever sees that a group is full raises it. */
async function admission(place: Place, claim: Claim, bounds: Bounds): Promise<bigint> {
  for (;;) {
    const { ready, waiting, revision, own } = await look(place, claim, bounds);
    const admitted = BigInt(ready?.value ?? "0");
    if (admitted >= claim.fencingToken) return admitted;
    if (!own) claim.lose("deleted");
    bounds.signal.throwIfAborted();
    const group = waiting.filter(({ createRevision }) => createRevision > admitted).slice(0, place.parties);
    const last = group.at(-1);
    if (group.length === place.parties && last !== undefined) await admit(place, ready, last, bounds);
    else await change(place.client, allUnder(place.name), revision + 1n, bounds);
  }
}

async function look({ client, name }: Place, claim: Claim, bounds: Bounds) {
  const then = [
    op.get(keyUnder(name, "ready")),
    op.get(allUnder(keyUnder(name, "waiters")), { keysOnly: true, sort: { by: "create", order: "asc" } }),
  ] as const;
  const { results, header } = await bounds.persist((call) => client.txn({ then }, { ...call, retry: "idempotent" }));
  const [ready, { kvs: waiting }] = results as [RangeResult<string>, RangeResult<string>];
  const own = waiting.some(({ createRevision }) => createRevision === claim.fencingToken);
  return { ready: ready.kvs[0], waiting, own, revision: header.revision };
}

/** Only if it is still as it was seen, and the last one of the group is there; if not, the next look tells. */
async function admit(
  { client, name }: Place,
  seen: KeyValue<string> | undefined,
  last: KeyValue<string>,
  bounds: Bounds,
): Promise<void> {
  const ready = keyUnder(name, "ready");
  const spec = {
    if: [
      cmp.modRevision(ready).equal(seen?.modRevision ?? 0n),
      cmp.createRevision(last.keyBytes).equal(last.createRevision),
    ],
    then: [op.put(ready, String(last.createRevision))],
  };
  await bounds.persist((call) => client.txn(spec, call));
}

/** Until something changes in the range, or may have. */
async function change(client: EtcdClient, range: KeyRange, from: bigint, bounds: Bounds): Promise<void> {
  const watch = client.watch(range, { from, signal: bounds.signal });
  try {
    for await (const { events } of watch) if (events.length > 0) return;
  } catch (error) {
    bounds.signal.throwIfAborted();
    if (!isEtcdError(error, "Compacted")) throw error;
  } finally {
    await watch.close();
  }
}

class Party implements Entered {
  private readonly place: Place;
  private readonly claim: Claim;
  private readonly admitted: bigint;

  constructor(place: Place, claim: Claim, admitted: bigint) {
    this.place = place;
    this.claim = claim;
    this.admitted = admitted;
  }

  get signal(): AbortSignal {
    return this.claim.signal;
  }

  async leave(options: Patience = {}): Promise<void> {
    const { client, name } = this.place;
    await this.claim.release();
    const range = allUnder(keyUnder(name, "waiters"));
    const bounds = new Bounds(`barrier ${textOf(name)}`, options);
    try {
      for (;;) {
        const inside = { limit: 1, keysOnly: true, createRevision: { max: this.admitted } } as const;
        const { kvs, header } = await bounds.persist((call) => client.list(range, { ...inside, ...call }));
        if (kvs.length === 0) return;
        await change(client, range, header.revision + 1n, bounds);
      }
    } finally {
      bounds.dispose();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.claim.release();
  }
}
