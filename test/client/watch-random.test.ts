/**
 * Many watchers and followers under cuts, outages, stalls, sleepy readers and compaction, checked against everything that
 * was ever written: each must get exactly the events of its range, in order and once. What happens is drawn from a seed:
 * LITECD_WATCH_SEED repeats a run's decisions (the timing is the machine's), LITECD_WATCH_SECONDS makes it longer.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CompactedError,
  createClient,
  type EtcdClient,
  isEtcdError,
  type KeyRange,
  op,
  SlowConsumerError,
  type WatchEvent,
  type WatchOptions,
} from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";
import { keyOf, revisionOf } from "./watching.js";

const seconds = Number(process.env["LITECD_WATCH_SECONDS"] ?? 3);
const seed = Number(process.env["LITECD_WATCH_SEED"] ?? 20_261_122);

/** Numbers in [0, 1) that the seed decides (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Change {
  readonly revision: bigint;
  readonly type: "put" | "delete";
  readonly key: string;
}

/** All that was written, in order. */
class History {
  readonly changes: Change[] = [];
  private readonly alive = new Set<string>();

  get revision(): bigint {
    return this.changes.at(-1)?.revision ?? 1n;
  }

  put(revision: bigint, key: string): void {
    this.changes.push({ revision, type: "put", key });
    this.alive.add(key);
  }

  /** Only keys that were there leave a change, in the order of the keys. */
  delete(revision: bigint, prefix: string): void {
    for (const key of [...this.alive].filter((each) => each.startsWith(prefix)).toSorted()) {
      this.changes.push({ revision, type: "delete", key });
      this.alive.delete(key);
    }
  }

  /** Of keys from `start` on. */
  between(start: string, { from, to }: { from: bigint; to: bigint }, only?: "put" | "delete"): Change[] {
    return this.changes.filter(
      ({ revision, key, type }) =>
        revision >= from && revision <= to && key >= start && (only === undefined || type === only),
    );
  }

  /** The keys from `start` on as of a revision, each with the revision it was written at. */
  keysAt(start: string, at: bigint): Map<string, bigint> {
    const keys = new Map<string, bigint>();
    for (const { revision, type, key } of this.between(start, { from: 1n, to: at })) {
      if (type === "put") keys.set(key, revision);
      else keys.delete(key);
    }
    return keys;
  }
}

const changeOf = (event: WatchEvent<string>): Change => ({
  revision: revisionOf(event),
  type: event.type,
  key: keyOf(event),
});

/** The key the writer touches last, over and over, until everyone has seen it. It is in every range. */
const lastKey = "zz";

interface World {
  readonly client: EtcdClient;
  readonly direct: EtcdClient;
  readonly proxies: readonly TcpProxy[];
  readonly history: History;
  readonly random: () => number;
}

/** What a watcher saw without a gap: from `from` up to and with `to`. */
interface Stretch {
  readonly from: bigint;
  to: bigint;
  readonly changes: Change[];
}

/** Keys from here on. */
const rangeOf = (from: string): KeyRange => ({ from });

/** Whether the reader takes a nap now, and for how long. */
async function nap(random: () => number): Promise<void> {
  if (random() < 0.02) await delay(random() * 200);
}

/** Reads until it has seen the last key. After a compaction another stretch begins, where the store is compacted. */
async function watcher({ client, random }: World, start: string, options: WatchOptions): Promise<Stretch[]> {
  const stretches: Stretch[] = [];
  let from = options.from === undefined ? undefined : BigInt(options.from);
  for (;;) {
    await using watch = client.watch(rangeOf(start), { ...options, ...(from === undefined ? {} : { from }) });
    let stretch: Stretch | undefined;
    try {
      for await (const batch of watch) {
        stretch ??= begin(stretches, await watch.started);
        const changes = batch.events.map(changeOf);
        for (const change of changes) stretch.changes.push(change);
        if (!batch.progress) stretch.to = batch.revision;
        if (!batch.progress) expect(watch.resumeRevision).toBeGreaterThan(batch.revision);
        if (changes.some(({ key }) => key === lastKey)) return stretches;
        await nap(random);
      }
      throw new Error("the watch ended by itself");
    } catch (error) {
      const resumable = resumeRevisionOf(error);
      expect(watch.resumeRevision).toBe(resumable);
      if (stretch !== undefined) stretch.to = resumable - 1n;
      from = isEtcdError(error, "SlowConsumer") ? resumable : compactRevisionOf(error);
      expect(from).toBeGreaterThanOrEqual(resumable);
    }
  }
}

