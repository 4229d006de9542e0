/**
 * One watcher: what it wants to see, where it stands, and the events that one change becomes for it.
 */
import { type Event, Event_EventType } from "../../../proto/gen/etcd/kv.js";
import type { Change } from "../state/types.js";
import { type Interval, type KeyText, keyText } from "./ranges.js";

/** What the creator of a watcher asks for. Source: spec/server.md 4.1. */
export interface WatchOptions {
  readonly interval: Interval;
  /** First revision wanted; 0 for what comes after the current one. */
  readonly startRevision: number;
  /** 0n lets the stream choose. */
  readonly watchId: bigint;
  readonly puts: boolean;
  readonly deletes: boolean;
  readonly previousKv: boolean;
  /** Periodic progress messages, see {@link WatchStream}. */
  readonly progressNotify: boolean;
  /** Carried along with every message of events: the sender may cut it to size. */
  readonly fragment: boolean;
}

/** Where a watcher's live events go. */
export interface EventSink {
  /** Takes every event of one revision for one watcher, or makes the watcher fall behind if there is no room. */
  offer(watcher: Watcher, revision: number, events: Event[]): void;
}

export interface Watcher {
  readonly id: bigint;
  readonly options: WatchOptions;
  readonly sink: EventSink;
  /** Lowest revision that was not put into the stream's queue yet; nothing below it is ever sent. */
  next: number;
  /** Whether live changes reach it; otherwise it reads from the state until it has caught up. */
  synced: boolean;
  /** Whether it got no events since the last progress tick. */
  quiet: boolean;
  /** Events of the revision that the hub is sorting out right now. */
  gathered: Event[];
}

/** One change with its two faces, made at most once each however many watchers see it. */
export class WatchedChange {
  readonly key: KeyText;
  readonly change: Change;
  private plain: Event | undefined;
  private full: Event | undefined;

  constructor(change: Change) {
    this.change = change;
    this.key = keyText(change.kv.key);
  }

  /** The event for a watcher of this key; undefined if its filters drop it. */
  eventFor(options: WatchOptions): Event | undefined {
    if (this.change.kind === "put" ? !options.puts : !options.deletes) return undefined;
    if (!options.previousKv) {
      this.plain ??= this.event(undefined);
      return this.plain;
    }
    this.full ??= this.event(this.change.previous());
    return this.full;
  }

  private event(prevKv: Event["prevKv"]): Event {
    const { kind, kv } = this.change;
    return { type: kind === "put" ? Event_EventType.PUT : Event_EventType.DELETE, kv, prevKv };
  }
}

/** Upper bound of an event's fields other than its bytes, encoded. */
const eventOverheadBytes = 64;

/** About how many bytes an event takes in memory and on the wire. */
export function eventBytes(event: Event): number {
  const pairs = [event.kv, event.prevKv];
  return pairs.reduce((sum, kv) => sum + (kv === undefined ? 0 : kv.key.length + kv.value.length), eventOverheadBytes);
}
