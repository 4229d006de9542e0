/**
 * Real Raft cores on a fake network and fake disks, driven one small step at a time. Nothing moves by itself: a message
 * travels when `deliver` says so, a write is durable when `completeWrite` says so, and a crash drops what is not.
 */
import { RaftCore } from "../../../src/server/raft/core.js";
import type {
  Append,
  Apply,
  Effects,
  Entry,
  HardState,
  MemberId,
  Membership,
  Message,
  RaftConfig,
  RaftEvent,
  RestoredState,
} from "../../../src/server/raft/types.js";

/** What a disk holds for sure. */
export interface DiskImage {
  hardState: HardState;
  firstIndex: number;
  previousTerm: number;
  entries: readonly Entry[];
}

/** One log on one disk; `perform` is the log store in ten lines. */
export function perform(image: DiskImage, append: Append): DiskImage {
  let { firstIndex, previousTerm } = image;
  let entries = [...image.entries];
  if (append.truncateFrom !== undefined) entries = entries.slice(0, append.truncateFrom - firstIndex);
  for (const entry of append.entries) {
    if (entry.index !== firstIndex + entries.length) throw new Error(`the disk would have a gap before ${entry.index}`);
    entries.push(entry);
  }
  if (append.compactTo !== undefined && append.compactTo >= firstIndex) {
    previousTerm = entries[append.compactTo - firstIndex]?.term ?? 0;
    entries = entries.slice(append.compactTo - firstIndex + 1);
    firstIndex = append.compactTo + 1;
  }
  return { hardState: append.hardState ?? image.hardState, firstIndex, previousTerm, entries };
}

export function termOnDisk(image: DiskImage, index: number): number | undefined {
  if (index === image.firstIndex - 1) return image.previousTerm;
  return image.entries[index - image.firstIndex]?.term;
}

/** One member: its core while it runs, its disk, and its state machine, a list of applied entries. */
export class TestMember {
  readonly config: RaftConfig;
  readonly membership: Membership;
  core: RaftCore | undefined;
  disk: DiskImage = {
    hardState: { term: 0, vote: undefined, commit: 0 },
    firstIndex: 1,
    previousTerm: 0,
    entries: [],
  };
  writes: Append[] = [];
  applying: Apply | undefined;
  /** Applied entries; the state file holds the first `stateDurable` of them for sure. */
  applied: Entry[] = [];
  stateDurable = 0;
  bootCount = 0;

  constructor(config: RaftConfig, membership: Membership) {
    this.config = config;
    this.membership = membership;
  }

  get id(): MemberId {
    return this.config.id;
  }

  /** Starts from the disk and from the applied state that survived. */
  start(seed: number): RaftCore {
    this.bootCount += 1;
    const restored: RestoredState = {
      ...this.disk,
      applied: this.applied.length,
      membership: this.membership,
      seed,
      bootCount: this.bootCount,
    };
    this.core = new RaftCore(this.config, restored);
    return this.core;
  }

  /** Loses what is not durable, apart from the first `writesKept` writes under way and the first `appliedKept` entries. */
  crash(kept: { readonly writes: number; readonly applied: number }): void {
    for (const append of this.writes.slice(0, kept.writes)) this.disk = perform(this.disk, append);
    this.writes = [];
    this.applying = undefined;
    this.applied = this.applied.slice(0, Math.max(this.stateDurable, kept.applied));
    this.core = undefined;
  }
}

/** Sees everything that happens; throws to fail the run. */
export interface Observer {
  onEffects(member: TestMember, effects: Effects): void;
  onStep(member: TestMember, event: RaftEvent): void;
  onWrite(member: TestMember, append: Append): void;
  onApply(member: TestMember, apply: Apply): void;
}

export class TestCluster {
  readonly members = new Map<MemberId, TestMember>();
  /** On their way, oldest first. */
  network: Message[] = [];
  /** Directed links that carry nothing, as "from>to". */
  readonly cuts = new Set<string>();
  readonly #observers: readonly Partial<Observer>[];

  constructor(configs: readonly RaftConfig[], membership: Membership, observers: readonly Partial<Observer>[] = []) {
    this.#observers = observers;
    for (const config of configs) this.members.set(config.id, new TestMember(config, membership));
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
    return effects;
  }

  /** The oldest write becomes durable; what waited for it leaves. */
  completeWrite(id: MemberId): boolean {
    const member = this.member(id);
    const append = member.writes.shift();
    if (append === undefined) return false;
    member.disk = perform(member.disk, append);
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
    for (const observer of this.#observers) observer.onApply?.(member, applying);
    member.applied.push(...applying.entries);
    this.step(id, { kind: "applied", index: applying.last });
    return true;
  }

  /** Hands a message to its receiver, if that runs and the link is whole. */
  deliver(message: Message): void {
    if (this.cuts.has(`${message.from}>${message.to}`)) return;
    if (this.members.get(message.to)?.core === undefined) return;
    this.step(message.to, { kind: "message", message });
  }

  /** Lets messages, writes and applies run until nothing is left to do. Ticks are not part of it. */
  settle(options: { readonly frozenDisks?: ReadonlySet<MemberId> } = {}): void {
    for (let round = 0; round < 10_000; round += 1) {
      let moved = false;
      for (const { id } of this.running) {
        while (options.frozenDisks?.has(id) !== true && this.completeWrite(id)) moved = true;
        while (this.completeApply(id)) moved = true;
      }
      const travelling = this.network;
      this.network = [];
      for (const message of travelling) this.deliver(message);
      if (!moved && travelling.length === 0) return;
    }
    throw new Error("the cluster does not come to rest");
  }
}
