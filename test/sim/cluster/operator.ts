/** Somebody who changes the membership, moves the leader and tidies up, as a person with etcdctl would. */
import { status } from "../../../proto/status.js";
import type { MemberId } from "../../../src/server/raft/types.js";
import { name } from "../checks/raft-checks.js";
import { type CallOptions, call, type Port, type Reply } from "../clients/call.js";
import type { RandomStream } from "../world/random.js";
import type { World } from "../world/world.js";
import { type SimCluster, urlOf } from "./cluster.js";
import type { SimMember } from "./member.js";

/** Texts of errors that promise that the change was not proposed. */
const refusals: readonly string[] = [
  status.MemberNotEnoughStarted.message,
  status.MemberNotFound.message,
  status.Unhealthy.message,
];

function surelyNotDone(reply: Reply<unknown>): boolean {
  return reply.kind === "refused" || (reply.kind === "error" && refusals.includes(reply.error.message));
}

export class Operator {
  private readonly cluster: SimCluster;
  private readonly world: World;
  private readonly random: RandomStream;
  /** Members that it asked to be removed, and may yet be. */
  readonly leaving = new Set<MemberId>();
  private joined = 0;

  constructor(cluster: SimCluster) {
    this.cluster = cluster;
    this.world = cluster.shared.world;
    this.random = this.world.random("operator");
  }

  /** Adds a member and starts it; gives up after a while. */
  async addMember(learner: boolean): Promise<SimMember | undefined> {
    this.joined += 1;
    const peerURLs = [urlOf(`joiner${this.joined}`)];
    const reply = await this.ask("add", (port, options) =>
      call(port, options, (services, context) => services.cluster.memberAdd({ peerURLs, isLearner: learner }, context)),
    );
    if (reply.kind !== "ok") return undefined;
    const id = reply.value.member?.ID;
    return id === undefined ? undefined : this.startJoiner(id);
  }

  startJoiner(id: MemberId): SimMember {
    const known = this.cluster.byId(id);
    if (known !== undefined) return known;
    const member = this.cluster.join(id);
    member.start();
    return member;
  }

  /** Waits until the learner may vote; tries for so many seconds. */
  async promote(id: MemberId, seconds: number): Promise<boolean> {
    for (let tries = 0; tries < seconds; tries += 1) {
      await this.world.sleep(1000);
      const reply = await this.ask("promote", (port, options) =>
        call(port, options, (services, context) => services.cluster.memberPromote({ ID: id }, context)),
      );
      if (reply.kind === "ok") return true;
    }
    return false;
  }

  async remove(id: MemberId): Promise<boolean> {
    this.leaving.add(id);
    const reply = await this.ask(`remove ${name(id)}`, (port, options) =>
      call(port, options, (services, context) => services.cluster.memberRemove({ ID: id }, context)),
    );
    if (surelyNotDone(reply)) this.leaving.delete(id);
    return reply.kind === "ok";
  }

  async moveLeader(): Promise<void> {
    const { leader } = this.cluster;
    const { voters } = this.cluster.shared.raft.current;
    const others = voters.filter((id) => id !== leader?.id);
    if (leader === undefined || others.length === 0) return;
    const targetID = this.random.pick(others);
    await this.ask("move", (_port, options) =>
      call(leader.clientPort, options, (services, context) => services.maintenance.moveLeader({ targetID }, context)),
    );
  }

  async compact(revision: number): Promise<void> {
    const request = { revision: BigInt(revision), physical: this.random.chance(0.5) };
    await this.ask("compact", (port, options) =>
      call(port, options, (services, context) => services.kv.compact(request, context)),
    );
  }

  async defragment(member: SimMember): Promise<void> {
    await this.ask("defrag", (_port, options) =>
      call(member.clientPort, options, (services, context) => services.maintenance.defragment({}, context)),
    );
  }

  private async ask<T>(
    what: string,
    work: (port: () => Port | undefined, options: CallOptions) => Promise<Reply<T>>,
  ): Promise<Reply<T>> {
    const options = { world: this.world, random: this.random, timeoutMs: 15_000 };
    const reply = await work(this.random.pick(this.cluster.ports), options);
    this.world.tally(`${what.split(" ")[0]} ${reply.kind}`);
    this.world.note(`operator ${what} ${reply.kind}`);
    if (reply.kind === "error") this.world.note(reply.error.message);
    return reply;
  }
}
