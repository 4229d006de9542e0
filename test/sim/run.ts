/**
 * One run of one seed: a cluster with clients and faults, checked all the time; then everything is healed, and the cluster
 * has to come back within a bound.
 */

import { StorageFailure } from "../../src/server/storage/failure.js";
import { LeaseValidator } from "../check/lease-validators.js";
import { LockValidator } from "../check/lock-validator.js";
import { HistoryChecks } from "./checks/history-checks.js";
import { name, RaftChecks } from "./checks/raft-checks.js";
import { call } from "./clients/call.js";
import { type ClientCounts, type ClientWorld, KvClient } from "./clients/kv-client.js";
import { LeaseClient } from "./clients/lease-client.js";
import { LockClient, lockPrefix } from "./clients/lock-client.js";
import { anchorKey, putRequest } from "./clients/requests.js";
import { WatchClient } from "./clients/watch-client.js";
import { SimCluster } from "./cluster/cluster.js";
import type { SimMember } from "./cluster/member.js";
import { type FaultKind, faultKinds, Nemesis } from "./cluster/nemesis.js";
import { Operator } from "./cluster/operator.js";
import { type Tuning, tune } from "./cluster/tuning.js";
import { disk, type Medium, resetFiles } from "./disk/virtual-fs.js";
import { Network } from "./world/network.js";
import { setTraps } from "./world/traps.js";
import { Violation, World } from "./world/world.js";

export interface RunOptions {
  readonly seed: number;
  /** Simulated minutes before the healing. */
  readonly minutes: number;
  /** The only faults allowed; if undefined, the seed chooses. */
  readonly only: readonly FaultKind[] | undefined;
  readonly opsPerSecond: number;
  /** On SQLite messages travel in production's frames too. */
  readonly medium: Medium;
  /** Fewer clients than the seed wants; for shrinking. */
  readonly clientsMax: number | undefined;
  readonly onTrace: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly seed: number;
  readonly violation: { readonly check: string; readonly message: string } | undefined;
  readonly traceHash: number;
  readonly faults: readonly FaultKind[];
  readonly medium: Medium;
  readonly members: number;
  readonly counts: ClientCounts;
  readonly entries: number;
  readonly events: number;
  readonly simulatedMs: number;
  /** What happened how often: elections, restarts, installed snapshots and so on. */
  readonly tallies: Readonly<Record<string, number>>;
}

/** Faults that may take away what was not synced. */
const powerKinds: readonly FaultKind[] = ["power", "crashAll", "hostDown", "cutWrite"];
const foundedIndex = 1;
/** After the healing: for a leader, for answers, for equal members. */
const settleMs = 60_000;
const lateLeaseMs = 6000;
/** Larger than any entry that the clients make. */
const entryBytesMax = 1000;

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  const restore = setTraps((violation) => run.world.fail(violation));
  let violation: RunResult["violation"];
  try {
    await run.perform();
  } catch (error) {
    const check = error instanceof Violation ? error.check : "crash";
    const message =
      error instanceof Violation
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    violation = { check, message };
  } finally {
    restore();
    resetFiles();
  }
  return { ...run.result(), violation };
}

class Run {
  readonly world: World;
  private readonly options: RunOptions;
  private readonly tuning: Tuning;
  private readonly faults: readonly FaultKind[];
  private readonly raft: RaftChecks;
  private readonly history: HistoryChecks;
  private readonly leases = new LeaseValidator({ rateMax: 1.06, lateMs: lateLeaseMs });
  private readonly cluster: SimCluster;
  private readonly operator: Operator;
  private readonly nemesis: Nemesis;
  private readonly shared: ClientWorld;
  private readonly kvClients: KvClient[] = [];
  private readonly watchers: WatchClient[] = [];
  private readonly locks: LockValidator;
  private stopping = false;
  private nemesisMs = 0;

