/**
 * A cluster in memory: real cores, logs, states and replicas, plugged together as in production, with a clock that the test
 * turns, messages that are delivered in order, and members that can be cut off, stopped and started again.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PutRequest, RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError } from "../../../proto/status.js";
import { type AssembledMember, assembleMember, createCore, type MemberWorld } from "../../../src/server/assemble.js";
import type { RaftCore } from "../../../src/server/raft/core.js";
import type { Message, RaftLimits } from "../../../src/server/raft/types.js";
import { inlineLog, inlineState } from "../../../src/server/replica/inline.js";
import type { OutgoingSnapshot, PeerAddress, PeerListener, Peers } from "../../../src/server/replica/peers.js";
import type { LocalReplica } from "../../../src/server/replica/replica.js";
import type { Clock } from "../../../src/server/runtime/clock.js";
import type { CommandBody } from "../../../src/server/state/types.js";
import type { Bootstrap } from "../../../src/server/storage/types.js";
import { defaultLimits, openStores, type Stores, sameForAll } from "./one-member.js";
import { filesIn, seededRandom } from "./world-parts.js";

export const clusterId = 77n;
const text = new TextEncoder();
const stepMs = 10;
const electionMs = 1000;
const heartbeatMs = 100;
const chunkBytes = 16_384;

/** What a test changes about all members. */
export type WorldOptions = Partial<
  Pick<MemberWorld, "limits" | "reconfiguration" | "leaseCheckpoint" | "corruptCheckIntervalMs">
> & {
  /** Whether a member that stops refuses connections, as a process that ended on a host that lives. */
  readonly refuses?: boolean;
  /** Limits of the cores; those of production if not given. */
  readonly raft?: RaftLimits;
  /** Entries between two marks of the rolling hash. */
  readonly markIntervalEntries?: number;
};

/** One life of a member. */
export interface Life extends AssembledMember {
  readonly id: bigint;
  readonly core: RaftCore;
  readonly stores: Stores;
  readonly startedMs: number;
  /** Whom its links go to. */
  linked: readonly PeerAddress[];
  removed: boolean;
  alive: boolean;
}

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

export class ClusterWorld {
  nowMs = 1000;
  readonly fatal: unknown[] = [];
  /** Every message that was delivered, for tests that look at the traffic. */
  readonly delivered: Message[] = [];
  /** Decides which messages are lost. */
  drops: (message: Message) => boolean = () => false;
  /** A member whose transport says that nobody is connected. */
  claimsUnconnected: bigint | undefined;
  /** A member that tells other hashes than it has: of what it applied, or of what it has stored. */
  spoilMarks: bigint | undefined;
  spoilHashes: bigint | undefined;
  /** A member whose disk answers nothing, and one whose state does not. */
  hangingDisk: bigint | undefined;
  hangingState: bigint | undefined;
  snapshotsSent = 0;
  snapshotsTried = 0;
  /** Snapshots arrive, but for their end, and wait for this. */
  snapshotGate: Promise<void> = Promise.resolve();
  /** So many snapshots break off half-way, or arrive damaged. */
  breakSnapshots = 0;
  damageSnapshots = 0;
  private readonly dir = mkdtempSync(join(tmpdir(), "litecd-cluster-"));
  private readonly options: WorldOptions;
  private readonly lives = new Map<bigint, Life>();
  private readonly cut = new Set<string>();
  private readonly queue: (() => void)[] = [];
  private timers: Timer[] = [];

  constructor(options: WorldOptions = {}) {
    this.options = options;
  }

  /** Starts `count` founders, ids 1, 2, …, named n1, n2, … */
  found(count: number): void {
    const ids = Array.from({ length: count }, (_, n) => BigInt(n + 1));
    const founders = ids.map((id) => ({ id, name: `n${id}`, peerUrls: [urlOf(id)], clientUrls: [], learner: false }));
    const membership = { voters: ids, learners: [] };
    for (const memberId of ids) {
      this.start(memberId, { kind: "found", identity: { clusterId, memberId }, membership, founders });
    }
  }

  private whenAnswers(hangs: () => boolean, work: () => void): void {
    if (hangs()) this.timers.push({ atMs: this.nowMs + stepMs, callback: () => this.whenAnswers(hangs, work) });
    else work();
  }

  /** Starts a member that was added, from nothing. */
  join(id: bigint): Life {
    const membership = { voters: [], learners: [] };
    const firstPeers = [...this.lives.keys()].map((other) => ({ id: other, peerUrls: [urlOf(other)] }));
    return this.start(id, { kind: "join", identity: { clusterId, memberId: id }, membership }, firstPeers);
  }

