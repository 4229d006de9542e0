/**
 * Reads what watchers missed from the state, in blocks of whole revisions, and picks a watcher's part out of a block.
 * The last block is kept, so that many watchers that fell behind together cost one read and not one each.
 */
import type { Event } from "../../../proto/gen/etcd/kv.js";
import type { RevisionChanges, StateReader } from "../state/types.js";
import { contains, isSingleKey, type KeyText } from "./ranges.js";
import { eventBytes, WatchedChange, type WatchOptions } from "./watcher.js";

/** Most revisions in one block, and so in one message. Source: spec/server.md 1.2. */
export const blockRevisionsMax = 1000;
/** A message of missed events ends at the first revision that brings it here. */
export const catchUpMessageBytesMax = 4 * 1024 * 1024;

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

export class CatchUpReader {
  private readonly source: { readonly state: StateReader };
  private block: Block | undefined;
  private compactRevision = -1;

  /** `source` is asked for its state at every read, because a member may change to another state file. */
  constructor(source: { readonly state: StateReader }) {
    this.source = source;
  }

  /** A block that holds revision `from`; undefined if it is above the head. `from` is not compacted. */
  blockFor(from: number): Block | undefined {
    const { state } = this.source;
    const compactRevision = state.compactRevision();
    // Changes below the compact revision may be gone from the store, and so from what a block may offer.
    if (compactRevision !== this.compactRevision) this.forget();
    this.compactRevision = compactRevision;
    if (this.block !== undefined && this.block.from <= from && from <= this.block.through) return this.block;
    // The head is asked for first: a block may know more than it claims, never less.
    const head = state.revision();
    if (from > head) return undefined;
    this.block = blockOf(from, head, state.changesSince(from, blockRevisionsMax));
    return this.block;
  }

  /** Lets go of the kept block: nobody is behind any more, or the state was replaced. */
  forget(): void {
    this.block = undefined;
  }
}

function blockOf(from: number, head: number, revisions: readonly RevisionChanges[]): Block {
  const last = revisions.at(-1)?.revision ?? 0;
  const changes = revisions.flatMap(({ revision, changes: parts }) =>
    parts.map((change): BlockChange => ({ revision, watched: new WatchedChange(change) })),
  );
  const byKey = new Map<KeyText, BlockChange[]>();
  for (const change of changes) {
    const known = byKey.get(change.watched.key);
    if (known === undefined) byKey.set(change.watched.key, [change]);
    else known.push(change);
  }
  const full = revisions.length >= blockRevisionsMax;
  const through = full ? last : Math.max(head, last);
  return { from, through, head: Math.max(head, last), changes, byKey };
}

/** The events of a block for a watcher that has everything below `next`. Ends early, between revisions, if they get large. */
export function portionOf(block: Block, options: WatchOptions, next: number): Portion {
  const { interval } = options;
  const candidates = isSingleKey(interval) ? (block.byKey.get(interval.start) ?? []) : block.changes;
  const events: Event[] = [];
  let bytes = 0;
  let revision = next - 1;
  for (const candidate of candidates) {
    if (candidate.revision < next) continue;
    if (candidate.revision > revision && bytes >= catchUpMessageBytesMax) return { events, through: revision };
    revision = candidate.revision;
    if (!contains(interval, candidate.watched.key)) continue;
    const event = candidate.watched.eventFor(options);
    if (event === undefined) continue;
    events.push(event);
    bytes += eventBytes(event);
  }
  return { events, through: block.through };
}
