/**
 * Reads what watchers missed from the state, in blocks of whole revisions, and picks a watcher's part out of a block.
 * The last block is kept, so that many watchers that fell behind together cost one read and not one each.
 */
import type { Event } from "../../../proto/gen/etcd/kv.js";
import { status, WireError } from "../../../proto/status.js";
import type { RevisionChanges, StateReader } from "../state/types.js";
import type { WatchLimits } from "./limits.js";
import { contains, isSingleKey, type KeyText } from "./ranges.js";
import { eventBytes, WatchedChange, type WatchOptions } from "./watcher.js";

/** Where missed changes are read; asked anew each time, since a member may change to another state file. */
export interface WatchSource {
  readonly state: Pick<StateReader, "revision" | "compactRevision" | "changesSince">;
}

interface BlockChange {
  readonly revision: number;
  readonly watched: WatchedChange;
}

/** Every change of the revisions from `from` to `through`. */
export interface Block {
  readonly from: number;
  readonly through: number;
  /** Revision of the store when the block was read, at least `through`. */
  readonly head: number;
  readonly changes: readonly BlockChange[];
  readonly byKey: ReadonlyMap<KeyText, readonly BlockChange[]>;
}

/** A watcher's part of a block: its events up to and including revision `through`. */
export interface Portion {
  readonly events: Event[];
  readonly through: number;
}

type BlockLimits = Pick<WatchLimits, "blockRevisionsMax" | "blockBytesMax">;

export class CatchUpReader {
  private readonly source: WatchSource;
  private readonly limits: BlockLimits;
  private block: Block | undefined;

  constructor(source: WatchSource, limits: BlockLimits) {
    this.source = source;
    this.limits = limits;
  }

  /** A block that holds revision `from`; undefined if that is above the head, or compacted, as the state knows by then. */
  blockFor(from: number): Block | undefined {
    const { state } = this.source;
    if (this.block !== undefined && this.block.from <= from && from <= this.block.through) return this.block;
    // The head is asked for first: a block may know more than it claims, never less.
    const head = state.revision();
    if (from > head) return undefined;
    const { blockRevisionsMax, blockBytesMax } = this.limits;
    const revisions = unlessCompacted(() => state.changesSince(from, blockRevisionsMax, blockBytesMax));
    if (revisions === undefined) return undefined;
    // Whatever cut the block short, it reaches to its last revision; with none there is nothing up to the head.
    const through = revisions.at(-1)?.revision ?? head;
    this.block = { from, through, head: Math.max(head, through), ...sorted(revisions) };
    return this.block;
  }

  /** Lets go of the kept block: nobody is behind any more, or the state was replaced. */
  forget(): void {
    this.block = undefined;
  }
}

/** Another thread may have compacted a moment ago, and only the read itself finds out. */
function unlessCompacted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError && error.message === status.Compacted.message) return undefined;
    throw error;
  }
}

function sorted(revisions: readonly RevisionChanges[]): Pick<Block, "changes" | "byKey"> {
  const changes = revisions.flatMap(({ revision, changes: parts }) =>
    parts.map((change): BlockChange => ({ revision, watched: new WatchedChange(change) })),
  );
  const byKey = new Map<KeyText, BlockChange[]>();
  for (const change of changes) {
    const known = byKey.get(change.watched.key);
    if (known === undefined) byKey.set(change.watched.key, [change]);
    else known.push(change);
  }
  return { changes, byKey };
}

/** What a watcher still needs, and how much of it one message may hold. */
export interface Need {
  readonly options: WatchOptions;
  /** Lowest revision that it does not have. */
  readonly next: number;
  readonly bytesMax: number;
}

/** The events of a block that a watcher needs. Ends early, between two revisions, if they get large. */
export function portionOf(block: Block, { options, next, bytesMax }: Need): Portion {
  const { interval } = options;
  const candidates = isSingleKey(interval) ? (block.byKey.get(interval.start) ?? []) : block.changes;
  const events: Event[] = [];
  let bytes = 0;
  let revision = next - 1;
  for (const candidate of candidates) {
    if (candidate.revision < next) continue;
    if (candidate.revision > revision && bytes >= bytesMax) return { events, through: revision };
    revision = candidate.revision;
    if (!contains(interval, candidate.watched.key)) continue;
    const event = candidate.watched.eventFor(options);
    if (event === undefined) continue;
    events.push(event);
    bytes += eventBytes(event);
  }
  return { events, through: block.through };
}