  start(id: bigint, bootstrap: Bootstrap = restarts(id), firstPeers: readonly PeerAddress[] = []): Life {
    const dir = join(this.dir, id.toString());
    const stores = openStores(dir, bootstrap, (error) => this.fatal.push(error), this.options.markIntervalEntries);
    const { initial } = stores.log;
    const core = createCore({
      initial,
      appliedIndex: stores.state.reader.appliedIndex(),
      electionMs,
      heartbeatMs,
      preVote: true,
      seed: (Number(id % 1000n) * 2_654_435_761 + initial.bootCount) % 2 ** 32,
      ...(this.options.raft === undefined ? {} : { limits: this.options.raft }),
    });
    stores.log.releaseEntries();
    // The parts below ask for the life that they belong to when they are called.
    let life: Life | undefined;
    const isAlive = (): boolean => life?.alive ?? true;
    const clock = this.clockOf(isAlive);
    const inline = { clock, observer: undefined, dataDir: dir, onFatal: (error: unknown) => this.fatal.push(error) };
    const defer = (work: () => void): void => this.post(work, isAlive);
    const unless = (hangs: () => boolean) => ({
      ...inline,
      defer: (work: () => void) => this.whenAnswers(hangs, () => defer(work)),
    });
    const member = assembleMember({
      ...sameForAll,
      limits: defaultLimits,
      ...this.options,
      core,
      random: seededRandom(Number(id % 1000n) + initial.bootCount * 1000),
      identity: initial.identity,
      bootCount: initial.bootCount,
      log: inlineLog(
        stores.log,
        unless(() => this.hangingDisk === id),
      ),
      state: inlineState(
        stores.state,
        unless(() => this.hangingState === id),
      ),
      clock,
      schedule: defer,
      peers: this.peersOf(id),
      firstPeers,
      dataDir: dir,
      files: filesIn(dir),
      onRemoved: () => {
        if (life !== undefined) life.removed = true;
      },
      onFatal: (error) => this.fatal.push(error),
    });
    life = { ...member, id, core, stores, startedMs: this.nowMs, linked: [], removed: false, alive: true };
    this.lives.set(id, life);
    life.start();
    return life;
  }

  /** Ends a member like kill -9: nothing of it runs any more. */
  kill(id: bigint): void {
    const life = this.life(id);
    life.alive = false;
    life.stores.state.close();
    life.stores.log.close();
    if (this.options.refuses !== true) return;
    for (const other of this.running())
      this.post(
        () => other.listener.refused(id),
        () => other.alive,
      );
  }

  restart(id: bigint): Life {
    return this.start(id);
  }

  /** Nothing passes between this member and all others, until `heal`. */
  isolate(id: bigint): void {
    for (const other of this.lives.keys()) if (other !== id) this.cut.add(linkName(id, other));
  }

  heal(): void {
    this.cut.clear();
  }

  stateFileOf(id: bigint): string {
    return join(this.dir, id.toString(), this.life(id).stores.state.file);
  }

  life(id: bigint): Life {
    const life = this.lives.get(id);
    if (life === undefined) throw new Error(`no member ${id}`);
    return life;
  }

  replica(id: bigint): LocalReplica {
    return this.life(id).replica;
  }

  running(): Life[] {
    return [...this.lives.values()].filter(({ alive }) => alive);
  }

  /** The leader that all running members agree on, once there is one. */
  async leader(): Promise<Life> {
    await this.until(() => this.agreedLeader() !== undefined, "a leader that everybody knows");
    return this.agreedLeader() as Life;
  }

  async follower(): Promise<Life> {
    const leader = await this.leader();
    return this.running().find(({ id }) => id !== leader.id) as Life;
  }

