/** One chaos run: a cluster behind links that can break, clients of all kinds, a nemesis, and then the verdict. */
import { setTimeout as delay } from "node:timers/promises";
import { compareKeys, type KeyState, replay } from "../crash/history.js";
import { Dice } from "../crash/plan.js";
import { Cluster } from "../support/cluster.js";
import { leaderOf } from "../support/leader.js";
import { Links } from "../support/links.js";
import type { Member, Program } from "../support/member.js";
import { rawClient } from "../support/raw-client.js";
import { SlowDisk } from "../support/slow-disk.js";
import { Chronicle } from "./chronicle.js";
import { keepAsking, keepLookingBack, RawAccess, type Stage, stateOf } from "./clients.js";
import { type HeldLease, keepHolding, leasePrefix } from "./lease-holders.js";
import { Nemesis, type Tally } from "./nemesis.js";
import { SdkAccess } from "./sdk-access.js";
import { type Evidence, verify } from "./verify.js";
import { keepWatching, Recorder, type WatchSession, type WatchStage } from "./watchers.js";

export interface ChaosRun {
  readonly program: Program;
  readonly size: number;
  readonly seed: number;
  /** How long faults strike; the preparation and the verdict come on top. */
  readonly forMs: number;
  readonly slowDisk: boolean;
  readonly flags?: readonly string[];
}

export interface ChaosReport {
  /** What is wrong, in words; empty when every promise was kept. */
  readonly wrong: readonly string[];
  readonly evidence: Evidence;
  readonly journal: readonly string[];
  readonly tally: Tally;
  readonly revision: number;
}

const watcherCount = 4;
const holderCount = 4;
const sdkCount = 2;
const settleMsMax = 40_000;
/** The longest lease and what a healthy cluster may take to end it. */
const leaseEndMsMax = 15_000;

/** Rejects only if the run itself broke; what the cluster did wrong is in the report. */
export async function runChaos(run: ChaosRun): Promise<ChaosReport> {
  const disk = run.slowDisk ? await SlowDisk.create() : undefined;
  const members: Member[] = [];
  const links = new Links(() => new Map(members.map(({ pid, name }) => [pid ?? 0, name])));
  try {
    await using cluster = await Cluster.create({
      program: disk === undefined ? run.program : disk.wrap(run.program),
      size: run.size,
      flags: run.flags ?? [],
      between: (listenPeerUrl, name) => links.inFrontOfPeers(listenPeerUrl, name),
    });
    members.push(...cluster.members);
    await Promise.all(members.map((member) => member.start()));
    return await new Chaos(run, { cluster, links, disk }).happen();
  } finally {
    await links.dispose();
    await disk?.dispose();
  }
}

interface World {
  readonly cluster: Cluster;
  readonly links: Links;
  readonly disk: SlowDisk | undefined;
}

interface Place {
  readonly name: string;
  readonly endpoint: string;
}

class Chaos {
  readonly #run: ChaosRun;
  readonly #world: World;
  readonly #dice: Dice;
  readonly #nemesis: Nemesis;
  readonly #recorders: Recorder[] = [];
  readonly #recorded: WatchSession[] = [];
  readonly #sessions: WatchSession[] = [];
  readonly #leases: HeldLease[] = [];
  readonly #stage: Stage = { operations: [], denied: [], pastReads: [], stopped: false };
  /** The revision that the recorders have to hear before they may stop. */
  #lastRevision = Infinity;

