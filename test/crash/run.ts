/** The kill -9 loop: start, write, kill, start again, hold what comes back against everything that was promised. */
import { setTimeout as delay } from "node:timers/promises";
import { Member, type Program } from "../support/member.js";
import { type RawClient, rawClient } from "../support/raw-client.js";
import { compareKeys, firstRevision, Ledger, replay } from "./history.js";
import { compactedBelow, keepWatching, keepWriting, type Life, readHistory, readKeys } from "./load.js";
import { type CyclePlan, Dice, planCycle, Writer } from "./plan.js";

export interface CrashRun {
  readonly program: Program;
  readonly seed: number;
  readonly cycles: number;
  readonly flags?: readonly string[];
  /** Done to the member's directory while it is dead, after each kill; for showing that the loop notices. */
  readonly whileDead?: (directory: string, cycle: number) => Promise<void>;
}

/** What a run did, for a line in the test's output. */
export interface CrashReport {
  readonly kills: number;
  readonly revisions: number;
  readonly slowestStartMs: number;
}

const writerCount = 4;

/** Runs all cycles; rejects with everything that was wrong after the first restart that shows anything wrong. */
export async function runCrashes({ program, seed, cycles, flags = [], whileDead }: CrashRun): Promise<CrashReport> {
  await using member = await Member.create(program, flags);
  const loop = new CrashLoop(member, new Dice(seed));
  let slowestStartMs = await member.start();
  for (let cycle = 1; cycle <= cycles; cycle++) {
    try {
      await loop.live();
      await whileDead?.(member.directory, cycle);
      slowestStartMs = Math.max(slowestStartMs, await loop.rise());
      await loop.verify();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`cycle ${cycle}: ${why}\nThe member's log ends:\n${lastLines(member.log)}`, { cause: error });
    }
  }
  return { kills: loop.kills, revisions: loop.revision, slowestStartMs };
}

function lastLines(log: string): string {
  return log.trimEnd().split("\n").slice(-15).join("\n");
}

/** The hash of everything up to a revision: must be the same in the next life, unless a compaction came between. */
interface Fingerprint {
  readonly revision: number;
  readonly hash: number;
  readonly compacted: number;
}

/** A request whose outcome the kill may have left open. */
interface Upkeep<T> {
  readonly value: T;
  acknowledged: boolean;
}

class CrashLoop {
  readonly #member: Member;
  readonly #dice: Dice;
  readonly #ledger = new Ledger();
  readonly #writers: readonly Writer[];
  #plan: CyclePlan;
  #keys = new Set<string>();
  #leases: Upkeep<bigint>[] = [];
  #compaction: Upkeep<number> | undefined;
  #compacted = 0;
  /** Where the watch that lives over all kills goes on. */
  #watchFrom = firstRevision;
  #term = 0n;
  #identity: string | undefined;
  #fingerprint: Fingerprint | undefined;
  /** Revision of the store as of the last verification. */
  revision = firstRevision - 1;
  kills = 0;

  constructor(member: Member, dice: Dice) {
    this.#member = member;
    this.#dice = dice;
    this.#plan = planCycle(dice);
    this.#writers = Array.from({ length: writerCount }, (_, at) => new Writer(`w${at}`, new Dice(dice.below(2 ** 31))));
  }