function begin(stretches: Stretch[], from: bigint): Stretch {
  const stretch = { from, to: from - 1n, changes: [] };
  stretches.push(stretch);
  return stretch;
}

/** Throws what is neither about compaction nor about slowness. */
function resumeRevisionOf(error: unknown): bigint {
  if (error instanceof CompactedError || error instanceof SlowConsumerError) return error.resumeRevision;
  throw error;
}

function compactRevisionOf(error: unknown): bigint {
  if (error instanceof CompactedError) return error.compactRevision;
  throw error;
}

interface Step {
  readonly at: bigint;
  readonly keys: [string, bigint][];
}

/** Follows until it has seen the last key; what it had after some of its steps, the last one among them. */
async function follower({ client, random }: World, start: string): Promise<Step[]> {
  const keys = new Map<string, bigint>();
  const steps: Step[] = [];
  for await (const step of client.follow(rangeOf(start), { pageSize: 3, highWaterMark: 20 })) {
    if (step.kind === "snapshot") {
      keys.clear();
      for (const [key, kv] of step.kvs) keys.set(key, kv.modRevision);
    } else {
      for (const { type, key, revision } of step.events.map(changeOf)) {
        if (type === "put") keys.set(key, revision);
        else keys.delete(key);
      }
    }
    const last = step.kind === "delta" && step.events.some((event) => keyOf(event) === lastKey);
    if (last || step.kind === "snapshot" || random() < 0.05) steps.push({ at: step.revision, keys: sorted(keys) });
    if (last) break;
    await nap(random);
  }
  return steps;
}

