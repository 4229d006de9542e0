/**
 * A client that takes a lock by the recipe of etcd's Go client: a lease, a key of its own under a prefix, and then it waits
 * until every key that is older is deleted. Some forget to renew, so that keys go while their owners wait.
 */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Compare_CompareResult as Result, Compare_CompareTarget as Target } from "../../../proto/gen/etcd/rpc.js";
import type { LeaseValidator } from "../../check/lease-validators.js";
import { endOf, type LockClaim, type LockValidator } from "../../check/lock-validator.js";
import type { RandomStream } from "../world/random.js";
import { Violation } from "../world/world.js";
import { call, type Reply } from "./call.js";
import type { ClientWorld } from "./kv-client.js";
import { anchorKey, putRequest, rangeRequest } from "./requests.js";
import { ClientWatchStream } from "./watch-stream.js";

/** All keys of the lock begin so. */
export const lockPrefix = "lock/one/";
const guardedKey = "guarded";
const byCreation = 2;
const oldestFirst = 1;
const newestFirst = 2;

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** A lease and the key that hangs on it. */
interface Session {
  readonly lease: bigint;
  readonly ttlSeconds: number;
  readonly key: string;
  /** Neither renewed nor waited for any more. */
  over: boolean;
}

export interface LockChecks {
  readonly leases: LeaseValidator;
  readonly locks: LockValidator;
}

export class LockClient {
  private readonly shared: ClientWorld;
  private readonly checks: LockChecks;
  private readonly random: RandomStream;
  private readonly name: string;
  private readonly firstId: bigint;
  private count = 0;
  private writes = 0;

  constructor(shared: ClientWorld, checks: LockChecks, number: number) {
    this.shared = shared;
    this.checks = checks;
    this.name = `k${number}`;
    this.random = shared.world.random(`locks ${number}`);
    this.firstId = BigInt(number + 1) << 48n;
  }

  async run(): Promise<void> {
    while (!this.shared.stopping()) {
      await this.shared.world.sleep(this.random.around(1500));
      const session = await this.grant();
      if (session === undefined) continue;
      const renewing = this.renew(session);
      const claim = await this.lock(session);
      if (claim !== undefined) await this.hold(session, claim);
      await this.unlock(session);
      session.over = true;
      await renewing;
    }
  }

  private ask<T>(what: string, work: Parameters<typeof call<T>>[2]): Promise<Reply<T>> {
    const { world, counts } = this.shared;
    const port = this.random.pick(this.shared.ports());
    counts.calls += 1;
    return call(port, { world, random: this.random, timeoutMs: 5000 }, work).then((reply) => {
      if (reply.kind === "lost") counts.lost += 1;
      if (reply.kind === "error") counts.failed += 1;
      world.note(`${this.name} ${what} ${reply.kind}`, this.count);
      return reply;
    });
  }

  /** Asks until somebody answers, or the session is over. For what may be done twice. */
  private async persist<T>(
    session: Session,
    what: string,
    work: Parameters<typeof call<T>>[2],
  ): Promise<T | undefined> {
    while (!session.over) {
      const reply = await this.ask(what, work);
      if (reply.kind === "ok") return reply.value;
      await this.shared.world.sleep(this.random.around(200));
    }
    return undefined;
  }

  private async grant(): Promise<Session | undefined> {
    this.count += 1;
    const lease = this.firstId + BigInt(this.count);
    const ttlSeconds = this.random.between(3, 8);
    const reply = await this.ask("grant", (services, context) =>
      services.lease.leaseGrant({ ID: lease, TTL: BigInt(ttlSeconds) }, context),
    );
    if (reply.kind !== "ok") return undefined;
    return { lease, ttlSeconds, key: `${lockPrefix}${lease.toString(16)}`, over: false };
  }