  /** One life: writers, a watch and upkeep, until enough writes are acknowledged; then kill -9. */
  async live(): Promise<void> {
    this.#plan = planCycle(this.#dice);
    const client = rawClient(this.#member.endpoint);
    const { killAfterAcks, killDelayMs } = this.#plan;
    const shared = { client, ledger: this.#ledger, keys: this.#keys, dying: false };
    try {
      let life: Life = { ...shared, acknowledged: () => undefined };
      const enough = new Promise<void>((resolve) => {
        let acks = 0;
        life = Object.assign(shared, { acknowledged: () => void (++acks === killAfterAcks && resolve()) });
      });
      const writing = this.#writers.map((writer) => keepWriting(writer, life));
      const all = Promise.all([keepWatching(this.#watchFrom, life), this.#upkeep(life), ...writing]);
      await Promise.race([enough, all]);
      await delay(killDelayMs);
      life.dying = true;
      await this.#kill();
      [this.#watchFrom] = await all;
    } finally {
      client.close();
    }
  }

  /** Starts the member again, sometimes after killing it while it starts. Resolves to how long the start took. */
  async rise(): Promise<number> {
    const { killAgainAfterMs } = this.#plan;
    if (killAgainAfterMs !== undefined) {
      // Killed before it was ready or just after: both are what we want.
      const starting = this.#member.start().catch(() => undefined);
      await delay(killAgainAfterMs);
      await this.#kill();
      await starting;
    }
    return this.#member.start();
  }

  /** Rejects with everything that is not as it was promised. */
  async verify(): Promise<void> {
    const client = rawClient(this.#member.endpoint);
    try {
      const { revision, keys } = await readKeys(client);
      const { told } = this.#ledger;
      const wrong = revision < told ? [`the revision went back from ${told} to ${revision}`] : [];
      wrong.push(...(await this.#checkIdentity(client)), ...(await this.#checkCompaction(client)));
      const from = Math.max(firstRevision, this.#compacted + 1);
      const delivered = revision < from ? [] : await readHistory(client, { from, to: revision });
      wrong.push(...this.#ledger.settle(from, delivered), ...compareKeys(replay(this.#ledger.history), keys));
      wrong.push(...(await this.#checkLeases(client)), ...(await this.#checkHash(client, revision)));
      if (wrong.length > 0) throw new Error(wrong.slice(0, 20).join("\n"));
      this.revision = revision;
      this.#keys = new Set(keys.keys());
    } finally {
      client.close();
    }
  }

  async #kill(): Promise<void> {
    this.kills++;
    await this.#member.end("SIGKILL");
  }

  /** Leases, compaction and defragmentation in the middle of the writes. */
  async #upkeep(life: Life): Promise<void> {
    try {
      if (this.#plan.grantLease) {
        const lease = { value: BigInt(1 + this.#dice.below(2 ** 31)), acknowledged: false };
        this.#leases.push(lease);
        await life.client.leaseGrant({ ID: lease.value, TTL: 100_000n });
        lease.acknowledged = true;
      }
      if (this.#plan.compact && this.revision > this.#compacted + 1) {
        const span = this.revision - this.#compacted;
        this.#compaction = { value: this.#compacted + 1 + this.#dice.below(span), acknowledged: false };
        await life.client.compact({ revision: BigInt(this.#compaction.value) });
        this.#compaction.acknowledged = true;
      }
      if (this.#plan.defragment) await life.client.defragment();
    } catch (error) {
      if (!life.dying) throw new Error("upkeep failed although nobody killed the member", { cause: error });
    }
  }

  async #checkIdentity(client: RawClient): Promise<string[]> {
    const { header } = await client.status();
    const term = header?.raftTerm ?? 0n;
    const identity = `${header?.clusterId}/${header?.memberId}`;
    const wrong = term < this.#term ? [`the term went back from ${this.#term} to ${term}`] : [];
    if (identity !== (this.#identity ?? identity)) wrong.push(`the member was ${this.#identity} and is ${identity}`);
    this.#term = term;
    this.#identity = identity;
    return wrong;
  }

  async #checkCompaction(client: RawClient): Promise<string[]> {
    if (this.#compaction === undefined) return [];
    const { value, acknowledged } = this.#compaction;
    this.#compaction = undefined;
    const found = await compactedBelow(client);
    const possible = acknowledged ? [value] : [value, this.#compacted];
    const wrong = possible.includes(found) ? [] : [`compacted at ${found}, expected ${possible.join(" or ")}`];
    this.#compacted = found;
    return wrong;
  }

  async #checkLeases(client: RawClient): Promise<string[]> {
    const { leases } = await client.leaseLeases();
    const found = new Set(leases.map(({ ID }) => ID));
    const lost = this.#leases.filter(({ value, acknowledged }) => acknowledged && !found.has(value));
    const strays = [...found].filter((id) => !this.#leases.some(({ value }) => value === id));
    this.#leases = this.#leases.filter(({ value }) => found.has(value));
    for (const lease of this.#leases) lease.acknowledged = true;
    return [...lost.map(({ value }) => `lost: lease ${value}`), ...strays.map((id) => `invented: lease ${id}`)];
  }

  async #checkHash(client: RawClient, revision: number): Promise<string[]> {
    const before = this.#fingerprint;
    const wrong: string[] = [];
    if (before !== undefined && before.compacted === this.#compacted) {
      const { hash } = await client.hashKv({ revision: BigInt(before.revision) });
      if (hash !== before.hash) wrong.push(`the hash of revision ${before.revision} was ${before.hash} and is ${hash}`);
    }
    const { hash } = await client.hashKv({ revision: BigInt(revision) });
    this.#fingerprint = { revision, hash, compacted: this.#compacted };
    return wrong;
  }
}