  constructor(options: RunOptions) {
    this.options = options;
    this.world = new World(options.seed);
    this.world.onTrace = options.onTrace;
    const random = this.world.random("run");
    this.tuning = tune(this.world.random("tuning"), options.opsPerSecond);
    this.faults = options.only ?? faultKinds.filter(() => random.chance(0.3));
    const voters = SimCluster.founderIds(this.tuning.memberCount);
    this.raft = new RaftChecks({ voters, learners: [] }, foundedIndex, (what) => this.world.tally(what));
    this.history = new HistoryChecks(foundedIndex, this.leases, () => this.world.nowMs);
    this.locks = new LockValidator(this.history.model, lockPrefix);
    disk.medium = options.medium;
    disk.random = this.world.random("disk");
    disk.copyChance = this.faults.some((kind) => powerKinds.includes(kind)) ? 0.05 : 0;
    this.cluster = new SimCluster({
      world: this.world,
      network: new Network(this.world, this.raft, { framed: options.medium === "sqlite" }),
      tuning: this.tuning,
      clusterId: 0xc1n,
      raft: this.raft,
      history: this.history,
      clockFaults: this.faults.includes("clock"),
      cutFaults: this.faults.includes("cutWrite"),
    });
    this.operator = new Operator(this.cluster);
    this.nemesisMs = random.pick([2000, 5000, 15_000]);
    this.nemesis = new Nemesis({
      cluster: this.cluster,
      operator: this.operator,
      kinds: this.faults,
      everyMs: this.nemesisMs,
      revision: () => this.history.toldRevision,
    });
    this.shared = {
      world: this.world,
      history: this.history,
      keyCount: this.tuning.keyCount,
      thinkMs: this.tuning.thinkMs,
      leases: [],
      ports: () => this.cluster.ports,
      stopping: () => this.stopping,
      counts: { calls: 0, acknowledged: 0, failed: 0, lost: 0, events: 0 },
    };
  }

  result(): Omit<RunResult, "violation"> {
    const { world, tuning, faults, shared } = this;
    return {
      seed: world.seed,
      traceHash: world.traceHash,
      faults,
      medium: this.options.medium,
      members: tuning.memberCount,
      counts: shared.counts,
      entries: this.history.appliedIndex,
      events: world.eventCount,
      simulatedMs: world.nowMs,
      tallies: Object.fromEntries(world.tallies),
    };
  }

  async perform(): Promise<void> {
    this.cluster.found();
    const story = this.story();
    let ended = false;
    story.then(
      () => (ended = true),
      (error: unknown) => this.world.fail(error as Error),
    );
    const limitMs = this.options.minutes * 60_000 + 10 * settleMs;
    await this.world.run(limitMs, () => ended);
    if (!ended) throw new Violation("liveness", "the run did not come to its end");
  }

  private async story(): Promise<void> {
    await this.until("the first write", 30_000, () => this.write(anchorKey));
    this.startClients();
    this.background(this.nemesis.run());
    this.background(this.watchBounds());
    await this.world.sleep(this.options.minutes * 60_000);
    this.nemesis.heal();
    await this.recover();
    await this.endClients();
    this.checkDenied();
    await this.checkLeaks();
  }

  private startClients(): void {
    const { tuning, options } = this;
    const most = options.clientsMax ?? Number.POSITIVE_INFINITY;
    for (let at = 0; at < Math.min(tuning.clientCount, most); at += 1)
      this.kvClients.push(new KvClient(this.shared, `c${at}`));
    for (let at = 0; at < Math.min(tuning.watcherCount, most); at += 1)
      this.watchers.push(new WatchClient(this.shared, `w${at}`));
    for (const client of [...this.kvClients, ...this.watchers]) this.background(client.run());
    for (let at = 0; at < Math.min(tuning.leaseClientCount, most); at += 1) {
      this.background(new LeaseClient(this.shared, this.leases, at).run());
    }
    for (let at = 0; at < Math.min(tuning.lockClientCount, most); at += 1)
      this.background(new LockClient(this.shared, { leases: this.leases, locks: this.locks }, at).run());
  }

  /** What members keep in memory has bounds, whatever happens. */
  private async watchBounds(): Promise<void> {
    const { replica, raft } = this.tuning;
    const tailEntries = replica.catchUpEntries + replica.logSlackEntries + raft.applyEntriesMax;
    // The log may be kept for a snapshot up to four times its limit; what is not committed comes on top.
    const logBytesMax = 5 * replica.logBytesMax + raft.uncommittedBytesMax + tailEntries * entryBytesMax;
    while (!this.stopping) {
      await this.world.sleep(1000);
      for (const { id, parts } of this.cluster.up) {
        if (parts === undefined) continue;
        const { logBytes } = parts.core;
        if (logBytes > logBytesMax)
          throw new Violation("bounds", `${name(id)} keeps ${logBytes} bytes of log, more than ${logBytesMax}`);
        const { streams } = parts.hub.stats();
        if (streams > 2 * (this.watchers.length + this.tuning.lockClientCount))
          throw new Violation("bounds", `${name(id)} keeps ${streams} watch streams`);
      }
    }
  }

  private background(work: Promise<void>): void {
    work.catch((error: unknown) => this.world.fail(error as Error));
  }

