/** Every member in turn is told to end (SIGTERM) and started again, under load: how long does nobody's write succeed? */
import { createClient, type EtcdClient } from "../../src/client/index.js";
import { Cluster } from "../../test/support/cluster.js";
import { settled } from "../../test/support/leader.js";
import type { Member, Program } from "../../test/support/member.js";
import { keysFound, writtenPrefix } from "./writers.js";

export interface RollingRestart {
  readonly program: Program;
  readonly size: number;
  /** How often each member is restarted. */
  readonly rounds: number;
  readonly progress?: (line: string) => void;
}

export interface RollingRestartReport {
  /** Of each restart of the leader: the longest time in which no write of any client was acknowledged. */
  readonly leaderGapsMs: readonly number[];
  /** The same for followers. */
  readonly followerGapsMs: readonly number[];
  /** Writes that failed although the SDK repeats whatever was surely not done. */
  readonly failed: number;
  readonly acknowledged: number;
  readonly lost: number;
}

const clientCount = 8;
/** Load without a fault around each restart, in acknowledgements. */
const acksBetween = 200;

export async function restartAll({ program, size, rounds, progress }: RollingRestart): Promise<RollingRestartReport> {
  await using cluster = await Cluster.start({ program, size });
  const load = new SdkLoad(cluster.endpoints);
  const gaps = { leader: [] as number[], follower: [] as number[] };
  try {
    for (let round = 0; round < rounds; round++) {
      for (const member of cluster.members) {
        const leader = await settled(cluster);
        await load.more(acksBetween);
        const role = member === leader ? "leader" : "follower";
        const gapMs = await restart(member, cluster, load);
        gaps[role].push(gapMs);
        progress?.(`${program.name}: restart of the ${role}: ${gapMs.toFixed(0)} ms without a write`);
      }
    }
    await load.stop();
    const found = await keysFound(cluster.member(1).endpoint);
    const lost = load.acknowledged.filter((key) => !found.has(key)).length;
    const { failed, acknowledged } = load;
    return {
      leaderGapsMs: gaps.leader,
      followerGapsMs: gaps.follower,
      failed,
      acknowledged: acknowledged.length,
      lost,
    };
  } finally {
    await load.stop();
  }
}

/** Restarts the member and resolves to the longest time without an acknowledgement from the signal to calm. */
async function restart(member: Member, cluster: Cluster, load: SdkLoad): Promise<number> {
  const fromMs = performance.now();
  await member.end("SIGTERM");
  await member.start();
  await settled(cluster);
  await load.more(acksBetween);
  return load.longestGap(fromMs);
}

/** Clients of the SDK that know all members and write one key after the other. */
class SdkLoad {
  readonly acknowledged: string[] = [];
  failed = 0;
  readonly #ackedMs: number[] = [];
  readonly #clients: readonly EtcdClient[];
  readonly #writing: Promise<unknown>;
  #waiting: { readonly acks: number; readonly reached: () => void } | undefined;
  #stopped = false;

  constructor(endpoints: readonly string[]) {
    // Each begins with another member.
    this.#clients = Array.from({ length: clientCount }, (_, number) => {
      const first = number % endpoints.length;
      return createClient({ endpoints: [...endpoints.slice(first), ...endpoints.slice(0, first)] });
    });
    this.#writing = Promise.all(this.#clients.map((client, number) => this.#write(client, number)));
  }

  /** Resolves once so many more writes are acknowledged. */
  more(count: number): Promise<void> {
    return new Promise((reached) => {
      this.#waiting = { acks: this.#ackedMs.length + count, reached };
    });
  }

  longestGap(fromMs: number): number {
    const times = [fromMs, ...this.#ackedMs.filter((ackedMs) => ackedMs >= fromMs)];
    return Math.max(...times.slice(1).map((ackedMs, position) => ackedMs - (times[position] ?? ackedMs)));
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#writing;
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  async #write(client: EtcdClient, number: number): Promise<void> {
    for (let sequence = 1; !this.#stopped; sequence++) {
      const key = `${writtenPrefix}c${number}/${sequence}`;
      try {
        await client.put(key, "v".repeat(256));
        this.acknowledged.push(key);
        this.#ackedMs.push(performance.now());
        if (this.#ackedMs.length >= (this.#waiting?.acks ?? Infinity)) this.#waiting?.reached();
      } catch {
        this.failed++;
      }
    }
  }
}
