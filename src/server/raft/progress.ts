/** What a leader knows of one peer, and how much it may send it (spec 1.8). */
import { invariant } from "../invariant.js";
import type { RaftLimits } from "./types.js";

/**
 * `probe`: where the logs meet is unknown, one message at a time. `replicate`: `next` runs ahead of the acks.
 * `snapshot`: what the peer needs is compacted; nothing is sent until it acknowledges an entry we still know.
 */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** Appends on their way to one peer: a ring of last indexes and bytes, bounded by count and by bytes. */
class InflightWindow {
  readonly #lastIndexes: Float64Array;
  readonly #sizes: Float64Array;
  readonly #bytesMax: number;
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(limits: RaftLimits) {
    this.#lastIndexes = new Float64Array(limits.inflightMessagesMax);
    this.#sizes = new Float64Array(limits.inflightMessagesMax);
    this.#bytesMax = limits.inflightBytesMax;
  }

  get full(): boolean {
    return this.#count === this.#lastIndexes.length || this.#bytes >= this.#bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  add(lastIndex: number, bytes: number): void {
    const newest = this.#lastIndexes[this.#slot(this.#count - 1)];
    invariant(!this.full, "an append was sent through a full window", { lastIndex, count: this.#count });
    invariant(this.#count === 0 || lastIndex > (newest ?? 0), "indexes in flight must rise", { lastIndex, newest });
    const slot = this.#slot(this.#count);
    this.#lastIndexes[slot] = lastIndex;
    this.#sizes[slot] = bytes;
    this.#count += 1;
    this.#bytes += bytes;
  }

  freeTo(index: number): void {
    while (this.#count > 0 && (this.#lastIndexes[this.#start] ?? 0) <= index) {
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#start = this.#slot(1);
      this.#count -= 1;
    }
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #slot(offset: number): number {
    const size = this.#lastIndexes.length;
    return (this.#start + offset + size) % size;
  }
}

export class Progress {
  state: ProgressState = "probe";
  /** Highest index the peer acknowledged in this term. */
  match = 0;
  /** First index that was not sent yet; what a probe asks for. */
  next: number;
  /** Heard from since the last check of the quorum. */
  active = false;
  /** Probe: the one message is on its way. */
  probing = false;
  /** A heartbeat left since the last echo was used: at most one repair in a heartbeat interval, however many reads run. */
  repairDue = false;
  /** A heartbeat came back while the peer is behind: send something that shows what was lost. */
  nudged = false;
  /** Highest commit index the peer was told. */
  toldCommit = 0;
  /** Highest read round the peer answered. */
  readRound = 0;
  /** Tick of the leader's life at which the peer was last heard. */
  heardAtTick = 0;
  /** While removed members wait: the first heartbeat round that told the peer to commit the removal. */
  toldRound: number | undefined;
  /** The driver was asked for a snapshot and has not reported yet, whatever became of the peer meanwhile. */
  sending = false;
  /** Snapshot: it reached the peer, whose acknowledgement is awaited for so many ticks. */
  #delivered = false;
  #awaitedTicks = 0;
  readonly window: InflightWindow;

  constructor(next: number, limits: RaftLimits) {
    this.next = next;
    this.window = new InflightWindow(limits);
  }

  /** Entries may be sent now. A full window still lets an empty append through. */
  get open(): boolean {
    switch (this.state) {
      case "probe":
        return !this.probing;
      case "replicate":
        return !this.window.full;
      case "snapshot":
        return false;
    }
  }

  /** A heartbeat came back; `lastIndex` is the leader's. */
  echoed(lastIndex: number): void {
    if (!this.repairDue) return;
    this.repairDue = false;
    this.probing = false;
    this.nudged = this.match < lastIndex;
  }

  /** The peer was heard, at this tick of the leader's life. */
  heard(tick: number): void {
    this.active = true;
    this.heardAtTick = tick;
  }

  /** The driver is to be asked for a snapshot. */
  get needsSnapshot(): boolean {
    return this.state === "snapshot" && !this.sending && !this.#delivered;
  }

  /**
   * The driver reports on the snapshot. After a failure the peer is asked again once it answers a heartbeat, from the
   * leader's `firstIndex` on.
   */
  snapshotSent(outcome: "delivered" | "failed", firstIndex: number): void {
    this.sending = false;
    if (this.state !== "snapshot") return;
    if (outcome === "delivered") {
      this.#delivered = true;
      this.#awaitedTicks = 0;
    } else {
      this.probe(Math.max(this.match + 1, firstIndex));
      this.probing = true;
    }
  }

  /** A peer that got a snapshot and does not acknowledge it may have lost it in a crash: ask where it is. */
  tick(electionTicks: number): void {
    if (this.state !== "snapshot" || !this.#delivered) return;
    this.#awaitedTicks += 1;
    if (this.#awaitedTicks >= electionTicks) this.probe(this.match + 1);
  }

  sent(lastIndex: number, bytes: number): void {
    this.nudged = false;
    if (this.state === "probe") this.probing = true;
    else if (lastIndex >= this.next) {
      this.window.add(lastIndex, bytes);
      this.next = lastIndex + 1;
    }
  }

  /** An append was accepted through `index`. `firstIndex` is the leader's own. */
  accepted(index: number, firstIndex: number): void {
    const old = index < this.match;
    const moved = index > this.match;
    this.match = Math.max(this.match, index);
    this.next = Math.max(this.next, index + 1);
    this.window.freeTo(index);
    if (old) return;
    if (this.state === "probe" || (this.state === "snapshot" && this.match >= firstIndex - 1)) {
      this.#enter("replicate", this.match + 1);
    } else if (this.#delivered && moved) {
      // It has the snapshot, and what comes next is compacted by now.
      this.probe(this.match + 1);
    }
  }

  /**
   * An append after `index` was rejected; `retry` is where the logs may meet, `firstIndex` the leader's own. If that is
   * compacted, only a snapshot can help. Old rejections change nothing.
   */
  rejected(index: number, retry: number, firstIndex: number): void {
    if (this.state === "snapshot" || index <= this.match) return;
    if (this.state === "replicate") {
      this.probe(this.match + 1);
      return;
    }
    if (index !== this.next - 1) return;
    const next = Math.max(Math.min(index, retry + 1), this.match + 1);
    if (next < firstIndex) this.#enter("snapshot", this.match + 1);
    else this.probe(next);
  }

  /** Back to one message at a time, asking for `next`. */
  probe(next: number): void {
    this.#enter("probe", next);
    this.toldCommit = Math.min(this.toldCommit, this.match);
  }

  #enter(state: ProgressState, next: number): void {
    this.state = state;
    this.next = next;
    this.probing = false;
    this.nudged = false;
    this.#delivered = false;
    this.window.clear();
  }
}
