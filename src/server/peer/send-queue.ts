/** Messages that wait for their turn on a link, bounded by number and by bytes. */

import type { Message } from "../raft/types.js";
import { dataBytes } from "./codec.js";

export interface QueueLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

/** What a message takes in a frame besides its data, roughly. */
const headBytes = 64;

export class SendQueue {
  private readonly limits: QueueLimits;
  private waiting: { readonly message: Message; readonly bytes: number }[] = [];
  private byteCount = 0;

  constructor(limits: QueueLimits) {
    this.limits = limits;
  }

  get bytes(): number {
    return this.byteCount;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** "dropped" if it has no room. A message that is larger than the queue is taken by an empty one. */
  push(message: Message): "queued" | "dropped" {
    const bytes = headBytes + dataBytes(message);
    const full = this.waiting.length >= this.limits.messagesMax || this.byteCount + bytes > this.limits.bytesMax;
    if (full && !this.isEmpty) return "dropped";
    this.waiting.push({ message, bytes });
    this.byteCount += bytes;
    return "queued";
  }

  /** Takes the oldest messages: as many as fit into `bytesMax`, and one at least. */
  take(bytesMax: number): readonly Message[] {
    let count = 0;
    let bytes = 0;
    for (const each of this.waiting) {
      if (count > 0 && bytes + each.bytes > bytesMax) break;
      count += 1;
      bytes += each.bytes;
    }
    this.byteCount -= bytes;
    const taken = count === this.waiting.length ? this.waiting : this.waiting.slice(0, count);
    this.waiting = count === this.waiting.length ? [] : this.waiting.slice(count);
    return taken.map((each) => each.message);
  }

  /** Takes all messages. */
  drain(): readonly Message[] {
    return this.take(Number.POSITIVE_INFINITY);
  }
}