  /** Lets so much time pass. */
  async run(durationMs: number): Promise<void> {
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs; ) await this.step();
  }

  /** The whole machine stood still for so long: the clock has moved and nothing has run. */
  jump(durationMs: number): void {
    this.nowMs += durationMs;
  }

  async until(condition: () => boolean, what: string, withinMs = 60_000): Promise<void> {
    for (const endMs = this.nowMs + withinMs; !condition(); ) {
      if (this.nowMs >= endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
      if (this.fatal.length > 0) throw this.fatal[0];
      await this.step();
    }
  }

  /** Lets time pass until the promise settles. */
  async settle<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let settled = false;
    promise.then(
      () => (settled = true),
      () => (settled = true),
    );
    await this.until(() => settled, "an answer", withinMs);
    return promise;
  }

  async put(id: bigint, key: string, value = "v"): Promise<number> {
    const { revision } = await this.settle(this.replica(id).propose<"put">(putOf(key, value)));
    return revision;
  }

  /** A member's local keys with their values. */
  keys(id: bigint): string[] {
    const all = RangeRequest.fromPartial({ key: new Uint8Array(1), rangeEnd: new Uint8Array(1) });
    const decoder = new TextDecoder();
    return this.replica(id)
      .state.range(all)
      .kvs.map(({ key, value }) => `${decoder.decode(key)}=${decoder.decode(value)}`);
  }

  async close(): Promise<void> {
    for (const life of this.running()) {
      life.alive = false;
      await life.replica.close();
      life.stores.state.close();
      life.stores.log.close();
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** For what a test puts beside the members. */
  get clock(): Clock {
    return this.clockOf(() => true);
  }

  private agreedLeader(): Life | undefined {
    const running = this.running();
    const leader = running.find(({ core }) => core.role === "leader");
    const agreed = running.every(({ core }) => core.leader === leader?.id && core.term === leader?.core.term);
    return agreed ? leader : undefined;
  }

  /** One step of time: what is due, and everything that follows from it at once. */
  private async step(): Promise<void> {
    this.nowMs += stepMs;
    const due = this.timers.filter(({ atMs }) => atMs <= this.nowMs).toSorted((a, b) => a.atMs - b.atMs);
    this.timers = this.timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { callback } of due) this.queue.push(callback);
    for (let turns = 0; turns < 50; turns += 1) {
      for (const work of this.queue.splice(0)) work();
      // Promises, and files of snapshots on their way.
      await new Promise(setImmediate);
      if (this.queue.length === 0) return;
    }
  }

  private post(work: () => void, isAlive: () => boolean): void {
    this.queue.push(() => {
      if (isAlive()) work();
    });
  }

  private clockOf(isAlive: () => boolean): Clock {
    return {
      wallMs: () => 1_700_000_000_000 + this.nowMs,
      monotonicMs: () => this.nowMs,
      after: (delayMs, callback) => {
        const timer: Timer = { atMs: this.nowMs + delayMs, callback: () => isAlive() && callback() };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((other) => other !== timer);
        };
      },
    };
  }

  private peersOf(self: bigint): Peers {
    const knows = (to: bigint): boolean => this.life(self).linked.some(({ id }) => id === to);
    const listenerOf = (to: bigint): PeerListener => {
      const life = this.lives.get(to);
      const reachable = life?.alive === true && !this.cut.has(linkName(self, to)) && knows(to);
      if (!reachable) throw new WireError(status.Timeout);
      return life.listener;
    };
    return {
      send: (messages) => {
        for (const message of messages) this.deliver(message, listenerOf);
      },
      setMembers: (others) => {
        const life = this.lives.get(self);
        if (life !== undefined) life.linked = others;
      },
      sendSnapshot: async (to, snapshot) => this.deliverSnapshot(listenerOf(to), snapshot),
      ask: async (to, question) => {
        const { kind } = await listenerOf(to).answer(self, question);
        if (kind?.$case === "hashKv" && this.spoilHashes === to)
          return { kind: { ...kind, value: { ...kind.value, hash: kind.value.hash ^ 1 } } };
        if (kind?.$case !== "stateMarks" || this.spoilMarks !== to) return { kind };
        const marks = kind.value.marks.map(({ index, hash }) => ({ index, hash: hash ^ 1 }));
        return { kind: { $case: "stateMarks", value: { marks } } };
      },
      connectedSinceMs: (id) => {
        const other = this.lives.get(id);
        if (this.claimsUnconnected === self || other?.alive !== true || this.cut.has(linkName(self, id)))
          return undefined;
        return Math.max(other.startedMs, this.life(self).startedMs);
      },
    };
  }

  private async deliverSnapshot(listener: PeerListener, snapshot: OutgoingSnapshot): Promise<void> {
    this.snapshotsTried += 1;
    const sink = listener.receiveSnapshot(snapshot);
    try {
      const bytes = readFileSync(snapshot.path);
      for (let from = 0; from < bytes.length; from += chunkBytes) {
        const chunk = bytes.subarray(from, from + chunkBytes);
        if (this.damageSnapshots > 0) chunk.fill(0, 100);
        await sink.write(chunk);
        if (this.breakSnapshots > 0) throw new Error("the stream broke");
      }
    } catch (error) {
      this.breakSnapshots -= 1;
      sink.abort(error);
      throw error;
    }
    await this.snapshotGate;
    if (this.damageSnapshots > 0) this.damageSnapshots -= 1;
    else this.snapshotsSent += 1;
    await sink.finish();
  }

  private deliver(message: Message, listenerOf: (to: bigint) => PeerListener): void {
    if (this.drops(message)) return;
    this.queue.push(() => {
      try {
        listenerOf(message.to).messages([message]);
        this.delivered.push(message);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        const sender = this.lives.get(message.from);
        if (sender?.alive === true) sender.listener.unreachable(message.to);
      }
    });
  }
}

/** A member with data ignores what it is told to begin with. */
function restarts(memberId: bigint): Bootstrap {
  return { kind: "join", identity: { clusterId, memberId }, membership: { voters: [], learners: [] } };
}

export function urlOf(id: bigint): string {
  return `http://n${id}:2380`;
}

export function putOf(key: string, value = "v"): CommandBody {
  return { $case: "put", value: PutRequest.fromPartial({ key: text.encode(key), value: text.encode(value) }) };
}

/** A call whose caller never goes away. */
export function patient(): { readonly signal: AbortSignal } {
  return { signal: new AbortController().signal };
}

function linkName(a: bigint, b: bigint): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