  /** Until the session is over, or its lease is gone, or, with some, until they forget about it. */
  private async renew(session: Session): Promise<void> {
    const { world } = this.shared;
    const { lease, ttlSeconds } = session;
    const renewals = this.random.chance(0.3) ? this.random.below(5) : 1000;
    for (let done = 0; done < renewals; done += 1) {
      await world.sleep((ttlSeconds * 1000) / 3);
      if (session.over || this.shared.stopping()) return;
      const askedMs = world.nowMs;
      const reply = await this.ask("renew", async (services, context) => {
        for await (const response of services.lease.leaseKeepAlive(only({ ID: lease }), context)) return response;
        return undefined;
      });
      if (reply.kind !== "ok") continue;
      const ttl = Number(reply.value?.TTL ?? 0n);
      this.checks.leases.renewed(lease, ttl, askedMs);
      if (ttl <= 0) return;
    }
    // It believes in its lease for a while; then it must give up.
    await world.sleep(3 * ttlSeconds * 1000);
    session.over = true;
  }

  /** Resolves once this client may take itself for the holder; undefined if the session ended before. */
  private async lock(session: Session): Promise<LockClaim | undefined> {
    const { key, lease } = session;
    const reply = await this.persist(session, "lock", (services, context) =>
      services.kv.txn(lockTxn(key, lease), context),
    );
    if (reply === undefined) return undefined;
    const createRevision = Number(reply.succeeded ? reply.header?.revision : pairsOf(reply, 0)[0]?.createRevision);
    const owner = pairsOf(reply, 1)[0];
    if (owner === undefined || Number(owner.createRevision) === createRevision)
      return this.claim({ key, createRevision, revision: Number(reply.header?.revision) });
    if (!(await this.waitForOlder(session, createRevision))) return undefined;
    // The lease may have run out meanwhile (Jepsen's finding of 2020: the lock did not look again).
    const own = await this.persist(session, "look again", (services, context) =>
      services.kv.range(rangeRequest(key), context),
    );
    if (own === undefined) return undefined;
    if (own.kvs.length === 0) {
      this.shared.world.tally("lock lost while waiting");
      return undefined;
    }
    return this.claim({ key, createRevision, revision: Number(own.header?.revision) });
  }

  private claim(claim: LockClaim): LockClaim {
    this.shared.world.tally("locked");
    this.shared.world.note(`${this.name} locked`, claim.createRevision, claim.revision);
    this.checks.locks.claimed(claim);
    this.assertSound();
    return claim;
  }

  private assertSound(): void {
    const [finding] = this.checks.locks.findings;
    if (finding !== undefined) throw new Violation(`lock ${finding.problem}`, finding.detail);
    const [early] = this.checks.leases.findings;
    if (early !== undefined) throw new Violation(`lease ${early.problem}`, early.detail);
  }

  /** Waits for the deletion of the youngest key that is older, again and again until there is none. */
  private async waitForOlder(session: Session, createRevision: number): Promise<boolean> {
    const request = rangeRequest(lockPrefix, {
      rangeEnd: bytes(endOf(lockPrefix)),
      sortOrder: newestFirst,
      sortTarget: byCreation,
      limit: 1n,
      maxCreateRevision: BigInt(createRevision - 1),
    });
    for (;;) {
      const older = await this.persist(session, "older", (services, context) => services.kv.range(request, context));
      if (older === undefined) return false;
      const [last] = older.kvs;
      if (last === undefined) return true;
      await this.waitForDeletion(last.key, older.header?.revision ?? 0n);
      if (session.over) return false;
    }
  }

  /** Comes back when the key is deleted, or the watch ended. */
  private async waitForDeletion(key: Uint8Array, startRevision: bigint): Promise<void> {
    const port = this.random.pick(this.shared.ports())();
    if (port === undefined) return this.shared.world.sleep(this.random.around(200));
    const stream = new ClientWatchStream(port);
    stream.create({
      key,
      rangeEnd: new Uint8Array(0),
      startRevision,
      progressNotify: false,
      filters: [],
      prevKv: false,
      watchId: 0n,
      fragment: false,
    });
    for (;;) {
      const response = await stream.next();
      if (response === undefined || response.canceled) break;
      if (response.events.some(({ type }) => type !== 0)) break;
    }
    stream.end();
  }

