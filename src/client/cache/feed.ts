/**
 * Keeps a content true: a scan, then a watch from the revision after it, and again both when a compaction took what was
 * not received yet. Not by `follow`: that names keys by their text, and this one must not lose keys that are no UTF-8;
 * and it asks the watch for progress, to know how far it has come.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isEtcdError, type KeyRange, type Kv, type Watch } from "../index.js";
import { Content } from "./content.js";
import type { CacheBatch, CacheOptions, CacheState } from "./types.js";

/** Between attempts to read everything again while servers fail. */
const retryMs = 250;
/** A progress request is given so long before it is made again. */
const askAgainMs = 1_000;
/** What was received reaches the content in no time; this is a stop against asking in a circle. */
const settleMs = 20;

export interface FeedEvents<V> {
  onBatch(batch: CacheBatch<V>): void;
}

interface Waiter {
  readonly revision: bigint;
  resolve(): void;
  reject(error: unknown): void;
}

export class Feed<V> {
  readonly content: Content<V>;
  /** When the read began that last showed the content to be complete. */
  completeAtMs = Number.NEGATIVE_INFINITY;
  private readonly kv: Kv<V>;
  private readonly range: KeyRange;
  private readonly options: CacheOptions<V>;
  private readonly events: FeedEvents<V>;
  private readonly waiters = new Set<Waiter>();
  private watch: Watch<V> | undefined;
  private asking = false;
  private over = false;

  constructor(parts: { kv: Kv<V>; range: KeyRange; options: CacheOptions<V>; events: FeedEvents<V> }) {
    this.kv = parts.kv;
    this.range = parts.range;
    this.options = parts.options;
    this.events = parts.events;
    this.content = new Content<V>(parts.options);
  }

  get state(): CacheState {
    if (this.over) return "closed";
    const { watch } = this;
    if (watch === undefined) return "catching-up";
    switch (watch.state) {
      case "live":
        return "live";
      case "starting":
      case "catching-up":
        return "catching-up";
      case "stale":
      case "disconnected":
        return "disconnected";
      case "closed":
        return "catching-up";
    }
  }

  /** The first content. Rejects as the scan does, or with code "CacheFull". */
  async load(signal: AbortSignal): Promise<void> {
    this.content.replace(await this.read(signal));
  }

  /** Follows until the signal aborts or the client closes; rejects when it cannot go on. */
  async run(signal: AbortSignal): Promise<void> {
    while ((await this.follow(signal)) === "compacted") {
      const batch = this.content.replace(await this.readAtLast(signal));
      this.events.onBatch(batch);
      this.settle();
    }
  }

  /** Resolves when the content is at `revision` or later, or when the signal aborts. */
  reach(revision: bigint, signal?: AbortSignal): Promise<void> {
    if (this.content.revision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { revision, resolve, reject };
      this.waiters.add(waiter);
      const giveUp = (): void => {
        if (this.waiters.delete(waiter)) resolve();
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      void this.ask();
    });
  }

  /** Whoever waits gets the error. */
  end(error: unknown): void {
    this.over = true;
    for (const waiter of this.waiters) waiter.reject(error);
    this.waiters.clear();
  }

  private async follow(signal: AbortSignal): Promise<"compacted" | "ended"> {
    await using watch = this.kv.watch(this.range, { from: this.content.revision + 1n, progress: true, signal });
    this.watch = watch;
    void this.ask();
    try {
      for await (const batch of watch) {
        const taken = this.content.apply(batch);
        if (taken.events.length > 0) this.events.onBatch(taken);
        this.settle();
      }
      return "ended";
    } catch (error) {
      if (isEtcdError(error, "Compacted")) return "compacted";
      throw error;
    } finally {
      this.watch = undefined;
    }
  }

  /** Outages are waited out: there is an old content to keep meanwhile. */
  private async readAtLast(signal: AbortSignal): Promise<Content<V>> {
    for (;;) {
      try {
        return await this.read(signal);
      } catch (error) {
        if (!isEtcdError(error) || !error.retryable) throw error;
        await delay(retryMs, undefined, { signal });
      }
    }
  }

  /** Everything at one revision; from the start again if that is compacted meanwhile. */
  private async read(signal: AbortSignal): Promise<Content<V>> {
    for (;;) {
      const startedMs = performance.now();
      const fresh = new Content<V>(this.options);
      try {
        for await (const { revision, kvs } of this.kv.scan(this.range, { signal }).pages()) {
          fresh.revision = revision;
          fresh.fill(kvs);
        }
        this.completeAtMs = startedMs;
        return fresh;
      } catch (error) {
        if (!isEtcdError(error, "Compacted")) throw error;
      }
    }
  }

  private settle(): void {
    for (const waiter of this.waiters) {
      if (waiter.revision > this.content.revision) continue;
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** Asks the watch how far it has come for as long as someone waits for that. One task at a time. */
  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      while (this.waiters.size > 0 && this.watch !== undefined && !this.over) {
        await progressOf(this.watch);
        if (this.waiters.size > 0) await delay(settleMs);
      }
    } finally {
      this.asking = false;
    }
  }
}

/** A question without an answer is asked again; the watch itself tells what is wrong with it. */
async function progressOf<V>(watch: Watch<V>): Promise<void> {
  try {
    await watch.requestProgress({ timeoutMs: askAgainMs });
  } catch (error) {
    if (!isEtcdError(error)) throw error;
  }
}
