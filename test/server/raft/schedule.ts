/**
 * A small cluster under a schedule that one seed decides: messages are lost, repeated and reordered, disks are slow,
 * links are cut, members crash and lose what is not durable, join and leave, need snapshots and hand over leadership.
 * Step n of a seed is the same however many steps follow.
 */

import { Prng } from "../../../src/server/raft/prng.js";
import type { MemberId, MembershipChange, RaftConfig, RaftLimits } from "../../../src/server/raft/types.js";
import { TestCluster } from "./cluster.js";
import { describeMember, describeMembership } from "./describe.js";
import type { TestMember } from "./member.js";
import { Oracle } from "./oracle.js";
import { bytes, config } from "./support.js";

export interface Scenario {
  readonly seed: number;
  readonly voters: number;
  readonly learners: number;
  readonly preVote: boolean;
  readonly steps: number;
  /** Whether members join, are promoted and leave. */
  readonly churn: boolean;
}

export interface Outcome {
  readonly commitIndex: number;
  readonly elections: number;
  readonly confirmedReads: number;
  readonly crashes: number;
  readonly changes: number;
  readonly installs: number;
  readonly transfers: number;
  /** Members that were removed and went for good. */
  readonly exits: number;
}

/** Runs the scenario; throws at the first contradiction. */
export function runScenario(scenario: Scenario): World {
  const world = new World(scenario);
  for (let step = 0; step < scenario.steps; step += 1) world.step();
  return world;
}

type Action = (member: TestMember) => void;

const membersMax = 7;

export class World {
  readonly #scenario: Scenario;
  readonly #prng: Prng;
  readonly #oracle = new Oracle();
  readonly #cluster: TestCluster;
  readonly #ids: MemberId[];
  readonly #actions: readonly Action[];
  readonly #gone = new Set<MemberId>();
  #requestId = 0;
  #crashes = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#prng = new Prng(scenario.seed);
    const ids = Array.from({ length: scenario.voters + scenario.learners }, (_none, offset) => BigInt(offset + 1));
    const membership = { voters: ids.slice(0, scenario.voters), learners: ids.slice(scenario.voters) };
    this.#ids = ids;
    const configs = ids.map((id) => this.#configure(id));
    this.#cluster = new TestCluster(configs, membership, [this.#oracle]);
    this.#oracle.found(this.#cluster);
    this.#actions = this.#weighted();
    for (const member of this.#cluster.members.values()) {
      member.found();
      this.#start(member);
    }
  }

