/** The way into a line and to its head, and out of it again for those who do not get there. */
import { type EtcdClient, EtcdError, isEtcdError, type Key, type Lease } from "../index.js";
import { Bounds } from "./bounds.js";
import { Claim, type ClaimParts } from "./claim.js";
import { openSession, type Session } from "./session.js";
import { turn } from "./turns.js";
import type { LockOptions } from "./types.js";

/** What is to be held. */
export interface Wanted<C extends Claim> {
  /** Begins the message of an error. */
  readonly what: string;
  readonly value: string;
  /** "lease": one key a lease, as Go's locks have it, so that those who share a lease take turns. "claim": one each. */
  readonly keyed: "lease" | "claim";
  keyFor(lease: Lease): Key;
  make(parts: ClaimParts): C;
  /** From when the key is there until it is held. Rejects with the reason of the bounds, which end with the claim. */
  wait(claim: C, bounds: Bounds): Promise<void>;
  /** What else is to be done when the key was there before, with another value. */
  readonly resume?: (claim: C) => Promise<void>;
}

export function plainClaim(parts: ClaimParts): Claim {
  return new Claim(parts);
}

/** Resolves when it is held. Whatever it rejects with, nothing is left in line, or the error says so. */
export async function acquire<C extends Claim>(
  client: EtcdClient,
  wanted: Wanted<C>,
  options: LockOptions,
): Promise<C> {
  const bounds = new Bounds(wanted.what, options);
  try {
    const session = await openSession(client, options, bounds);
    bounds.until(session.lease.signal);
    const claim = await newClaim(client, session, wanted, bounds);
    return await giveBack(claim, async () => {
      const found = await claim.enter(wanted.value, bounds);
      bounds.until(claim.signal);
      if (found !== undefined && found !== wanted.value) await wanted.resume?.(claim);
      await wanted.wait(claim, bounds);
      return claim;
    });
  } finally {
    bounds.dispose();
  }
}

/** Does what leads to holding the claim; if that fails, the claim is withdrawn. */
export async function giveBack<T>(claim: Claim, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await withdraw(claim, error);
    throw error;
  }
}

async function newClaim<C extends Claim>(
  client: EtcdClient,
  session: Session,
  wanted: Wanted<C>,
  bounds: Bounds,
): Promise<C> {
  const key = wanted.keyFor(session.lease);
  // A session of one's own is shared with nobody.
  const alone = wanted.keyed === "claim" || session.ownership === "own";
  return wanted.make({ client, session, key, endTurn: alone ? undefined : await turn(session.lease, key, bounds) });
}

/** Throws if it could not be done: the place in line then goes with the lease, and that is what the caller must know. */
async function withdraw(claim: Claim, why: unknown): Promise<void> {
  try {
    await claim.withdraw();
  } catch (error) {
    const { message, code, grpcStatus } = isEtcdError(why) ? why : otherError;
    throw new EtcdError(`${message}; its key stays until its lease runs out: ${String(error)}`, {
      code,
      grpcStatus,
      outcome: "unknown",
      cause: why,
    });
  }
}

const otherError = { message: "not acquired", code: "Other", grpcStatus: 0 } as const;
