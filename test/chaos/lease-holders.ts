/** Clients that hold leases with keys on them, renew them for a while at any member, and then let them go. */
import { setTimeout as delay } from "node:timers/promises";
import type { Dice } from "../crash/plan.js";
import { type KeepAliveStream, type RawClient, rawClient } from "../support/raw-client.js";
import type { Stage } from "./clients.js";

/** Keys of leases begin with this and go on with the lease's id in decimal. */
export const leasePrefix = "lease/";
/** Each lease has so many keys, which must go all at once. */
export const keysPerLease = 2;

/** What a holder did with one lease; times by the clock of the run. */
export interface HeldLease {
  readonly id: bigint;
  readonly ttlSeconds: number;
  /** When the grant that succeeded was asked for. */
  readonly grantedMs: number;
  /** When renewals that were answered with life were asked for. */
  readonly renewals: { readonly askedMs: number; readonly ttlSeconds: number }[];
  /** When its holder asked to revoke it. */
  revokedMs: number | undefined;
}

interface HolderOptions {
  readonly endpoints: readonly string[];
  readonly dice: Dice;
  readonly stage: Stage;
  /** Where leases are written down. */
  readonly leases: HeldLease[];
}

const callTimeoutMs = 2_000;
const renewalWaitMs = 1_000;
const encoder = new TextEncoder();

/** Lease after lease until the stage is over. */
export async function keepHolding(options: HolderOptions): Promise<void> {
  const { endpoints, dice, stage, leases } = options;
  while (!stage.stopped) {
    const client = rawClient(endpoints[dice.below(endpoints.length)] ?? "");
    try {
      const lease = await grant(client, dice);
      leases.push(lease);
      await attach(client, lease);
      await renew(lease, options);
      if (dice.below(3) === 0) {
        lease.revokedMs = performance.now();
        await client.leaseRevoke({ ID: lease.id }, { timeoutMs: callTimeoutMs });
      }
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      await delay(100);
    } finally {
      client.close();
    }
  }
}

async function grant(client: RawClient, dice: Dice): Promise<HeldLease> {
  const ttlSeconds = 2 + dice.below(3);
  const grantedMs = performance.now();
  const id = BigInt(1 + dice.below(2 ** 31));
  const granted = await client.leaseGrant({ ID: id, TTL: BigInt(ttlSeconds) }, { timeoutMs: callTimeoutMs });
  return { id, ttlSeconds: Number(granted.TTL), grantedMs, renewals: [], revokedMs: undefined };
}

async function attach(client: RawClient, { id }: HeldLease): Promise<void> {
  const flags = { lease: id, prevKv: false, ignoreValue: false, ignoreLease: false };
  const puts = Array.from({ length: keysPerLease }, (_, number) => {
    const key = encoder.encode(`${leasePrefix}${id}/${number}`);
    return { request: { $case: "requestPut" as const, value: { key, value: key, ...flags } } };
  });
  await client.txn({ success: puts }, { timeoutMs: callTimeoutMs });
}

/** Renews for some seconds, at this member and at that, until the time is over or the lease is said to be dead. */
async function renew(lease: HeldLease, { endpoints, dice, stage }: HolderOptions): Promise<void> {
  const untilMs = performance.now() + dice.below(6_000);
  while (performance.now() < untilMs && !stage.stopped) {
    const client = rawClient(endpoints[dice.below(endpoints.length)] ?? "");
    const stream = client.leaseKeepAlive();
    try {
      for (let round = 0; round < 4 && performance.now() < untilMs && !stage.stopped; round++) {
        if (!(await renewOnce(lease, stream))) return;
        await delay(100 + dice.below(600));
      }
    } catch {
      // Silence or a broken stream: another member is tried.
    } finally {
      stream.cancel();
      client.close();
    }
  }
}

/** False if the lease is said to be dead. Rejects if nothing is said. */
async function renewOnce(lease: HeldLease, stream: KeepAliveStream): Promise<boolean> {
  const askedMs = performance.now();
  stream.send({ ID: lease.id });
  const { TTL } = await stream.next(renewalWaitMs);
  if (TTL <= 0n) return false;
  lease.renewals.push({ askedMs, ttlSeconds: Number(TTL) });
  return true;
}