function sorted(keys: ReadonlyMap<string, bigint>): [string, bigint][] {
  return [...keys].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** More than a server sends a watcher that catches up in one message, so that cuts may come in between. */
async function prehistory({ direct, history }: World): Promise<void> {
  const keys = Array.from({ length: 2_500 }, (_, index) => `k${index % 10}/old`);
  const written: { revision: bigint; key: string }[] = [];
  while (keys.length > 0) {
    const puts = keys.splice(0, 250).map(async (key) => {
      written.push({ revision: (await direct.put(key, "v".repeat(100))).header.revision, key });
    });
    await Promise.all(puts);
  }
  for (const { revision, key } of written.toSorted((a, b) => Number(a.revision - b.revision)))
    history.put(revision, key);
}

/** Writes one thing after the other, and then the last key until everyone has seen it. */
async function writer({ direct, history, random }: World, phase: { over: boolean; done: boolean }): Promise<void> {
  while (!phase.done) {
    const key = `k${Math.floor(random() * 10)}/${Math.floor(random() * 20)}`;
    const choice = phase.over ? "last" : random();
    if (choice === "last") {
      history.put((await direct.put(lastKey, "")).header.revision, lastKey);
      history.delete((await direct.delete(lastKey)).header.revision, lastKey);
      await delay(50);
    } else if (choice < 0.7) history.put((await direct.put(key, "v".repeat(random() * 300))).header.revision, key);
    else if (choice < 0.85) {
      const keys = Array.from({ length: 20 }, (_, index) => `${key.slice(0, 3)}t${String(index).padStart(2, "0")}`);
      const { header } = await direct.txn({ then: keys.map((each) => op.put(each, "v".repeat(500))) });
      for (const each of keys) history.put(header.revision, each);
    } else {
      const { header, deleted } = await direct.delete({ prefix: key.slice(0, 4) });
      if (deleted > 0) history.delete(header.revision, key.slice(0, 4));
    }
  }
}

/** One thing after the other goes wrong, and passes again. */
async function trouble({ client, direct, proxies, history, random }: World, phase: { over: boolean }): Promise<void> {
  // In the middle of catching up, to begin with.
  for (const proxy of proxies) void proxy.cutAfterReplies(500_000 + random() * 2_000_000);
  while (!phase.over) {
    await delay(20 + random() * 130);
    const proxy = pick(random, proxies);
    const momentMs = random() * 300;
    switch (pick(random, ["cut", "cutSoon", "refuse", "hold", "compact", "move"] as const)) {
      case "cut":
        proxy.cut();
        break;
      case "cutSoon":
        void proxy.cutAfterReplies(random() * 50_000);
        break;
      case "refuse":
        proxy.admit("refuse");
        proxy.cut();
        await delay(momentMs);
        proxy.admit("all");
        break;
      case "hold":
        proxy.flow({ replies: "hold" });
        await delay(momentMs);
        proxy.flow({ replies: "pass" });
        break;
      case "compact":
        await compactTo(direct, history.revision - BigInt(Math.floor(random() * 100)));
        break;
      case "move":
        client.setEndpoints(random() < 0.3 ? proxies.map(({ endpoint }) => endpoint) : proxy.endpoint);
        break;
    }
  }
}

async function compactTo(direct: EtcdClient, revision: bigint): Promise<void> {
  if (revision <= 1n) return;
  await direct.compact(revision).catch((error: unknown) => {
    if (!isEtcdError(error, "Compacted")) throw error;
  });
}

function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

/** Starts of ranges and options that differ from watcher to watcher. */
function fleet(random: () => number): { start: string; options: WatchOptions }[] {
  return Array.from({ length: 24 }, (_, index) => ({
    start: `k${Math.floor(random() * 10)}`,
    options: {
      ...(random() < 0.5 ? { from: 2n } : {}),
      ...(random() < 0.3 ? { only: pick(random, ["put", "delete"] as const) } : {}),
      ...(random() < 0.3 ? { highWaterMark: 1 + Math.floor(random() * 50) } : {}),
      ...(random() < 0.2 ? { overflow: "error" as const } : {}),
      ...(random() < 0.3 ? { progress: true } : {}),
      ...(index % 8 === 0 ? { previous: true } : {}),
    },
  }));
}

describe.each(targets)("watchers", (target) => {
  describe.skipIf(skips(target))(blockName("watchers in a rough world", target), () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    let client: EtcdClient;
    let proxies: TcpProxy[];
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
      proxies = [await startTcpProxy(server.endpoint), await startTcpProxy(server.endpoint)];
      client = createClient({ endpoints: proxies.map(({ endpoint }) => endpoint), connectTimeoutMs: 500 });
    });
    afterAll(async () => {
      await client.close();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await direct.close();
      await server.stop();
    });

    it(`get every event once and in order (seed ${seed})`, { timeout: 30_000 + seconds * 3_000 }, async () => {
      const random = randomFrom(seed);
      const history = new History();
      const world: World = { client, direct, proxies, history, random };
      const phase = { over: false, done: false };
      await prehistory(world);
      const writing = writer(world, phase);
      const troubling = trouble(world, phase);
      const crew = fleet(random);
      const watching = crew.map(({ start, options }) => watcher(world, start, options));
      const following = Array.from({ length: 4 }, (_, index) => follower(world, `k${index * 2}`));
      await delay(seconds * 1_000);
      phase.over = true;
      await troubling;
      const [seen, followed] = await Promise.all([Promise.all(watching), Promise.all(following)]);
      phase.done = true;
      await writing;
      for (const [index, { start, options }] of crew.entries()) {
        for (const { from, to, changes } of seen[index] ?? []) {
          expect(changes, `watcher ${index} from ${from} to ${to}`).toEqual(
            history.between(start, { from, to }, options.only),
          );
        }
      }
      for (const [index, steps] of followed.entries()) {
        for (const { at, keys } of steps) {
          expect(keys, `follower ${index} as of ${at}`).toEqual(sorted(history.keysAt(`k${index * 2}`, at)));
        }
      }
      expect(history.changes.length).toBeGreaterThan(100);
    });
  });
});
