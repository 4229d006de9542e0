/** Differential: the same random requests to a real etcd and to ours; every answer must be the same. */

import { describe, expect, it } from "vitest";
import { type RawClient, rawClient } from "../support/raw-client.js";
import { realEtcdMissing } from "../support/real-etcd.js";
import { chosenTargets, type Target } from "../support/targets.js";
import { Dice, randomDelete, randomPut, randomRange, randomTxn, randomWatch } from "./random-requests.js";
import { Watch } from "./watch.js";
import { FROM_KEY } from "./words.js";

const STEPS = 400;
const WATCHERS = 6;
/** LITECD_DIFFERENTIAL_SEEDS=from-to runs other seeds by hand. */
const seeds = seedsOf(process.env["LITECD_DIFFERENTIAL_SEEDS"] ?? "1-4");

type Call = (client: RawClient) => Promise<object>;

function seedsOf(text: string): number[] {
  const [from = 1, to = from] = text.split("-").map(Number);
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

interface Step {
  readonly name: string;
  readonly request: object;
  readonly call: Call;
}

function step<Req extends object>(
  name: string,
  request: Req,
  call: (client: RawClient, request: Req) => Promise<object>,
): Step {
  return { name, request, call: (client) => call(client, request) };
}

/** One random request; both servers get the same bytes. */
function randomStep(dice: Dice, revision: number): Step {
  const side = dice.below(40);
  if (side < 12) return step("put", randomPut(dice), (client, request) => client.put(request));
  if (side < 20) return step("range", randomRange(dice, revision), (client, request) => client.range(request));
  if (side < 23) return step("delete", randomDelete(dice), (client, request) => client.deleteRange(request));
  if (side < 32) return step("txn", randomTxn(dice, revision), (client, request) => client.txn(request));
  const ID = dice.pick([11n, 12n, 13n]);
  if (side < 35) return step("grant", { TTL: 1000n, ID }, (client, request) => client.leaseGrant(request));
  if (side < 36) return step("revoke", { ID }, (client, request) => client.leaseRevoke(request));
  if (side < 37) return step("ttl", { ID, keys: true }, sortedTtl);
  if (side < 39) {
    const at = BigInt(dice.pick([0, revision, past(dice, revision), revision + 1]));
    return step("hash", { revision: at }, (client, request) => client.hashKv(request));
  }
  const at = BigInt(past(dice, revision));
  return step("compact", { revision: at, physical: true }, (client, request) => client.compact(request));
}

/** A revision not long ago. Those of 0 and below, which 3.5 takes and ours refuses, have cases of their own. */
function past(dice: Dice, revision: number): number {
  return Math.max(1, revision - dice.below(15));
}

async function sortedTtl(client: RawClient, request: { ID: bigint; keys: boolean }): Promise<object> {
  const { keys, grantedTTL } = await client.leaseTimeToLive(request);
  return { grantedTTL, keys: keys.map((key) => Buffer.from(key).toString()).toSorted((a, b) => (a < b ? -1 : 1)) };
}

/** The answer or the error, without what differs between any two servers. */
async function outcome(call: Promise<object>): Promise<string> {
  const settled = await call.then(
    (response) => ({ response }),
    ({ code, details }: { code: number; details: string }) => ({ code, details }),
  );
  return inWords(settled);
}

/** JSON with bytes as text; ids of the server and fields that 3.5 lacks or 3.7 left out are dropped. */
function inWords(value: object): string {
  const dropped = new Set(["clusterId", "memberId", "raftTerm", "hashRevision"]);
  return JSON.stringify(
    value,
    (name, field: unknown) => {
      if (dropped.has(name)) return undefined;
      if (typeof field === "bigint") return field.toString();
      return isBuffer(field) ? Buffer.from(field.data).toString() : field;
    },
    1,
  );
}

/** What a Buffer makes of itself before a replacer sees it. */
function isBuffer(field: unknown): field is { data: number[] } {
  return typeof field === "object" && field !== null && "type" in field && field.type === "Buffer";
}

interface Position {
  readonly revision: number;
  readonly compacted: number;
}

/**
 * Answers of 3.7 to keys_only carry no lease, so such reads cannot be compared. Nor can the hash at the compact
 * revision itself, which etcd remembers from before it deleted anything (see the cases of HashKV).
 */
function isComparable({ name, request }: Step, { revision, compacted }: Position): boolean {
  if (inWords(request).includes('"keysOnly": true')) return false;
  const asked = name === "hash" ? Number((request as { revision: bigint }).revision) : undefined;
  return asked === undefined || (asked === 0 ? revision : asked) !== compacted;
}

async function everyEvent(client: RawClient, startRevision: bigint, upTo: bigint): Promise<string[]> {
  const watch = new Watch(client.watch());
  await watch.create({ key: Buffer.alloc(0), rangeEnd: FROM_KEY, startRevision, prevKv: true });
  const events: string[] = [];
  for (let last = startRevision - 1n; last < upTo; ) {
    for (const event of (await watch.next()).events) {
      events.push(inWords(event));
      last = event.kv?.modRevision ?? last;
    }
  }
  watch.cancelStream();
  return events;
}

/** Watchers that see the whole run, told apart by their order. */
async function openWatchers(client: RawClient, seed: number): Promise<Watch> {
  const dice = new Dice(seed);
  const watch = new Watch(client.watch());
  for (let count = 0; count < WATCHERS; count += 1) await watch.create(randomWatch(dice));
  return watch;
}

/** Everything that each watcher was told, up to a progress message that vouches for `revision`. */
async function toldUpTo(watch: Watch, revision: bigint): Promise<string[][]> {
  const told: string[][] = Array.from({ length: WATCHERS }, () => []);
  // A request is not kept while a watcher still catches up, so it is made again until it is answered.
  const asking = setInterval(() => watch.requestProgress(), 50);
  try {
    for (;;) {
      const { watchId, header, events } = await watch.next();
      if (watchId === -1n && header?.revision === revision) return told;
      for (const event of events) told[Number(watchId)]?.push(inWords(event));
    }
  } finally {
    clearInterval(asking);
  }
}

async function play(seed: number, ours: RawClient, theirs: RawClient): Promise<void> {
  const dice = new Dice(seed);
  const watches = [await openWatchers(ours, seed), await openWatchers(theirs, seed)] as const;
  let revision = 1;
  let compacted = 1;
  const log: string[] = [];
  for (let count = 0; count < STEPS; count += 1) {
    const drawn = randomStep(dice, revision);
    const { name, request, call } = drawn;
    log.push(`${count} ${name} ${inWords(request)}`);
    if (!isComparable(drawn, { revision, compacted })) continue;
    const [mine, real] = await Promise.all([outcome(call(ours)), outcome(call(theirs))]);
    expect(mine, `seed ${seed}, after:\n${log.slice(-3).join("\n")}`).toBe(real);
    const now = (await theirs.range({ key: Buffer.from("x"), countOnly: true })).header;
    revision = Number(now?.revision ?? 0n);
    if (name === "compact" && !mine.includes('"code"')) compacted = Number((request as { revision: bigint }).revision);
  }
  // A revision that changed nothing does not exist, so the last one has an event.
  const [from, to] = [BigInt(Math.max(compacted, 2)), BigInt(revision)];
  expect(await everyEvent(ours, from, to)).toEqual(await everyEvent(theirs, from, to));
  const [mine, real] = await Promise.all([toldUpTo(watches[0], to), toldUpTo(watches[1], to)]);
  expect(mine).toEqual(real);
  expect(real.flat().length).toBeGreaterThan(0);
}

describe("the same random requests to a real etcd and to ours", () => {
  const targets = chosenTargets();
  const etcd = targets.find((target) => target.isEtcd35);
  const ours = targets.find((target) => !target.isEtcd35);
  if (etcd === undefined || ours === undefined || realEtcdMissing !== undefined) {
    it.skip(`skipped: ${realEtcdMissing ?? "needs a real etcd and one of our targets"}`, () => undefined);
    return;
  }
  for (const seed of seeds) {
    it(`gives the same answers, seed ${seed}`, async () => {
      await withClients([ours, etcd], ([mine, real]) => play(seed, mine, real));
    });
  }
});

async function withClients(
  targets: readonly [Target, Target],
  work: (clients: readonly [RawClient, RawClient]) => Promise<void>,
): Promise<void> {
  const [first, second] = [await targets[0].start(), await targets[1].start()];
  const clients = [rawClient(first.endpoint), rawClient(second.endpoint)] as const;
  try {
    await work(clients);
  } finally {
    for (const client of clients) client.close();
    await first.close();
    await second.close();
  }
}
