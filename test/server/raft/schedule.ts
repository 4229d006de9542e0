/**
 * A small cluster under a schedule that one seed decides: messages are lost, repeated and reordered, disks are slow,
 * links are cut, members crash and lose what is not durable. Step n of a seed is the same however many steps follow.
 */

import { Prng } from "../../../src/server/raft/prng.js";
import type { MemberId, RaftLimits } from "../../../src/server/raft/types.js";
import { TestCluster } from "./cluster.js";
import { describeMember } from "./describe.js";
import type { TestMember } from "./member.js";
import { Oracle } from "./oracle.js";
import { bytes, config } from "./support.js";

export interface Scenario {
  readonly seed: number;
  readonly voters: number;
  readonly learners: number;
  readonly preVote: boolean;
  readonly steps: number;
  /** Log entries are dropped even if a member still needs them; such a cluster may never heal. */
  readonly compaction: "safe" | "any";
}

export interface Outcome {
  readonly commitIndex: number;
  readonly elections: number;
  readonly confirmedReads: number;
  readonly crashes: number;
}

/** Runs the scenario; throws at the first contradiction. */
export function runScenario(scenario: Scenario): World {
  const world = new World(scenario);
  for (let step = 0; step < scenario.steps; step += 1) world.step();
  return world;
}

type Action = (member: TestMember) => void;

