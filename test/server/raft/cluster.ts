/**
 * Real Raft cores on a fake network and fake disks, driven one small step at a time. Nothing moves by itself: a message
 * travels when `deliver` says so, a write is durable when `completeWrite` says so, and a crash drops what is not.
 */
import { RaftCore } from "../../../src/server/raft/core.js";
import type {
  Append,
  Apply,
  Effects,
  MemberId,
  Membership,
  Message,
  RaftConfig,
  RaftEvent,
  SnapshotMeta,
} from "../../../src/server/raft/types.js";
import { type Shared, TestMember } from "./member.js";

/** Sees everything that happens; throws to fail the run. */
export interface Observer {
  onEffects(member: TestMember, effects: Effects): void;
  onStep(member: TestMember, event: RaftEvent): void;
  onWrite(member: TestMember, append: Append): void;
  onApply(member: TestMember, apply: Apply): void;
}

/** A snapshot on its way. */
export interface TravellingSnapshot {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term and life when it was asked for the snapshot. */
  readonly term: number;
  readonly boot: number;
  readonly snapshot: SnapshotMeta;
}

export class TestCluster {
  readonly members = new Map<MemberId, TestMember>();
  /** On their way, oldest first. */
  network: Message[] = [];
  snapshots: TravellingSnapshot[] = [];
  /** Directed links that carry nothing, as "from>to". */
  readonly cuts = new Set<string>();
  readonly #observers: readonly Partial<Observer>[];
  readonly shared: Shared;

  constructor(configs: readonly RaftConfig[], membership: Membership, observers: readonly Partial<Observer>[] = []) {
    this.#observers = observers;
    this.shared = { founders: membership, files: new Map() };
    for (const config of configs) this.members.set(config.id, new TestMember(config, membership, this.shared));
  }

  /** A member that will be told by a snapshot who it is. */
  join(config: RaftConfig): TestMember {
    const member = new TestMember(config, { voters: [], learners: [] }, this.shared);
    this.members.set(config.id, member);
    return member;
  }

  member(id: MemberId): TestMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }

  core(id: MemberId): RaftCore {
    const { core } = this.member(id);
    if (core === undefined) throw new Error(`member ${id} is down`);
    return core;
  }

  get running(): readonly TestMember[] {
    return [...this.members.values()].filter(({ core }) => core !== undefined);
  }

  /** One event without the end of a turn. */
  stepOnly(id: MemberId, event: RaftEvent): void {
    this.core(id).step(event);
    for (const observer of this.#observers) observer.onStep?.(this.member(id), event);
  }

  /** One event that is a whole turn. */
  step(id: MemberId, event: RaftEvent): void {
    this.stepOnly(id, event);
    this.take(id);
  }

  /** Ends a member's turn: its messages are on the network, its write and its apply are under way. */
  take(id: MemberId): Effects | undefined {
    const member = this.member(id);
    const effects = this.core(id).take();
    if (effects === undefined) return undefined;
    for (const observer of this.#observers) observer.onEffects?.(member, effects);
    if (effects.append !== undefined) member.writes.push(effects.append);
    if (effects.apply !== undefined) {
      if (member.applying !== undefined) throw new Error("two ranges are being applied at once");
      member.applying = effects.apply;
    }
    this.network.push(...effects.send);
    for (const peer of effects.needSnapshot) this.#sendSnapshot(member, peer);
    return effects;
  }

  /** The oldest write becomes durable; what waited for it leaves. */
  completeWrite(id: MemberId): boolean {
    const member = this.member(id);
    const append = member.writes.shift();
    if (append === undefined) return false;
    member.perform(append);
    for (const observer of this.#observers) observer.onWrite?.(member, append);
    this.network.push(...append.sendAfter);
    this.step(id, { kind: "durable", appendId: append.id });
    return true;
  }

  completeApply(id: MemberId): boolean {
    const member = this.member(id);
    const { applying } = member;
    if (applying === undefined) return false;
    member.applying = undefined;
    // A snapshot that was installed meanwhile holds all of it.
    if (applying.last > member.applied.length) {
      for (const observer of this.#observers) observer.onApply?.(member, applying);
      member.applied.push(...applying.entries);
    }
    this.step(id, { kind: "applied", index: applying.last });
    return true;
  }

  /** Hands a message to its receiver, if that runs and the link is whole. */
  deliver(message: Message): void {
    if (this.cuts.has(`${message.from}>${message.to}`)) return;
    if (this.members.get(message.to)?.core === undefined) return;
    this.step(message.to, { kind: "message", message });
  }

  /** Hands a snapshot to its receiver, unless it is lost, and tells the sender how that went. */
  deliverSnapshot({ from, to, term, boot, snapshot }: TravellingSnapshot, fate: "arrives" | "lost" = "arrives"): void {
    const whole = !this.cuts.has(`${from}>${to}`) && this.members.get(to)?.core !== undefined;
    const ok = whole && fate === "arrives";
    if (ok) this.step(to, { kind: "snapshotReceived", from, term, snapshot });
    const sender = this.members.get(from);
    if (sender?.core !== undefined && sender.bootCount === boot)
      this.step(from, { kind: "snapshotSent", peer: to, ok });
  }

  /** Lets messages, snapshots, writes and applies run until nothing is left to do. Ticks are not part of it. */
  settle(options: { readonly frozenDisks?: ReadonlySet<MemberId> } = {}): void {
    for (let round = 0; round < 10_000; round += 1) {
      let moved = false;
      for (const { id } of this.running) {
        while (options.frozenDisks?.has(id) !== true && this.completeWrite(id)) moved = true;
        while (this.completeApply(id)) moved = true;
      }
      const { network, snapshots } = this;
      this.network = [];
      this.snapshots = [];
      for (const message of network) this.deliver(message);
      for (const snapshot of snapshots) this.deliverSnapshot(snapshot);
      if (!moved && network.length + snapshots.length === 0) return;
    }
    throw new Error("the cluster does not come to rest");
  }

  #sendSnapshot(sender: TestMember, to: MemberId): void {
    const term = sender.core?.term ?? 0;
    this.snapshots.push({ from: sender.id, to, term, boot: sender.bootCount, snapshot: sender.exportState() });
  }
}
