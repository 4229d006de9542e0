/**
 * What goes wrong. Every seed allows a random part of the kinds, so that rare combinations are not drowned. Damage that
 * cannot be repaired is kept to a minority, so that the cluster can always recover.
 */
import type { MemberId } from "../../../src/server/raft/types.js";
import { loseSentinel, loseTail, rotLogEntry, rotRevision } from "../disk/faults.js";
import { fairWeather } from "../world/network.js";
import type { RandomStream } from "../world/random.js";
import type { World } from "../world/world.js";
import type { SimCluster } from "./cluster.js";
import { startWithEmptyDisk } from "./empty-disk.js";
import type { SimMember } from "./member.js";
import type { Operator } from "./operator.js";

export const faultKinds = [
  "loss",
  "delay",
  "reorder",
  "oneWayCut",
  "island",
  "split",
  "bridge",
  "swizzle",
  "crash",
  "crashAll",
  "power",
  "pause",
  "rolling",
  "hostDown",
  "slowDisk",
  "syncFailure",
  "diskFull",
  "logRot",
  "stateRot",
  "lostTail",
  "lostSentinel",
  "clock",
  "move",
  "learner",
  "replace",
  "removeLeader",
  "compact",
  "defrag",
  "emptyDisk",
  "cutWrite",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface NemesisOptions {
  readonly cluster: SimCluster;
  readonly operator: Operator;
  readonly kinds: readonly FaultKind[];
  /** Mean time between two faults. */
  readonly everyMs: number;
  /** The revision of the store. */
  readonly revision: () => number;
}

export class Nemesis {
  private readonly options: NemesisOptions;
  private readonly cluster: SimCluster;
  private readonly world: World;
  private readonly random: RandomStream;
  private stopped = false;

  constructor(options: NemesisOptions) {
    this.options = options;
    this.cluster = options.cluster;
    this.world = options.cluster.shared.world;
    this.random = this.world.random("nemesis");
  }

  async run(): Promise<void> {
    const { kinds, everyMs } = this.options;
    if (kinds.length === 0) return;
    while (!this.stopped) {
      await this.world.sleep(this.random.around(everyMs));
      if (this.stopped) return;
      const kind = this.random.pick(kinds);
      this.world.note(`fault ${kind}`);
      // Faults overlap; each ends by itself, or with the healing.
      this.strike(kind).catch((error: unknown) => this.world.fail(error as Error));
    }
  }

  /** No new faults, and everything that can be mended is. */
  heal(): void {
    this.stopped = true;
    const { network } = this.cluster.shared;
    network.mendAll();
    for (const member of this.cluster.members) {
      network.endpoint(member.id).hostUp = true;
      member.disk.slowness = 1;
      member.disk.stalls = 0;
      member.disk.fails = undefined;
      member.process?.resume();
      if (this.cluster.shared.raft.isMember(member.id)) member.start();
    }
  }

  private async strike(kind: FaultKind): Promise<void> {
    switch (kind) {
      case "loss":
        return this.weather({ ...fairWeather, loss: this.random.pick([0.05, 0.2, 0.5]), duplicate: 0.1 });
      case "delay":
        return this.weather({
          ...fairWeather,
          latencyMs: this.random.pick([5, 50, 300]),
          jitterMs: 100,
          bandwidth: this.random.pick([0, 1, 20]),
        });
      case "reorder":
        return this.weather({ ...fairWeather, jitterMs: 200, reorder: 0.5, duplicate: 0.2 });
      case "oneWayCut":
      case "island":
      case "split":
      case "bridge":
        return this.partition(kind);
      case "swizzle":
        return this.swizzle();
      case "crash":
      case "power":
        return this.crash(kind === "power" ? "power" : "process", 1);
      case "crashAll":
        return this.crash(this.random.pick(["process", "power"] as const), this.cluster.members.length);
      case "pause":
        return this.pause();
      case "rolling":
        return this.rolling();
      case "hostDown":
        return this.hostDown();
      case "slowDisk":
      case "syncFailure":
      case "diskFull":
        return this.diskTrouble(kind);
      case "logRot":
      case "stateRot":
      case "lostTail":
      case "lostSentinel":
        return this.damage(kind);
      case "clock":
        this.victim()?.process?.jumpWall(this.random.between(-3_600_000, 3_600_000));
        return;
      case "move":
        return this.options.operator.moveLeader();
      case "learner":
      case "replace":
      case "removeLeader":
        return this.reshape(kind);
      case "compact":
        return this.options.operator.compact(Math.max(1, this.options.revision() - this.random.below(30)));
      case "defrag": {
        const member = this.victim();
        if (member !== undefined) await this.options.operator.defragment(member);
        return;
      }
      case "emptyDisk":
        return this.emptyDisk();
      case "cutWrite":
        return this.cutWrite();
    }
  }

  private victim(): SimMember | undefined {
    const { up, leader } = this.cluster;
    if (up.length === 0) return undefined;
    return leader !== undefined && this.random.chance(0.4) ? leader : this.random.pick(up);
  }

  private async weather(weather: typeof fairWeather): Promise<void> {
    const { network } = this.cluster.shared;
    const everywhere = this.random.chance(0.3);
    const changed: [SimMember, SimMember][] = [];
    for (const [from, to] of this.pairs()) {
      if (!everywhere && !this.random.chance(0.4)) continue;
      network.setWeather(from.id, to.id, weather);
      changed.push([from, to]);
    }
    await this.world.sleep(this.random.around(10_000));
    for (const [from, to] of changed) network.setWeather(from.id, to.id, fairWeather);
  }

  private pairs(): [SimMember, SimMember][] {
    const { members } = this.cluster;
    return members.flatMap((from) =>
      members.flatMap((to): [SimMember, SimMember][] => (from === to ? [] : [[from, to]])),
    );
  }

  private async partition(kind: "oneWayCut" | "island" | "split" | "bridge"): Promise<void> {
    const cut = this.cutsOf(kind);
    const holds = this.random.chance(0.2);
    const { network } = this.cluster.shared;
    for (const [from, to] of cut) network.cut(from.id, to.id, holds);
    await this.world.sleep(this.random.around(8000));
    for (const [from, to] of cut) network.mend(from.id, to.id);
  }

  private cutsOf(kind: "oneWayCut" | "island" | "split" | "bridge"): [SimMember, SimMember][] {
    const members = this.random.shuffled(this.cluster.members);
    const lonely = this.victim() ?? members[0];
    const half = new Set(members.slice(0, Math.ceil(members.length / 2)));
    const bridge = members[0];
    return this.pairs().filter(([from, to]) => {
      switch (kind) {
        case "oneWayCut":
          return from === lonely && this.random.chance(0.6);
        case "island":
          return from === lonely || to === lonely;
        case "split":
          return half.has(from) !== half.has(to);
        case "bridge":
          return from !== bridge && to !== bridge && half.has(from) !== half.has(to);
      }
    });
  }

  /** Cuts links of some members one by one, and mends them in another order. */
  private async swizzle(): Promise<void> {
    const { network } = this.cluster.shared;
    const pairs = this.random.shuffled(this.pairs()).slice(0, this.random.between(1, 6));
    for (const [from, to] of pairs) {
      // Whatever was cut before is mended by the healing.
      if (this.stopped) return;
      network.cut(from.id, to.id);
      await this.world.sleep(this.random.around(800));
    }
    for (const [from, to] of this.random.shuffled(pairs)) {
      network.mend(from.id, to.id);
      await this.world.sleep(this.random.around(800));
    }
  }

  private async crash(how: "process" | "power", count: number): Promise<void> {
    const victims = count === 1 ? [this.victim()] : [...this.cluster.up];
    for (const member of victims) member?.kill(how);
    await this.world.sleep(this.random.around(this.random.pick([50, 1500, 8000])));
    for (const member of victims) {
      this.restart(member);
      if (count > 1) await this.world.sleep(this.random.around(300));
    }
  }

  private restart(member: SimMember | undefined): void {
    if (member !== undefined && this.cluster.shared.network.endpoint(member.id).hostUp) member.start();
  }

  private async pause(): Promise<void> {
    const process = this.victim()?.process;
    process?.pause();
    await this.world.sleep(this.random.around(this.random.pick([300, 2000, 10_000])));
    process?.resume();
  }

  private async rolling(): Promise<void> {
    for (const member of this.cluster.up) {
      if (this.stopped) return;
      if (member.isLeader) await this.options.operator.moveLeader();
      await member.stop();
      await this.world.sleep(this.random.around(500));
      member.start();
      await this.world.sleep(this.random.around(1000));
    }
  }

  /** The machine is gone for a while: nobody refuses a connection. */
  private async hostDown(): Promise<void> {
    const member = this.victim();
    if (member === undefined) return;
    const endpoint = this.cluster.shared.network.endpoint(member.id);
    endpoint.hostUp = false;
    member.kill("power");
    await this.world.sleep(this.random.around(6000));
    endpoint.hostUp = true;
    member.start();
  }

  private async diskTrouble(kind: "slowDisk" | "syncFailure" | "diskFull"): Promise<void> {
    const member = this.victim();
    if (member === undefined) return;
    if (kind === "slowDisk") {
      member.disk.slowness = this.random.pick([3, 20]);
      member.disk.stalls = this.random.pick([0, 0.05, 0.3]);
      await this.world.sleep(this.random.around(8000));
      member.disk.slowness = 1;
      member.disk.stalls = 0;
      return;
    }
    member.disk.fails = kind === "diskFull" ? "full" : "io";
    await this.world.sleep(this.random.around(4000));
    member.disk.fails = undefined;
    this.restart(member);
  }

  /**
   * Whether this member may be lost for good, by damage or by leaving: those who can vote must stay more than those who
   * cannot. Damage counts before anybody has noticed it, and a removal while it may still happen.
   */
  private mayLose(id: MemberId, how: "damaged" | "leaves"): boolean {
    const { voters, learners } = this.cluster.shared.raft.current;
    const { leaving } = this.options.operator;
    const sound = (one: MemberId): boolean => this.cluster.byId(one)?.sound === true;
    const staying = voters.filter((one) => one !== id && !leaving.has(one) && sound(one)).length;
    // A removal that takes away a damaged member may yet fail, and a learner may be promoted.
    const broken = [...voters, ...learners].filter((one) => one !== id && !sound(one)).length;
    const more = how === "damaged" || !sound(id) ? 1 : 0;
    return staying > broken + more;
  }

  private async damage(kind: "logRot" | "stateRot" | "lostTail" | "lostSentinel"): Promise<void> {
    const member = this.victim();
    if (member === undefined || member.isLeader || member.damaged || !this.mayLose(member.id, "damaged")) return;
    if (kind === "stateRot") {
      member.damaged = rotRevision(member.dir, this.random);
      return;
    }
    member.kill("process");
    if (kind === "lostSentinel") loseSentinel(member.dir);
    else if (kind === "logRot") member.damaged = rotLogEntry(member.dir, this.random);
    else member.damaged = loseTail(member.dir, this.random);
    await this.world.sleep(this.random.around(500));
    member.start();
  }

  /** The power goes off in the middle of a write of a member that runs, or that starts. */
  private async cutWrite(): Promise<void> {
    const member = this.victim();
    if (member === undefined) return;
    if (this.random.chance(0.4)) {
      member.kill("power");
      await this.world.sleep(this.random.around(500));
    }
    if (!this.stopped) member.cutSoon();
    this.restart(member);
    await this.world.sleep(this.random.around(3000));
    member.disk.fails = undefined;
  }

  /** The disk is gone, and its member is started again and again, until it is told that it cannot be. */
  private async emptyDisk(): Promise<void> {
    const member = this.victim();
    const known = this.cluster.leader?.parts?.replica.state.members() ?? [];
    const wasThere = known.some(({ id, clientUrls }) => id === member?.id && clientUrls.length > 0);
    if (member === undefined || !wasThere || member.damaged || !this.mayLose(member.id, "damaged")) return;
    member.wipe();
    for (let tries = 0; tries < 10 && !this.stopped; tries += 1) {
      await this.world.sleep(this.random.around(1000));
      if ((await startWithEmptyDisk(member, known)) === "refused") return;
    }
  }

  private async reshape(kind: "learner" | "replace" | "removeLeader"): Promise<void> {
    const { operator } = this.options;
    const { voters, learners } = this.cluster.shared.raft.current;
    if (kind === "removeLeader") {
      const { leader } = this.cluster;
      if (leader !== undefined && voters.length > 3) await this.remove(leader.id);
      return;
    }
    const gone = voters.find((id) => this.cluster.byId(id)?.state === "ruined");
    if (kind === "replace" || gone !== undefined) {
      const leaving = gone ?? this.random.pick(voters);
      if (voters.length < 2 || !(await this.remove(leaving))) return;
    } else if (voters.length + learners.length >= 7) {
      await this.remove(this.random.pick([...voters, ...learners]));
      return;
    }
    const asLearner = !this.random.chance(0.2);
    const joiner = await operator.addMember(asLearner);
    if (joiner === undefined || !asLearner || this.random.chance(0.2)) return;
    await operator.promote(joiner.id, 20);
  }

  /** Answers whether the member is gone. */
  private async remove(id: MemberId): Promise<boolean> {
    return this.mayLose(id, "leaves") && this.options.operator.remove(id);
  }
}
