/** A hub over the naive store, with a clock that a test moves, and short words for what a stream says. */
import { createWatchHub, type WatchHub } from "../../../src/server/watch/hub.js";
import type { WatchLimits } from "../../../src/server/watch/limits.js";
import { intervalOf } from "../../../src/server/watch/ranges.js";
import type { WatchMessage, WatchStream } from "../../../src/server/watch/stream.js";
import type { WatchOptions } from "../../../src/server/watch/watcher.js";
import { NaiveStore, type Write } from "./naive-store.js";

export const progressIntervalMs = 1000;

export class HubWorld {
  readonly store = new NaiveStore();
  readonly hub: WatchHub;
  nowMs = 0;
  events = 0;

  constructor(limits: Partial<WatchLimits> = {}) {
    this.hub = createWatchHub({
      source: this.store.source,
      clock: { monotonicMs: () => this.nowMs },
      random: { below: () => 0 },
      progressNotifyIntervalMs: progressIntervalMs,
      limits,
      onEvents: (count) => {
        this.events += count;
      },
    });
  }

  /** One transaction, told to the hub at once. */
  write(...writes: readonly Write[]): void {
    this.hub.onApplied([this.store.apply(...writes)]);
  }

  tick(ms = progressIntervalMs): void {
    this.nowMs += ms;
    this.hub.tick(this.nowMs);
  }

  open(): WatchStream {
    return this.hub.open(() => undefined);
  }
}

/** A watch of one key, or of a range when `rangeEnd` is given. */
export function watching(key: string, options: Partial<WatchOptions> & { rangeEnd?: string } = {}): WatchOptions {
  const { rangeEnd = "", ...rest } = options;
  return {
    interval: intervalOf(Buffer.from(key), Buffer.from(rangeEnd)),
    startRevision: 0,
    watchId: 0n,
    puts: true,
    deletes: true,
    previousKv: false,
    progressNotify: false,
    fragment: false,
    ...rest,
  };
}

/** Takes what waits, reading from the state as long as somebody is behind. */
export function drain(stream: WatchStream): WatchMessage[] {
  const messages = takeAll(stream);
  while (stream.behind) {
    stream.catchUp();
    messages.push(...takeAll(stream));
  }
  return messages;
}

/** Takes what waits and reads nothing. */
export function takeAll(stream: WatchStream): WatchMessage[] {
  const messages: WatchMessage[] = [];
  for (let next = stream.take(); next !== undefined; next = stream.take()) messages.push(next);
  return messages;
}

/** A message as one line: `0 events @5: put a@5, delete b@5`. */
export function line(message: WatchMessage): string {
  switch (message.kind) {
    case "refused":
    case "denied":
      return `refused ${message.reason} @${message.revision}`;
    case "compacted":
      return `${message.watchId} compacted at ${message.compactRevision}`;
    case "created":
    case "canceled":
    case "progress":
      return `${message.watchId} ${message.kind} @${message.revision}`;
    case "events": {
      const events = message.events.map(
        ({ type, kv }) => `${type === 0 ? "put" : "delete"} ${text(kv?.key)}@${kv?.modRevision}`,
      );
      return `${message.watchId} events @${message.revision}: ${events.join(", ")}`;
    }
  }
}

export function lines(messages: readonly WatchMessage[]): string[] {
  return messages.map(line);
}

export function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("latin1");
}
