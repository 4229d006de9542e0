/** Does to a cluster what the plan says, and undoes it again. */
import { setTimeout as delay } from "node:timers/promises";
import type { Dice } from "../crash/plan.js";
import type { Cluster } from "../support/cluster.js";
import { leaderOf } from "../support/leader.js";
import { clients, type Links } from "../support/links.js";
import type { Member } from "../support/member.js";
import { rawClient } from "../support/raw-client.js";
import type { SlowDisk } from "../support/slow-disk.js";
import { type Fault, Plan, type PlanStep, type Target } from "./plan.js";

export interface Battlefield {
  readonly cluster: Cluster;
  readonly links: Links;
  /** Absent if this program's disk cannot be slowed. */
  readonly disk: SlowDisk | undefined;
  /** A revision below which nobody needs the history any more. */
  readonly compactable: () => number;
}

/** How often each kind of fault struck. */
export type Tally = Map<Fault["kind"], number>;

const upkeepTimeoutMs = 3_000;

export class Nemesis {
  readonly tally: Tally = new Map();
  /** What was done and when, for the report of a failure. */
  readonly journal: string[] = [];
  readonly #field: Battlefield;
  readonly #dice: Dice;
  readonly #dead = new Set<Member>();
  readonly #paused = new Set<Member>();
  readonly #slowed = new Set<number>();

  constructor(field: Battlefield, dice: Dice) {
    this.#field = field;
    this.#dice = dice;
  }

  /** Step after step until the time is over; everything is healed and every member runs when it resolves. */
  async rage(untilMs: number): Promise<void> {
    const { cluster, disk } = this.#field;
    const plan = new Plan(this.#dice, { size: cluster.members.length, slowDisk: disk !== undefined });
    while (performance.now() < untilMs) await this.#perform(plan.next());
  }

  async #perform({ faults, holdMs, restMs }: PlanStep): Promise<void> {
    const leader = await leaderOf(this.#field.cluster);
    for (const fault of faults) {
      this.journal.push(`${Math.round(performance.now())} ${JSON.stringify(fault)} leader ${leader?.name}`);
      this.tally.set(fault.kind, (this.tally.get(fault.kind) ?? 0) + 1);
      await this.#strike(fault, (target) => this.#resolve(target, leader));
    }
    await delay(holdMs);
    await this.heal();
    await delay(restMs);
  }

  #resolve(target: Target, leader: Member | undefined): Member {
    const { cluster } = this.#field;
    return target === "leader" ? (leader ?? cluster.member(1)) : cluster.member(target + 1);
  }

  async #strike(fault: Fault, at: (target: Target) => Member): Promise<void> {
    const { links, cluster } = this.#field;
    switch (fault.kind) {
      case "kill":
        await Promise.all(fault.members.map((target) => this.#kill(at(target))));
        return;
      case "pause":
        this.#pause(at(fault.member));
        return;
      case "cutOneWay":
        links.set(at(fault.from).name, at(fault.to).name, { blocked: true });
        return;
      case "isolate":
        this.#isolate(at(fault.member), fault.direction);
        return;
      case "split":
        for (const number of fault.minority)
          this.#cutOff(at(number), new Set(fault.minority.map((other) => at(other))));
        return;
      case "blackHole":
        this.#isolate(at(fault.member), "both");
        links.setBoth(at(fault.member).name, clients, { blocked: true });
        return;
      case "reset":
        for (const other of [clients, ...cluster.members.map(({ name }) => name)]) {
          links.reset(at(fault.member).name, other);
        }
        return;
      case "slowLinks":
        for (const one of cluster.members) {
          for (const other of cluster.members) links.set(one.name, other.name, { delayMs: fault.delayMs });
        }
        return;
      case "slowDisk":
        await this.#slow(at(fault.member).pid, fault.delayMs);
        return;
      case "moveLeader":
      case "compact":
      case "defragment":
        await this.#upkeep(fault, at);
        return;
    }
  }

  async heal(): Promise<void> {
    const { links, disk } = this.#field;
    links.heal();
    for (const pid of this.#slowed) await disk?.delay(pid, 0);
    this.#slowed.clear();
    for (const member of this.#paused) member.signal("SIGCONT");
    this.#paused.clear();
    const dead = [...this.#dead];
    this.#dead.clear();
    for (const member of dead) member.launch();
    await Promise.all(dead.map((member) => member.ready()));
  }

  async #kill(member: Member): Promise<void> {
    this.#paused.delete(member);
    this.#dead.add(member);
    await member.end("SIGKILL");
  }

  #pause(member: Member): void {
    if (this.#dead.has(member)) return;
    this.#paused.add(member);
    member.signal("SIGSTOP");
  }

  #isolate({ name }: Member, direction: "in" | "out" | "both"): void {
    for (const { name: other } of this.#field.cluster.members) {
      if (direction !== "in") this.#field.links.set(name, other, { blocked: true });
      if (direction !== "out") this.#field.links.set(other, name, { blocked: true });
    }
  }

  #cutOff(member: Member, friends: ReadonlySet<Member>): void {
    for (const other of this.#field.cluster.members) {
      if (!friends.has(other)) this.#field.links.setBoth(member.name, other.name, { blocked: true });
    }
  }

  async #slow(pid: number | undefined, delayMs: number): Promise<void> {
    if (pid === undefined) return;
    this.#slowed.add(pid);
    await this.#field.disk?.delay(pid, delayMs);
  }

  /** Requests of an operator. That one fails in the middle of other faults is no news. */
  async #upkeep(
    fault: Extract<Fault, { kind: "moveLeader" | "compact" | "defragment" }>,
    at: (target: Target) => Member,
  ): Promise<void> {
    const { cluster, compactable } = this.#field;
    const asked = fault.kind === "defragment" ? at(fault.member) : at("leader");
    const client = rawClient(asked.endpoint);
    const extras = { timeoutMs: upkeepTimeoutMs };
    try {
      switch (fault.kind) {
        case "moveLeader": {
          const target = rawClient(cluster.member(fault.to + 1).endpoint);
          const { header } = await target.status({}, extras).finally(() => target.close());
          await client.moveLeader({ targetID: header?.memberId ?? 0n }, extras);
          break;
        }
        case "compact":
          await client.compact({ revision: BigInt(compactable()) }, extras);
          break;
        case "defragment":
          await client.defragment({}, extras);
          break;
      }
    } catch (error) {
      this.journal.push(`  ${fault.kind} failed: ${String(error)}`);
    } finally {
      client.close();
    }
  }
}
