/**
 * Locks that many readers may hold, or one writer, with the prefixes of Go's RWMutex recipe: `name/read/` and
 * `name/write/`. Nobody overtakes: a reader waits for the writers before him, a writer for all before him.
 */
import { type EtcdClient, formatId } from "../index.js";
import { acquire, plainClaim } from "./acquire.js";
import { allUnder, keyUnder, textOf } from "./keys.js";
import { waitInLine } from "./line.js";
import type { Held, LockOptions, Name } from "./types.js";

/** Waits until no writer is before. */
export function readLock(client: EtcdClient, name: Name, options: LockOptions = {}): Promise<Held> {
  return enter(client, { name, side: "read" }, options);
}

/** Waits until nobody is before. */
export function writeLock(client: EtcdClient, name: Name, options: LockOptions = {}): Promise<Held> {
  return enter(client, { name, side: "write" }, options);
}

function enter(
  client: EtcdClient,
  { name, side }: { readonly name: Name; readonly side: "read" | "write" },
  options: LockOptions,
): Promise<Held> {
  const unique = crypto.randomUUID();
  return acquire(
    client,
    {
      what: `${side} lock ${textOf(name)}`,
      wait: (claim, bounds) =>
        waitInLine(
          client,
          claim,
          { ahead: side === "read" ? allUnder(keyUnder(name, "write")) : allUnder(name), permits: 1 },
          bounds,
        ),
      value: "",
      keyed: "claim",
      keyFor: (lease) => keyUnder(name, `${side}/${formatId(lease.id)}-${unique}`),
      make: plainClaim,
    },
    options,
  );
}
