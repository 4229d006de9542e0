/**
 * A key of one's own under a lease, from the moment it is put: a place in a line, and later what is held. It is watched,
 * so that its holder learns when somebody deletes it.
 */
// oxlint-disable unicorn/no-thenable -- etcd's word for a branch of a transaction; an array is no thenable
import {
  type Bytes,
  type CallOptions,
  type Compare,
  cmp,
  type EtcdClient,
  EtcdError,
  formatId,
  isEtcdError,
  type Key,
  type Lease,
  op,
} from "../index.js";
import { type Bounds, whenAborted } from "./bounds.js";
import { bytesOf, textOf } from "./keys.js";
import { LockLostError, type LockLostReason } from "./lock-lost.js";
import type { Session } from "./session.js";
import type { EndTurn } from "./turns.js";
import type { Held } from "./types.js";

/** Time to take back what was put in line, for one who has given up waiting. */
const withdrawMs = 3_000;

export interface ClaimParts {
  readonly client: EtcdClient;
  readonly session: Session;
  readonly key: Key;
  /** Ends the turn among those who share the lease, if turns were taken. */
  readonly endTurn?: EndTurn | undefined;
}

export class Claim implements Held {
  readonly keyBytes: Bytes;
  /** 0n until the key is there. */
  fencingToken = 0n;
  protected readonly parts: ClaimParts;
  private readonly controller = new AbortController();
  private readonly watchStop = new AbortController();
  private watching: Promise<void> = Promise.resolve();
  private unlink: () => void = () => {};
  private releasing: Promise<void> | undefined;
  /** Somebody else's key has the name of ours. */
  private foreign = false;

  constructor(parts: ClaimParts) {
    this.parts = parts;
    this.keyBytes = bytesOf(parts.key);
  }

  get key(): string {
    return textOf(this.parts.key);
  }

  get lease(): Lease {
    return this.parts.session.lease;
  }

  /** Asks the lease: after this process was suspended it knows of its end before anybody was told. */
  get signal(): AbortSignal {
    const { signal } = this.lease;
    if (signal.aborted && this.fencingToken !== 0n) this.lose("lease", signal.reason);
    return this.controller.signal;
  }

  guard(): Compare {
    return cmp.createRevision(this.parts.key).equal(this.fencingToken);
  }

  /**
   * Puts the key unless it is there already under this lease, where a lost answer or a failed release has left it; the
   * conditions must hold for a put. Returns the value that is there, undefined if a condition failed.
   */
  async enter(value: string, bounds: Bounds, conditions: readonly Compare[] = []): Promise<string | undefined> {
    const { client, key } = this.parts;
    const spec = {
      if: [cmp.absent(key), ...conditions],
      then: [op.put(key, value, { lease: this.lease })],
      else: [op.get(key)],
    } as const;
    const result = await bounds.persist((options) => client.txn(spec, options));
    if (result.succeeded) return this.entered(result.header.revision, result.header.revision, value);
    const [there] = result.results[0].kvs;
    if (there === undefined) return undefined;
    if (there.lease === this.lease.id) return this.entered(there.createRevision, result.header.revision, there.value);
    this.foreign = true;
    throw new EtcdError(`${this.key} is there, and not under lease ${formatId(this.lease.id)}`, {
      code: "Conflict",
      grpcStatus: 0,
      outcome: "not-applied",
    });
  }

  lose(reason: LockLostReason, cause?: unknown): void {
    if (this.controller.signal.aborted) return;
    this.unlink();
    this.watchStop.abort();
    this.controller.abort(new LockLostError(this, reason, cause));
  }

  release(options: CallOptions = {}): Promise<void> {
    this.releasing ??= this.releaseOnce(options);
    return this.releasing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** For one who gives up before he holds it: leaves nothing behind, also if nobody knows whether the key was put. */
  async withdraw(): Promise<void> {
    this.lose("released");
    const { client, key, session } = this.parts;
    const options = { timeoutMs: withdrawMs };
    try {
      if (session.ownership === "shared" && !session.lease.signal.aborted && !this.foreign) {
        await client.delete(key, { ...options, retry: "idempotent" });
      }
    } finally {
      // A key that stays is taken over by whoever has the next turn.
      await this.end(options);
    }
  }

  /** If the key was gone already, that is why it is not held any more. */
  private async releaseOnce(options: CallOptions): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      if (!this.signal.aborted) await this.remove(options);
    } catch (error) {
      failure = { error };
    }
    this.lose("released");
    await this.end(options);
    // With a session of one's own, its end has taken the key along.
    if (failure !== undefined && this.parts.session.ownership === "shared") throw failure.error;
  }

  /** The key is there since `createRevision`, as far as `revision` tells. */
  private entered(createRevision: bigint, revision: bigint, value: string): string {
    this.fencingToken = createRevision;
    this.unlink = whenAborted(this.lease.signal, () => this.lose("lease", this.lease.signal.reason));
    this.watching = this.watch(revision + 1n);
    return value;
  }

  private async remove(options: CallOptions): Promise<void> {
    const { client, key, session } = this.parts;
    this.watchStop.abort();
    try {
      const { succeeded } = await client.txn({ if: [this.guard()], then: [op.delete(key)] }, options);
      if (!succeeded) this.lose("deleted");
    } catch (error) {
      if (!isEtcdError(error) || error.outcome !== "unknown" || session.ownership === "own") throw error;
      await client.delete(key, { ...options, retry: "idempotent" });
    }
  }

  /** A session of one's own goes with what was held, and everything that may still be on its way with it. */
  private async end(options: CallOptions): Promise<void> {
    const { session, endTurn } = this.parts;
    this.watchStop.abort();
    await this.watching;
    try {
      if (session.ownership === "own") await endLease(session.lease, options);
    } finally {
      endTurn?.();
    }
  }

  private async watch(from: bigint): Promise<void> {
    const { signal } = this.watchStop;
    try {
      let next: bigint | undefined = from;
      while (next !== undefined) next = await this.watchFrom(next);
    } catch (error) {
      if (!signal.aborted) this.lose("unwatched", error);
    }
  }

  /** Where to go on watching; undefined when the key is gone or nobody wants to know. */
  private async watchFrom(from: bigint): Promise<bigint | undefined> {
    const { client, key } = this.parts;
    const { signal } = this.watchStop;
    const watch = client.watch(key, { from, only: "delete", signal });
    try {
      for await (const { events } of watch) {
        if (events.length === 0) continue;
        this.lose("deleted");
        break;
      }
      return undefined;
    } catch (error) {
      if (signal.aborted || !isEtcdError(error, "Compacted")) throw error;
    } finally {
      await watch.close();
    }
    const { kvs, header } = await client.list(key, { signal, timeoutMs: Number.POSITIVE_INFINITY });
    if (kvs[0]?.createRevision === this.fencingToken) return header.revision + 1n;
    this.lose("deleted");
    return undefined;
  }
}

/** One that is gone already needs nothing. One that cannot be revoked is not renewed any more. */
async function endLease(lease: Lease, options: CallOptions): Promise<void> {
  if (lease.signal.aborted) return;
  lease.release();
  try {
    await lease.revoke({ ...options, retry: "idempotent" });
  } catch (error) {
    if (!isEtcdError(error, "LeaseNotFound") && !isEtcdError(error, "LeaseLost")) throw error;
  }
}