  get outcome(): Outcome {
    const { commitIndex, elections, confirmedReads, changes, installs, transfers } = this.#oracle;
    const exits = this.#gone.size;
    return { commitIndex, elections, confirmedReads, crashes: this.#crashes, changes, installs, transfers, exits };
  }

  step(): void {
    const member = this.#cluster.member(this.#pick(this.#ids));
    const action = this.#pick(this.#actions);
    action(member);
  }

  /**
   * Ends all trouble. Whatever the members are by then must agree on everything within a few election timeouts, led by a
   * voter that can take another change; members that were removed and went stay away.
   */
  heal(): void {
    this.#cluster.cuts.clear();
    for (const member of this.#cluster.members.values()) this.#restart(member);
    const goal = this.#oracle.commitIndex + 1;
    for (let tick = 0; tick < 600; tick += 1) {
      for (const { id } of this.#cluster.running) this.#cluster.step(id, { kind: "tick" });
      this.#cluster.settle();
      const leader = this.#leader();
      if (leader !== undefined && tick % 5 === 0) this.#propose(leader);
      if (this.#isWhole(goal)) return;
    }
    const members = [...this.#cluster.members.values()].map(
      (member) =>
        `${describeMember(member)}, ${member.core === undefined ? "" : describeMembership(member.core.membership)}`,
    );
    throw new Error(`the healed cluster did not agree on ${goal}:\n${members.join("\n")}`);
  }

  #isWhole(goal: number): boolean {
    const { voters, learners } = this.#oracle.membership;
    const through = Math.max(goal, this.#oracle.commitIndex);
    const members = [...voters, ...learners].map((id) => this.#cluster.member(id));
    if (members.some(({ applied }) => applied.length < through)) return false;
    const { core } = this.#leader() ?? {};
    return core !== undefined && voters.includes(core.leader ?? 0n) && !core.transferring && !core.changePending;
  }

  /** Each seed has its own mix of trouble, so that no kind of it is always drowned by another. */
  #weighted(): Action[] {
    const churn = this.#scenario.churn ? 1 : 0;
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
      [this.#pick([5, 30, 60]), whileUp((member) => this.#compact(member))],
      [this.#pick([0, 1, 6]), whileUp((member) => this.#crash(member))],
      [20, (member) => this.#restart(member)],
      [this.#pick([0, 2, 8]), () => this.#cut()],
      [this.#pick([2, 8]), () => this.#cluster.cuts.clear()],
      [this.#pick([15, 60]), () => this.#snapshot()],
      [this.#pick([0, 3, 10]), () => this.#transfer()],
      [churn * this.#pick([20, 60, 200]), () => this.#change()],
      [churn * 30, whileUp((member) => this.#leave(member))],
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

  /** A snapshot arrives, in any order, or is lost; now and then it arrives again much later. */
  #snapshot(): void {
    const { snapshots } = this.#cluster;
    const [snapshot] = snapshots.splice(this.#prng.below(Math.max(1, snapshots.length)), 1);
    if (snapshot === undefined) return;
    if (this.#chance(8)) snapshots.push(snapshot);
    this.#cluster.deliverSnapshot(snapshot, this.#chance(5) ? "lost" : "arrives");
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
    const most = Math.min(member.stateDurable, member.core?.appliedIndex ?? 0);
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
    const leader = this.#leader()?.id;
    const from = leader !== undefined && this.#chance(2) ? leader : this.#pick(this.#ids);
    const others = this.#chance(3) ? [this.#pick(this.#ids)] : this.#ids;
    const mode = this.#pick(["out", "in", "both", "both"] as const);
    for (const to of others) {
      if (mode !== "in") this.#cluster.cuts.add(`${from}>${to}`);
      if (mode !== "out") this.#cluster.cuts.add(`${to}>${from}`);
    }
  }

  #transfer(): void {
    const leader = this.#leader();
    if (leader !== undefined) this.#cluster.step(leader.id, { kind: "transfer", to: this.#pick(this.#ids) });
  }

  /** Whatever comes to mind, valid or not, for whoever takes itself for the leader, sometimes for others. */
  #change(): void {
    const proposer = this.#chance(10) ? this.#cluster.member(this.#pick(this.#ids)) : this.#leader();
    if (proposer?.core === undefined) return;
    const op = this.#pick(["addVoter", "addLearner", "promote", "promote", "remove", "update"] as const);
    const isAdd = op === "addVoter" || op === "addLearner";
    const member = isAdd ? this.#newcomer() : this.#pickMember(proposer, op);
    if (member === undefined) return;
    this.#requestId += 1;
    const data = bytes(`change ${this.#requestId}`);
    const change = { op, member };
    this.#cluster.step(proposer.id, { kind: "proposeChange", requestId: this.#requestId, change, data });
  }

  #pickMember(proposer: TestMember, op: MembershipChange["op"]): MemberId {
    const { learners = [], voters = [] } = proposer.core?.membership ?? {};
    if (op === "promote" && learners.length > 0) return this.#pick(learners);
    return op === "remove" && this.#chance(3)
      ? proposer.id
      : this.#pick([...voters, ...learners, this.#pick(this.#ids)]);
  }

  /** Somebody who never was a member, since ids are not used again; undefined if the cluster is large enough. */
  #newcomer(): MemberId | undefined {
    const waiting = this.#ids.find((id) => !this.#oracle.wasMember(id) && !this.#gone.has(id));
    if (waiting !== undefined) return waiting;
    const { voters, learners } = this.#oracle.membership;
    if (voters.length + learners.length >= membersMax || this.#ids.length >= 2 * membersMax) return undefined;
    const id = BigInt(this.#ids.length + 1);
    this.#ids.push(id);
    this.#cluster.join(this.#configure(id));
    return id;
  }

  /** A member that may go after its removal goes for good. */
  #leave(member: TestMember): void {
    if (member.core?.removed !== true) return;
    this.#gone.add(member.id);
    this.#crash(member);
  }

  #restart(member: TestMember): void {
    if (member.core === undefined && !this.#gone.has(member.id)) this.#start(member);
  }

  #start(member: TestMember): void {
    member.start(this.#prng.below(2 ** 31));
    this.#cluster.take(member.id);
  }

  /** Whoever leads in the highest term. */
  #leader(): TestMember | undefined {
    const leaders = this.#cluster.running.filter(({ core }) => core?.role === "leader");
    return leaders.toSorted((a, b) => (b.core?.term ?? 0) - (a.core?.term ?? 0))[0];
  }

  #configure(id: MemberId): RaftConfig {
    return config(id, { electionTicks: 5, preVote: this.#scenario.preVote, limits: this.#drawLimits() });
  }

  /** Small windows and batches make rare paths common. */
  #drawLimits(): Partial<RaftLimits> {
    return {
      messageBytesMax: this.#pick([1, 60, 1000]),
      inflightMessagesMax: this.#pick([1, 2, 8]),
      inflightBytesMax: this.#pick([50, 10_000]),
      uncommittedBytesMax: this.#pick([200, 100_000]),
      appliedLagEntriesMax: this.#pick([3, 1000]),
      followerLagBytesMax: this.#pick([0, 1000, 100_000]),
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
