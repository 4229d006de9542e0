/**
 * The judge of a contest for one lock or election: it sees every key come and go, takes down who says to hold it, and
 * finds out afterwards whether two did at once, whoever they were.
 */
import { expect } from "vitest";
import { cmp, type EtcdClient, op, type Watch } from "../../../src/client/index.js";
import { type LockClaim, type LockHistory, LockValidator } from "../../check/lock-validator.js";

interface Change {
  readonly revision: number;
  /** Undefined for a delete. */
  readonly createRevision: number | undefined;
}

/** Random numbers that a seed repeats: below `limit`. */
export function seededRandom(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

export class Contest implements AsyncDisposable {
  readonly claims: LockClaim[] = [];
  private readonly client: EtcdClient;
  private readonly name: string;
  private readonly watch: Watch<string>;
  private readonly changes = new Map<string, Change[]>();
  private readonly writes: { readonly claim: LockClaim; readonly revision: number }[] = [];
  private readonly reading: Promise<void>;

  /** From now on; the client is to see the server without a fault. */
  constructor(client: EtcdClient, name: string) {
    this.client = client;
    this.name = name;
    this.watch = client.watch({ prefix: `${name}/` });
    this.reading = this.read();
  }

  async begin(): Promise<void> {
    await this.watch.started;
  }

  /** Somebody says that he holds it. A write under his guard is the proof; without one, he has lost it by now. */
  async claim(key: string, createRevision: bigint, client = this.client): Promise<boolean> {
    const guard = cmp.createRevision(key).equal(createRevision);
    const result = await client.txn({ if: [guard], then: [op.put(this.fence, key)] });
    if (!result.succeeded) return false;
    const claim = { key, createRevision: Number(createRevision), revision: Number(result.header.revision) };
    this.claims.push(claim);
    this.writes.push({ claim, revision: claim.revision });
    return true;
  }

  /** Throws what went wrong, and if nothing was there to go wrong. */
  async judge(claimsMin: number): Promise<void> {
    await this.watch.requestProgress();
    const validator = new LockValidator(this.history(), `${this.name}/`);
    for (const claim of this.claims.toSorted((a, b) => a.revision - b.revision)) validator.claimed(claim);
    for (const { claim, revision } of this.writes.toSorted((a, b) => a.revision - b.revision)) {
      validator.fenced(claim, revision);
    }
    expect(validator.findings).toEqual([]);
    expect(this.claims.length).toBeGreaterThanOrEqual(claimsMin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watch.close();
    await this.reading;
  }

  private get fence(): string {
    return `fence of ${this.name}`;
  }

  private async read(): Promise<void> {
    for await (const event of this.watch.events()) {
      const put = event.type === "put";
      const key = put ? event.kv.key : event.key;
      const revision = Number(put ? event.kv.modRevision : event.modRevision);
      const changes = this.changes.get(key) ?? [];
      changes.push({ revision, createRevision: put ? Number(event.kv.createRevision) : undefined });
      this.changes.set(key, changes);
    }
  }

  private history(): LockHistory {
    const at = (key: string, revision: number) => {
      const last = (this.changes.get(key) ?? []).findLast((change) => change.revision <= revision);
      return last?.createRevision === undefined ? undefined : { key, createRevision: last.createRevision };
    };
    const alive = (_from: string, _rangeEnd: string, revision: number) =>
      [...this.changes.keys()].flatMap((key) => at(key, revision) ?? []);
    return { at, alive };
  }
}