  /** Waits for something; that it does not come in time is a violation of liveness. */
  private async until(what: string, withinMs: number, done: () => boolean | Promise<boolean>): Promise<void> {
    const untilMs = this.world.nowMs + withinMs;
    while (!(await done())) {
      if (this.world.nowMs > untilMs)
        throw new Violation("liveness", `${what} did not come within ${withinMs} ms; ${this.situation()}`);
      await this.world.sleep(100);
    }
  }

  private situation(): string {
    const { voters, learners } = this.raft.current;
    const members = this.cluster.members.map(({ id, state, parts }) => {
      const core =
        parts === undefined
          ? ""
          : ` ${parts.core.role} term ${parts.core.term} commit ${parts.core.commitIndex} applied ${parts.core.appliedIndex}`;
      return `${name(id)} ${state}${core}`;
    });
    return `voters ${voters.map(name).join(" ")}, learners ${learners.map(name).join(" ")}: ${members.join("; ")}`;
  }

  private async write(key: string): Promise<boolean> {
    const { world } = this;
    this.writes += 1;
    const request = putRequest(key, `run-${this.writes}`);
    const port = world.random(`write ${this.writes}`).pick(this.cluster.ports);
    const reply = await call(port, { world, random: world.random("writes"), timeoutMs: 5000 }, (services, context) =>
      services.kv.put(request, context),
    );
    return reply.kind === "ok";
  }

  private writes = 0;

  private async recover(): Promise<void> {
    const { world, cluster, operator } = this;
    // A member that was added, whose operator was not told: whoever looks at the list of members starts it.
    const listed = [...this.raft.current.voters, ...this.raft.current.learners];
    for (const id of listed) operator.startJoiner(id);
    await this.until("a leader", settleMs, () => cluster.leader !== undefined);
    await this.until("the end of what cannot be repaired", settleMs, async () => {
      const { voters, learners } = this.raft.current;
      for (const id of [...voters, ...learners]) {
        const member = cluster.byId(id);
        if (member === undefined) operator.startJoiner(id);
        else if (member.state === "ruined" || member.state === "removed") return operator.remove(id).then(() => false);
        else member.start();
      }
      return true;
    });
    await this.until("a write", settleMs, () => this.write(anchorKey));
    await this.until("equal members", settleMs, () => this.allEqual());
    for (const member of cluster.current) this.compareState(member);
    world.note("recovered");
  }

  /** Members that have applied as much hold the same, byte for byte; one whose file was damaged may find that out now. */
  private compareState({ id, parts, damaged }: SimMember): void {
    if (parts === undefined) return;
    const { state } = parts.replica;
    try {
      const hash = state.hashAll();
      this.world.note("state", hash);
      this.history.hashed(id, -1 - state.appliedIndex(), hash);
    } catch (error) {
      if (!(damaged && error instanceof StorageFailure)) throw error;
    }
  }

  /** Every member of the cluster runs and has applied what the leader has. */
  private allEqual(): boolean {
    const { leader, current } = this.cluster;
    const index = leader?.parts?.core.commitIndex;
    return current.every(({ state, parts }) => {
      if (state === "ruined") return true;
      return state === "up" && parts !== undefined && index !== undefined && parts.core.appliedIndex >= index - 5;
    });
  }

  private async endClients(): Promise<void> {
    const healthySinceMs = this.world.nowMs;
    this.stopping = true;
    await this.world.sleep(12_000);
    const { revision } = this.history.model;
    for (const watcher of this.watchers) watcher.settle(revision);
    await this.until("the end of all leases", 40_000, () => {
      this.leases.settled(healthySinceMs, this.world.nowMs);
      const [finding] = this.leases.findings;
      if (finding !== undefined) throw new Violation(`lease ${finding.problem}`, finding.detail);
      return this.leases.alive.length === 0;
    });
  }

  /** Nothing is left of clients that have gone. */
  private async checkLeaks(): Promise<void> {
    for (const watcher of this.watchers) watcher.leave();
    await this.until("the end of all that clients asked for", 30_000, () =>
      this.cluster.up.every(({ parts }) => {
        if (parts === undefined) return true;
        const { streams, pendingEvents } = parts.hub.stats();
        return streams === 0 && pendingEvents === 0 && parts.replica.counts().pendingProposals === 0;
      }),
    );
  }

  /** What was surely not done must not be in the log. */
  private checkDenied(): void {
    for (const { denied } of this.kvClients) {
      for (const write of denied) {
        if (this.history.find(write) !== undefined)
          throw new Violation("denied", `write ${write} was refused and is in the log all the same`);
      }
    }
  }
}
