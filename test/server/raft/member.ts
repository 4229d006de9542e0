/** One member of a test cluster: its core while it runs, its disk, and a state machine that is a list of applied entries. */
import { decodeChange } from "../../../src/server/raft/change.js";
import { nextMembership } from "../../../src/server/raft/configuration.js";
import { RaftCore } from "../../../src/server/raft/core.js";
import type {
  Append,
  Apply,
  Entry,
  HardState,
  MemberId,
  Membership,
  RaftConfig,
  SnapshotMeta,
} from "../../../src/server/raft/types.js";

/** What a disk holds for sure. */
export interface DiskImage {
  hardState: HardState;
  firstIndex: number;
  previousTerm: number;
  entries: readonly Entry[];
  /** As of the entry before the first. */
  membership: Membership;
}

/** What members have in common: how the cluster was founded, and state files by name, as lists of applied entries. */
export interface Shared {
  readonly founders: Membership;
  readonly files: Map<string, readonly Entry[]>;
}

/** Stands for the founding of a cluster: what every founder has applied before anything else. */
const foundingEntry: Entry = { index: 1, term: 1, kind: "noop", data: new Uint8Array(0) };

/** One log on one disk; `perform` is the log store in a few lines. */
export function perform(image: DiskImage, append: Append): DiskImage {
  const hardState = append.hardState ?? image.hardState;
  const { install, compact } = append;
  if (install !== undefined) {
    const { index, term, membership } = install;
    return { hardState, firstIndex: index + 1, previousTerm: term, entries: [], membership };
  }
  let { firstIndex, previousTerm, membership } = image;
  let entries = [...image.entries];
  if (append.truncateFrom !== undefined) entries = entries.slice(0, append.truncateFrom - firstIndex);
  for (const entry of append.entries) {
    if (entry.index !== firstIndex + entries.length) throw new Error(`the disk would have a gap before ${entry.index}`);
    entries.push(entry);
  }
  if (compact !== undefined && compact.to >= firstIndex) {
    previousTerm = entries[compact.to - firstIndex]?.term ?? 0;
    entries = entries.slice(compact.to - firstIndex + 1);
    firstIndex = compact.to + 1;
    membership = compact.membership;
  }
  return { hardState, firstIndex, previousTerm, entries, membership };
}

export function termOnDisk(image: DiskImage, index: number): number | undefined {
  if (index === image.firstIndex - 1) return image.previousTerm;
  return image.entries[index - image.firstIndex]?.term;
}

/** The configuration after the changes among these entries. Throws if one of them does not fit. */
export function membershipAfterAll(membership: Membership, entries: readonly Entry[]): Membership {
  return entries.reduce((before, entry) => {
    const next = entry.kind === "change" ? nextMembership(before, decodeChange(entry.data).change) : before;
    if (next === undefined) throw new Error(`the change at ${entry.index} does not fit`);
    return next;
  }, membership);
}

export class TestMember {
  readonly config: RaftConfig;
  readonly #shared: Shared;
  core: RaftCore | undefined;
  disk: DiskImage;
  writes: Append[] = [];
  applying: Apply | undefined;
  /** Applied entries; the state file holds the first `stateDurable` of them for sure. */
  applied: Entry[] = [];
  stateDurable = 0;
  bootCount = 0;

  /** A founder knows the founders, a joiner nobody. */
  constructor(config: RaftConfig, membership: Membership, shared: Shared) {
    this.config = config;
    this.#shared = shared;
    const hardState = { term: 0, vote: undefined, commit: 0 };
    this.disk = { hardState, firstIndex: 1, previousTerm: 0, entries: [], membership };
  }

  get id(): MemberId {
    return this.config.id;
  }

  /** Writes what every founder writes: the founding is entry 1, and is compacted already. */
  found(): void {
    this.disk = { ...this.disk, hardState: { term: 1, vote: undefined, commit: 1 }, firstIndex: 2, previousTerm: 1 };
    this.applied = [foundingEntry];
    this.stateDurable = 1;
  }

  /** Starts from the disk and from the applied state that survived. */
  start(seed: number): RaftCore {
    this.bootCount += 1;
    const { disk, applied, bootCount } = this;
    this.core = new RaftCore(this.config, { ...disk, applied: applied.length, seed, bootCount });
    return this.core;
  }

  perform(append: Append): void {
    this.disk = perform(this.disk, append);
    if (append.install === undefined) return;
    const state = this.#shared.files.get(append.install.file);
    if (state === undefined) throw new Error(`there is no state file ${append.install.file}`);
    this.applied = [...state];
    this.stateDurable = state.length;
  }

  /** The state as of now, under a new name. */
  exportState(): SnapshotMeta {
    const last = this.applied.at(-1);
    if (last === undefined) throw new Error("an empty state is no snapshot");
    const file = `state-${this.#shared.files.size + 1}`;
    this.#shared.files.set(file, [...this.applied]);
    const membership = membershipAfterAll(this.#shared.founders, this.applied);
    return { index: last.index, term: last.term, membership, file };
  }

  /** Loses what is not durable, apart from the first `writesKept` writes under way and the first `appliedKept` entries. */
  crash(kept: { readonly writes: number; readonly applied: number }): void {
    this.applied = this.applied.slice(0, Math.max(this.stateDurable, kept.applied));
    for (const append of this.writes.slice(0, kept.writes)) this.perform(append);
    this.writes = [];
    this.applying = undefined;
    this.core = undefined;
  }
}
