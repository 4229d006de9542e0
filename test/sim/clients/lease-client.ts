/** A client with a lease: grants it, hangs keys on it, renews it for a while, and revokes it or lets it run out. */
import type { LeaseKeepAliveRequest } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import type { LeaseValidator } from "../../check/lease-validators.js";
import { writeName } from "../checks/history-checks.js";
import type { RandomStream } from "../world/random.js";
import { Violation } from "../world/world.js";
import { type CallOptions, call, type Port, type Reply } from "./call.js";
import type { ClientWorld } from "./kv-client.js";
import { putRequest } from "./requests.js";

export class LeaseClient {
  private readonly shared: ClientWorld;
  private readonly leases: LeaseValidator;
  private readonly random: RandomStream;
  private readonly name: string;
  private readonly firstId: bigint;
  private count = 0;

  constructor(shared: ClientWorld, leases: LeaseValidator, number: number) {
    this.shared = shared;
    this.leases = leases;
    this.name = `l${number}`;
    this.random = shared.world.random(`leases ${number}`);
    // The whole signed range of ids is allowed.
    this.firstId = BigInt(number + 1) << 32n;
  }

  async run(): Promise<void> {
    const { world } = this.shared;
    while (!this.shared.stopping()) {
      await world.sleep(this.random.around(2000));
      await this.life();
    }
  }

  private get port(): () => Port | undefined {
    return this.random.pick(this.shared.ports());
  }

  private get options(): CallOptions {
    return { world: this.shared.world, random: this.random, timeoutMs: 10_000 };
  }

  private async life(): Promise<void> {
    this.count += 1;
    const id = (this.firstId + BigInt(this.count)) * (this.random.chance(0.3) ? -1n : 1n);
    const ttlSeconds = this.random.between(3, 12);
    const granted = await this.grant(id, ttlSeconds);
    if (!granted) return;
    this.shared.leases.push(id);
    const attached = this.random.between(0, 3);
    for (let at = 0; at < attached; at += 1) await this.attach(id, at);
    const renewals = this.random.below(6);
    for (let at = 0; at < renewals && !this.shared.stopping(); at += 1) {
      // Now and then as late as can be, or later.
      const share = this.random.chance(0.15) ? 0.97 + this.random.fraction() * 0.15 : 1 / this.random.between(2, 4);
      await this.shared.world.sleep(ttlSeconds * 1000 * share);
      if (!(await this.renew(id))) return;
      if (this.random.chance(0.2)) await this.timeToLive(id, ttlSeconds);
    }
    if (this.random.chance(0.4)) await this.revoke(id);
  }

  private async grant(id: bigint, ttlSeconds: number): Promise<boolean> {
    const floor = this.shared.history.toldIndex;
    const reply = await call(this.port, this.options, (services, context) =>
      services.lease.leaseGrant({ ID: id, TTL: BigInt(ttlSeconds) }, context),
    );
    this.note("grant", reply);
    if (reply.kind !== "ok") return false;
    this.acknowledged(writeName({ $case: "leaseGrant", value: { id, ttlSeconds: 0n } }), floor);
    if (reply.value.ID !== id) throw new Violation("lease", `asked for lease ${id}, got ${reply.value.ID}`);
    return true;
  }

  private async attach(id: bigint, at: number): Promise<void> {
    const value = putRequest(
      `k${String(this.random.below(this.shared.keyCount)).padStart(2, "0")}`,
      `${this.name}-${this.count}-${at}`,
      { lease: id },
    );
    const floor = this.shared.history.toldIndex;
    const reply = await call(this.port, this.options, (services, context) => services.kv.put(value, context));
    this.note("attach", reply);
    if (reply.kind === "ok") this.acknowledged(writeName({ $case: "put", value }), floor);
  }

  private async renew(id: bigint): Promise<boolean> {
    const askedMs = this.shared.world.nowMs;
    const reply = await call(this.port, this.options, async (services, context) => {
      for await (const response of services.lease.leaseKeepAlive(only({ ID: id }), context)) return response;
      return undefined;
    });
    this.note("renew", reply);
    if (reply.kind !== "ok") return true;
    const ttlSeconds = Number(reply.value?.TTL ?? 0n);
    this.leases.renewed(id, ttlSeconds, askedMs);
    this.assertSound();
    return ttlSeconds > 0;
  }

  private async timeToLive(id: bigint, ttlSeconds: number): Promise<void> {
    const reply = await call(this.port, this.options, (services, context) =>
      services.lease.leaseTimeToLive({ ID: id, keys: true }, context),
    );
    this.note("ttl", reply);
    if (reply.kind !== "ok") return;
    const { TTL, grantedTTL } = reply.value;
    if (TTL < 0n) return;
    const sane = Number(grantedTTL) === ttlSeconds && Number(TTL) <= ttlSeconds + 5;
    if (!sane) throw new Violation("lease", `lease ${id} of ${ttlSeconds} s has ${TTL} of ${grantedTTL} s left`);
  }

  private async revoke(id: bigint): Promise<void> {
    const floor = this.shared.history.toldIndex;
    const reply = await call(this.port, this.options, (services, context) =>
      services.lease.leaseRevoke({ ID: id }, context),
    );
    this.note("revoke", reply);
    const write = writeName({ $case: "leaseRevoke", value: { id, onlyInTerm: 0n } });
    if (reply.kind === "ok") this.acknowledged(write, floor);
    if (
      reply.kind === "error" &&
      reply.error.message === status.LeaseNotFound.message &&
      this.shared.history.model.leases.has(id)
    ) {
      throw new Violation("lease", `lease ${id} is not found, and it lives`);
    }
  }

  private acknowledged(write: string | undefined, floor: number): void {
    const { history, counts } = this.shared;
    counts.acknowledged += 1;
    const done = history.find(write ?? "");
    if (done === undefined || done.failure !== undefined) {
      throw new Violation("durability", `${write} was acknowledged, the log says ${done?.failure ?? "nothing"}`);
    }
    if (done.index <= floor) throw new Violation("real time", `${write} is at ${done.index}, before ${floor}`);
    history.toldIndex = Math.max(history.toldIndex, done.index);
    history.toldRevision = Math.max(history.toldRevision, done.revision);
  }

  private assertSound(): void {
    const [finding] = this.leases.findings;
    if (finding !== undefined) throw new Violation(`lease ${finding.problem}`, finding.detail);
  }

  private note(what: string, reply: Reply<unknown>): void {
    const { world, counts } = this.shared;
    counts.calls += 1;
    if (reply.kind === "lost") counts.lost += 1;
    if (reply.kind === "error") counts.failed += 1;
    world.note(`${this.name} ${what} ${reply.kind}`, this.count);
  }
}

async function* only(request: LeaseKeepAliveRequest): AsyncGenerator<LeaseKeepAliveRequest> {
  yield request;
}