  constructor(run: ChaosRun, world: World) {
    this.#run = run;
    this.#world = world;
    this.#dice = new Dice(run.seed);
    const compactable = (): number => Math.min(...this.#recorders.map(({ next }) => next)) - 20;
    this.#nemesis = new Nemesis({ ...world, compactable }, this.#nextDice());
  }

  async happen(): Promise<ChaosReport> {
    const places = await this.#places();
    const recording = this.#record(places);
    const traffic = Promise.all([this.#ask(places), this.#watch(places), this.#hold(places)]);
    // A client that breaks ends the run at once, and not when the nemesis is done.
    await Promise.race([this.#nemesis.rage(performance.now() + this.#run.forMs), traffic]);
    await this.#nemesis.heal();
    const wrong = await this.#recovery();
    this.#stage.stopped = true;
    await traffic;
    wrong.push(...(await this.#end()));
    await recording;
    const extent = await this.#extent();
    const finals = await this.#readMembers(wrong);
    // From here on this process computes: the links stand still, so nobody may be asked any more.
    const chronicle = new Chronicle(this.#recorded, extent);
    const evidence = {
      operations: this.#stage.operations,
      denied: this.#stage.denied,
      pastReads: this.#stage.pastReads,
      stopped: true,
      sessions: [...this.#recorded, ...this.#sessions],
      leases: this.#leases,
    };
    wrong.push(...verify(evidence, chronicle));
    const expected = replay(chronicle.revisions());
    for (const { who, keys } of finals) wrong.push(...compareKeys(expected, keys).map((line) => `${who}: ${line}`));
    const { journal, tally } = this.#nemesis;
    return { wrong, evidence, journal, tally, revision: chronicle.revision };
  }

  /** Every client draws from dice of its own, or one that is delayed would change what all others do. */
  #nextDice(): Dice {
    return new Dice(this.#dice.below(2 ** 31));
  }

  #places(): Promise<Place[]> {
    const { cluster, links } = this.#world;
    return Promise.all(
      cluster.members.map(async ({ name, endpoint }) => ({
        name,
        endpoint: await links.inFrontOfClients(endpoint, name),
      })),
    );
  }

  #record(places: readonly Place[]): Promise<unknown> {
    const stage = this.#watchStage(this.#recorded);
    this.#recorders.push(...places.map((place) => new Recorder(place, stage)));
    return Promise.all(this.#recorders.map((recorder) => recorder.record(() => this.#lastRevision)));
  }

  async #ask(places: readonly Place[]): Promise<void> {
    const perMember = places.length > 3 ? 1 : 2;
    const raw = places.flatMap(({ name, endpoint }) =>
      Array.from({ length: perMember }, () => new RawAccess(name, endpoint)),
    );
    const sdk = Array.from({ length: sdkCount }, () => new SdkAccess(places.map(({ endpoint }) => endpoint)));
    const asking = [...raw, ...sdk].map((access, number) =>
      keepAsking({ name: `c${number}@${access.name}`, dice: this.#nextDice(), access, stage: this.#stage }),
    );
    const looking = places.map(({ name, endpoint }) =>
      keepLookingBack(new RawAccess(name, endpoint), { dice: this.#nextDice(), stage: this.#stage }),
    );
    await Promise.all([...asking, ...looking]);
  }

  async #watch(places: readonly Place[]): Promise<void> {
    const newest = (): number => Math.max(...this.#recorders.map(({ next }) => next - 1));
    const stage = this.#watchStage(this.#sessions);
    const options = Array.from({ length: watcherCount }, () => ({ dice: this.#nextDice(), stage, newest }));
    await Promise.all(options.map((option) => keepWatching(places, option)));
  }

  async #hold(places: readonly Place[]): Promise<void> {
    const endpoints = places.map(({ endpoint }) => endpoint);
    const shared = { stage: this.#stage, leases: this.#leases, endpoints };
    await Promise.all(Array.from({ length: holderCount }, () => keepHolding({ ...shared, dice: this.#nextDice() })));
  }

  #watchStage(sessions: WatchSession[]): WatchStage {
    return { stage: this.#stage, sessions };
  }

  /** With all faults gone every member has to answer a linearizable read, and a write has to succeed. */
  async #recovery(): Promise<string[]> {
    const healedMs = performance.now();
    const alive = await eventually(settleMsMax, async () => {
      if ((await leaderOf(this.#world.cluster)) === undefined) return false;
      await Promise.all(this.#world.cluster.members.map((member) => readAll(member, "linearizable")));
      return true;
    });
    if (!alive) return [`the cluster does not answer ${settleMsMax} ms after everything was healed`];
    const acknowledged = await eventually(settleMsMax, async () =>
      this.#stage.operations.some(({ calledAt, response }) => calledAt > healedMs && response !== undefined),
    );
    return acknowledged ? [] : [`no client got an answer in ${settleMsMax} ms after everything was healed`];
  }

  /** Waits for the last leases to go, and tells the recorders where the history ends. */
  async #end(): Promise<string[]> {
    const first = this.#world.cluster.member(1);
    const gone = await eventually(leaseEndMsMax, async () => {
      const { keys } = await readAll(first, "linearizable");
      return ![...keys.keys()].some((key) => key.startsWith(leasePrefix));
    });
    const { revision } = await readAll(first, "linearizable");
    this.#lastRevision = revision;
    return gone ? [] : [`leases are still alive ${leaseEndMsMax} ms after the last renewal`];
  }

  async #extent(): Promise<{ through: number; compactRevision: number }> {
    const { compactRevision } = await hashAt(this.#world.cluster.member(1), this.#lastRevision);
    return { through: this.#lastRevision, compactRevision };
  }

  /** What each member holds in the end, and whether their hashes are equal. */
  async #readMembers(wrong: string[]): Promise<{ who: string; keys: Map<string, KeyState> }[]> {
    const { members } = this.#world.cluster;
    const finals: { who: string; keys: Map<string, KeyState> }[] = [];
    for (const consistency of ["linearizable", "serializable"] as const) {
      for (const member of members) {
        const { keys } = await readAll(member, consistency);
        finals.push({ who: `${member.name}, ${consistency}`, keys });
      }
    }
    let hashes: string[] = [];
    // A compaction that was just acknowledged may still be under way on a member.
    const equal = await eventually(settleMsMax, async () => {
      const answers = await Promise.all(members.map((member) => hashAt(member, this.#lastRevision)));
      hashes = answers.map(({ hash, compactRevision }) => `${hash} compacted at ${compactRevision}`);
      return new Set(hashes).size === 1;
    });
    if (!equal) wrong.push(`the members' hashes differ: ${hashes.join(", ")}`);
    return finals;
  }
}

/** Tries until it holds, an attempt that fails counting as "not yet"; false if it does not in time. */
async function eventually(msMax: number, holds: () => Promise<boolean>): Promise<boolean> {
  const deadlineMs = performance.now() + msMax;
  while (performance.now() < deadlineMs) {
    if (await holds().catch(() => false)) return true;
    await delay(50);
  }
  return false;
}

async function readAll(
  { endpoint }: Member,
  consistency: "linearizable" | "serializable",
): Promise<{ revision: number; keys: Map<string, KeyState> }> {
  const client = rawClient(endpoint);
  try {
    const all = { key: Buffer.of(0), rangeEnd: Buffer.of(0), serializable: consistency === "serializable" };
    const { header, kvs } = await client.range(all, { timeoutMs: 3_000 });
    const keys = kvs.map((kv): [string, KeyState] => [Buffer.from(kv.key).toString(), stateOf(kv)]);
    return { revision: Number(header?.revision), keys: new Map(keys) };
  } finally {
    client.close();
  }
}

async function hashAt({ endpoint }: Member, revision: number): Promise<{ hash: number; compactRevision: number }> {
  const client = rawClient(endpoint);
  try {
    const { hash, compactRevision } = await client.hashKv({ revision: BigInt(revision) });
    return { hash, compactRevision: Number(compactRevision) };
  } finally {
    client.close();
  }
}