  /** Does what only the holder may do, while it takes itself for the holder. */
  private async hold(session: Session, claim: LockClaim): Promise<void> {
    const count = this.random.between(1, 4);
    for (let done = 0; done < count && !session.over && !this.shared.stopping(); done += 1) {
      await this.shared.world.sleep(this.random.around(400));
      await this.guardedWrite(session, claim);
    }
  }

  private async guardedWrite({ key }: Session, claim: LockClaim): Promise<void> {
    const { history } = this.shared;
    this.writes += 1;
    const tag = `${this.name}-${this.writes}`;
    const floor = history.toldIndex;
    const reply = await this.ask("write", (services, context) =>
      services.kv.txn(guardedTxn(tag, key, claim.createRevision), context),
    );
    if (reply.kind !== "ok") return;
    const done = history.find(`txn ${tag}`);
    if (done === undefined) throw new Violation("durability", `${tag} was acknowledged and is not in the log`);
    const { succeeded } = reply.value;
    if (done.answer.startsWith("true") !== succeeded)
      throw new Violation("write answer", `${tag} answered ${String(succeeded)}, the model ${done.answer}`);
    if (done.index <= floor) throw new Violation("real time", `${tag} is at ${done.index}, before ${floor}`);
    history.toldIndex = Math.max(history.toldIndex, done.index);
    history.toldRevision = Math.max(history.toldRevision, done.revision);
    if (!succeeded) return;
    this.shared.world.tally("guarded writes");
    this.checks.locks.fenced(claim, done.revision);
    this.assertSound();
  }

  /** Deletes its key, or lets go of the lease, or walks away. */
  private async unlock({ key, lease }: Session): Promise<void> {
    const draw = this.random.below(10);
    if (draw < 5) {
      const request = { key: bytes(key), rangeEnd: bytes(`${key}\0`), prevKv: false };
      await this.ask("unlock", (services, context) => services.kv.deleteRange(request, context));
    } else if (draw < 8) {
      await this.ask("revoke", (services, context) => services.lease.leaseRevoke({ ID: lease }, context));
    }
  }
}

/** As `TryAcquire` of Go's client: the key is made once, and whoever owns the lock is told in the same breath. */
function lockTxn(key: string, lease: bigint): rpc.TxnRequest {
  const isNew: rpc.Compare = {
    result: Result.EQUAL,
    target: Target.CREATE,
    key: bytes(key),
    rangeEnd: new Uint8Array(0),
    targetUnion: { $case: "createRevision", value: 0n },
  };
  const owner = rangeRequest(lockPrefix, {
    rangeEnd: bytes(endOf(lockPrefix)),
    sortOrder: oldestFirst,
    sortTarget: byCreation,
    limit: 1n,
  });
  const put: rpc.RequestOp = { request: { $case: "requestPut", value: putRequest(key, "", { lease }) } };
  return { compare: [isNew], success: [put, get(owner)], failure: [get(rangeRequest(key)), get(owner)] };
}

/** A write that counts only while the holder's key is there; the first comparison always holds, and names it. */
function guardedTxn(tag: string, key: string, createRevision: number): rpc.TxnRequest {
  const head = { rangeEnd: new Uint8Array(0) };
  const named: rpc.Compare = {
    ...head,
    result: Result.NOT_EQUAL,
    target: Target.VALUE,
    key: bytes(anchorKey),
    targetUnion: { $case: "value", value: bytes(tag) },
  };
  const fence: rpc.Compare = {
    ...head,
    result: Result.EQUAL,
    target: Target.CREATE,
    key: bytes(key),
    targetUnion: { $case: "createRevision", value: BigInt(createRevision) },
  };
  const put: rpc.RequestOp = { request: { $case: "requestPut", value: putRequest(guardedKey, tag) } };
  return { compare: [named, fence], success: [put], failure: [] };
}

function get(value: rpc.RangeRequest): rpc.RequestOp {
  return { request: { $case: "requestRange", value } };
}

function pairsOf({ responses }: rpc.TxnResponse, at: number) {
  const response = responses[at]?.response;
  return response?.$case === "responseRange" ? response.value.kvs : [];
}

async function* only(request: rpc.LeaseKeepAliveRequest): AsyncGenerator<rpc.LeaseKeepAliveRequest> {
  yield request;
}
