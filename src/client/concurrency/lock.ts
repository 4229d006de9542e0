/**
 * Locks, with the keys of Go's Mutex: `name/<lease id in hex>`. etcdctl's lock and the server's Lock service stand in the
 * same line. A lock is held as long as its lease lives, which no clock can promise; see `guard()` of what is held.
 */
// oxlint-disable unicorn/no-thenable -- etcd's word for a branch of a transaction; an array is no thenable
import { cmp, type EtcdClient, formatId, type Lease, op } from "../index.js";
import { acquire, giveBack, plainClaim, type Wanted } from "./acquire.js";
import { Bounds } from "./bounds.js";
import { Claim } from "./claim.js";
import { allUnder, keyUnder, textOf } from "./keys.js";
import { waitInLine } from "./line.js";
import { LockLostError } from "./lock-lost.js";
import { openSession } from "./session.js";
import { type EndTurn, tryTurn } from "./turns.js";
import type { Held, LockOptions, Name } from "./types.js";

function lockWanted(client: EtcdClient, name: Name): Wanted<Claim> {
  return {
    what: `lock ${textOf(name)}`,
    wait: (claim, bounds) => waitInLine(client, claim, { ahead: allUnder(name), permits: 1 }, bounds),
    value: "",
    keyed: "lease",
    keyFor: (lease: Lease) => keyUnder(name, formatId(lease.id)),
    make: plainClaim,
  };
}

/** Waits until the lock is held: in the order of asking, across processes and languages. */
export function lock(client: EtcdClient, name: Name, options: LockOptions = {}): Promise<Held> {
  return acquire(client, lockWanted(client, name), options);
}

/** The lock if nobody holds it or waits for it; undefined otherwise, without having stood in line. */
export async function tryLock(client: EtcdClient, name: Name, options: LockOptions = {}): Promise<Held | undefined> {
  const wanted = lockWanted(client, name);
  const bounds = new Bounds(wanted.what, options);
  try {
    // Looking is cheaper than making a session in vain. A shared one may have left its key behind: that is no one else's.
    if (options.lease === undefined && (await isTaken(client, name, bounds))) return undefined;
    const session = await openSession(client, options, bounds);
    bounds.until(session.lease.signal);
    const key = wanted.keyFor(session.lease);
    const endTurn = session.ownership === "own" ? noTurn : tryTurn(session.lease, key);
    if (endTurn === undefined) return undefined;
    const claim = new Claim({ client, session, key, endTurn });
    const held = await giveBack(claim, async () => {
      const found = await claim.enter("", bounds, [cmp.createRevision(allUnder(name)).equal(0n)]);
      if (found === undefined) return false;
      bounds.until(claim.signal);
      return isFirst(client, claim, name, bounds);
    });
    if (held) return claim;
    await claim.withdraw();
    return undefined;
  } finally {
    bounds.dispose();
  }
}

const noTurn: EndTurn = () => {};

async function isTaken(client: EtcdClient, name: Name, bounds: Bounds): Promise<boolean> {
  const { kvs } = await bounds.call((call) => client.list(allUnder(name), { ...call, limit: 1, keysOnly: true }));
  return kvs.length > 0;
}

/** A key that was there before may stand behind others. */
async function isFirst(client: EtcdClient, claim: Claim, name: Name, bounds: Bounds): Promise<boolean> {
  const oldest = op.get(allUnder(name), { limit: 1, keysOnly: true, sort: { by: "create" } });
  const result = await bounds.persist((call) => client.txn({ then: [oldest] }, { ...call, retry: "idempotent" }));
  return result.results[0]?.kvs[0]?.createRevision === claim.fencingToken;
}

/**
 * Does the work while the lock is held, and releases it. The work gets the lock: its signal, for whatever it calls, and
 * its guard, for its transactions. If the lock was lost while the work ran, rejects with a LockLostError, whatever the
 * work came to; its failure is then the cause.
 */
export async function withLock<T>(
  client: EtcdClient,
  name: Name,
  work: (held: Held) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const held = await lock(client, name, options);
  const outcome = await settled(() => work(held));
  const early = lossOf(held);
  const released = await settled(() => held.release());
  // A release that finds the key gone tells of a loss that was not noticed before.
  const loss = early ?? lossOf(held);
  if (loss !== undefined) throw new LockLostError(held, loss.reason, "error" in outcome ? outcome.error : loss.cause);
  if ("error" in outcome) throw outcome.error;
  if ("error" in released) throw released.error;
  return outcome.value;
}

async function settled<T>(work: () => Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

/** Undefined also if the work itself released it. */
function lossOf({ signal }: Held): LockLostError | undefined {
  const reason: unknown = signal.reason;
  return reason instanceof LockLostError && reason.reason !== "released" ? reason : undefined;
}
