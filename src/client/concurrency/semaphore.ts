/** Semaphores: a line with several at its head, in the order of asking. Each permit has a key of its own. */
import { type EtcdClient, formatId } from "../index.js";
import { acquire, plainClaim } from "./acquire.js";
import { allUnder, keyUnder, textOf } from "./keys.js";
import { waitInLine } from "./line.js";
import type { Held, LockOptions, Name } from "./types.js";

/**
 * Waits for one of `permits` permits. Everyone names the number for himself: who names a smaller one waits until fewer
 * are out. Not in one line with `lock`, though a semaphore of one under the name of a lock excludes it.
 */
export function semaphore(client: EtcdClient, name: Name, permits: number, options: LockOptions = {}): Promise<Held> {
  if (!Number.isSafeInteger(permits) || permits < 1) {
    return Promise.reject(new RangeError(`a semaphore has one permit or more, not ${permits}`));
  }
  const unique = crypto.randomUUID();
  return acquire(
    client,
    {
      what: `semaphore ${textOf(name)}`,
      wait: (claim, bounds) => waitInLine(client, claim, { ahead: allUnder(name), permits }, bounds),
      value: "",
      keyed: "claim",
      keyFor: (lease) => keyUnder(name, `${formatId(lease.id)}-${unique}`),
      make: plainClaim,
    },
    options,
  );
}