export class World {
  readonly #scenario: Scenario;
  readonly #prng: Prng;
  readonly #oracle = new Oracle();
  readonly #cluster: TestCluster;
  readonly #ids: readonly MemberId[];
  readonly #actions: readonly Action[];
  #requestId = 0;
  #crashes = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#prng = new Prng(scenario.seed);
    const ids = Array.from({ length: scenario.voters + scenario.learners }, (_none, offset) => BigInt(offset + 1));
    const membership = { voters: ids.slice(0, scenario.voters), learners: ids.slice(scenario.voters) };
    const configs = ids.map((id) =>
      config(id, { electionTicks: 5, preVote: scenario.preVote, limits: this.#drawLimits() }),
    );
    this.#ids = ids;
    this.#cluster = new TestCluster(configs, membership, [this.#oracle]);
    this.#oracle.cluster = this.#cluster;
    this.#actions = this.#weighted();
    for (const id of ids) this.#start(this.#cluster.member(id));
  }

  get outcome(): Outcome {
    const { commitIndex, elections, confirmedReads } = this.#oracle;
    return { commitIndex, elections, confirmedReads, crashes: this.#crashes };
  }

  step(): void {
    const member = this.#cluster.member(this.#pick(this.#ids));
    const action = this.#pick(this.#actions);
    action(member);
  }

  /** Ends all trouble; a healthy cluster must then agree on everything within a few election timeouts. */
  heal(): void {
    this.#cluster.cuts.clear();
    for (const member of this.#cluster.members.values()) if (member.core === undefined) this.#start(member);
    const goal = this.#oracle.commitIndex + 1;
    for (let tick = 0; tick < 400; tick += 1) {
      for (const id of this.#ids) this.#cluster.step(id, { kind: "tick" });
      this.#cluster.settle();
      const leader = this.#cluster.running.find(({ core }) => core?.role === "leader");
      if (leader !== undefined && tick % 5 === 0) this.#propose(leader);
      const behind = this.#cluster.running.some(
        ({ applied }) => applied.length < Math.max(goal, this.#oracle.commitIndex),
      );
      if (!behind) return;
    }
    throw new Error(
      `the healed cluster did not agree:\n${[...this.#cluster.members.values()].map(describeMember).join("\n")}`,
    );
  }

  /** Each seed has its own mix of trouble, so that no kind of it is always drowned by another. */
  #weighted(): Action[] {
    const table: readonly (readonly [number, Action])[] = [
      [this.#pick([150, 400]), () => this.#deliver()],
      [this.#pick([30, 100]), whileUp((member) => this.#cluster.step(member.id, { kind: "tick" }))],
      [this.#pick([15, 50, 200]), whileUp((member) => void this.#cluster.completeWrite(member.id))],
      [this.#pick([30, 100]), whileUp((member) => void this.#cluster.completeApply(member.id))],
      [60, whileUp((member) => this.#propose(member))],
      [40, whileUp((member) => this.#read(member))],
      [this.#pick([0, 5, 50]), () => void this.#takeMessage()],
      [this.#pick([0, 5, 20]), () => this.#duplicate()],
      [this.#pick([0, 2, 25]), whileUp((member) => this.#cluster.step(member.id, { kind: "campaign" }))],
      [this.#pick([0, 5]), whileUp((member) => this.#hint(member))],
      [10, whileUp((member) => this.#compact(member))],
      [this.#pick([0, 1, 6]), whileUp((member) => this.#crash(member))],
      [20, (member) => member.core ?? this.#start(member)],
      [this.#pick([0, 2, 8]), () => this.#cut()],
      [this.#pick([2, 8]), () => this.#cluster.cuts.clear()],
    ];
    return table.flatMap(([weight, action]) => Array.from({ length: weight }, () => action));
  }

  #deliver(): void {
    const message = this.#takeMessage();
    if (message !== undefined) this.#cluster.deliver(message);
  }

  /** Mostly the oldest message, now and then any. */
  #takeMessage(): ReturnType<TestCluster["network"]["at"]> {
    const { network } = this.#cluster;
    const position = this.#chance(4) ? this.#prng.below(Math.max(1, network.length)) : 0;
    return network.splice(position, 1)[0];
  }

  #duplicate(): void {
    const { network } = this.#cluster;
    const message = network[this.#prng.below(Math.max(1, network.length))];
    if (message !== undefined && network.length < 500) network.push(message);
  }

  #propose(member: TestMember): void {
    const count = 1 + this.#prng.below(3);
    for (let left = count; left > 0; left -= 1) {
      this.#requestId += 1;
      const data = bytes(`value ${this.#requestId}`.padEnd(this.#prng.below(40)));
      this.#cluster.stepOnly(member.id, { kind: "propose", requestId: this.#requestId, data });
    }
    this.#cluster.take(member.id);
  }

  #read(member: TestMember): void {
    this.#requestId += 1;
    this.#cluster.step(member.id, { kind: "read", requestId: this.#requestId });
  }

  #hint(member: TestMember): void {
    if (this.#chance(2)) this.#cluster.step(member.id, { kind: "leaderUnreachable" });
    else this.#cluster.step(member.id, { kind: "peerUnreachable", peer: this.#pick(this.#ids) });
  }

  #compact(member: TestMember): void {
    if (this.#chance(2)) member.stateDurable = member.applied.length;
    const safe = Math.min(...this.#ids.map((id) => this.#cluster.member(id).applied.length));
    const most = this.#scenario.compaction === "any" ? member.stateDurable : Math.min(safe, member.stateDurable);
    if (most > 0) this.#cluster.step(member.id, { kind: "compact", index: 1 + this.#prng.below(most) });
  }

  /** Some of what was on its way may have reached the disk, unknown to anybody. */
  #crash(member: TestMember): void {
    this.#crashes += 1;
    const { writes, applied } = member;
    member.crash({ writes: this.#prng.below(writes.length + 1), applied: this.#prng.below(applied.length + 1) });
  }

  /** One link in one direction, or a whole member, often the leader, in one or both directions. */
  #cut(): void {
    const leader = this.#cluster.running.find(({ core }) => core?.role === "leader")?.id;
    const from = leader !== undefined && this.#chance(2) ? leader : this.#pick(this.#ids);
    const others = this.#chance(3) ? [this.#pick(this.#ids)] : this.#ids;
    const mode = this.#pick(["out", "in", "both", "both"] as const);
    for (const to of others) {
      if (mode !== "in") this.#cluster.cuts.add(`${from}>${to}`);
      if (mode !== "out") this.#cluster.cuts.add(`${to}>${from}`);
    }
  }

  #start(member: TestMember): void {
    member.start(this.#prng.below(2 ** 31));
    this.#cluster.take(member.id);
  }

  /** Small windows and batches make rare paths common. */
  #drawLimits(): Partial<RaftLimits> {
    return {
      messageBytesMax: this.#pick([1, 60, 1000]),
      inflightMessagesMax: this.#pick([1, 2, 8]),
      inflightBytesMax: this.#pick([50, 10_000]),
      uncommittedBytesMax: this.#pick([200, 100_000]),
      appliedLagEntriesMax: this.#pick([3, 1000]),
      applyEntriesMax: this.#pick([1, 3, 100]),
      appendsInflightMax: this.#pick([1, 2, 4]),
    };
  }

  #chance(oneIn: number): boolean {
    return this.#prng.below(oneIn) === 0;
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#prng.below(choices.length)] as T;
  }
}

function whileUp(action: Action): Action {
  return (member) => {
    if (member.core !== undefined) action(member);
  };
}
