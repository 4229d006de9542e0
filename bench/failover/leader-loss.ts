/** The leader is lost under load, again and again: how long until a write succeeds elsewhere, and is anything lost? */
import { Cluster } from "../../test/support/cluster.js";
import { settled } from "../../test/support/leader.js";
import { Links } from "../../test/support/links.js";
import type { Member, Program } from "../../test/support/member.js";
import { type Ack, acknowledged, keysFound, Prober, Writers } from "./writers.js";

export interface LeaderLoss {
  readonly program: Program;
  readonly size: number;
  readonly times: number;
  /** kill -9, or a network that swallows everything to and from the leader without a word. */
  readonly how: "kill" | "blackHole";
  readonly flags?: readonly string[];
  readonly progress?: (line: string) => void;
}

export interface LeaderLossReport {
  /** From each loss to the first write on another member that succeeded and had begun after the loss. */
  readonly outagesMs: readonly number[];
  readonly acknowledged: number;
  /** Acknowledged writes that are not there at the end. */
  readonly lost: readonly string[];
}

/** Writes under way at each member all the time. */
const writersEach = 4;
/** Writes that are acknowledged at each member before the next loss. */
const writesBetween = 50;

export async function loseLeaders(loss: LeaderLoss): Promise<LeaderLossReport> {
  const members: Member[] = [];
  const links = new Links(() => new Map(members.map(({ pid, name }) => [pid ?? 0, name])));
  try {
    const { program, size, flags = [] } = loss;
    const between = (url: string, name: string): Promise<string> => links.inFrontOfPeers(url, name);
    // Links cost latency, so they are there only if they are needed.
    await using cluster = await Cluster.create({
      program,
      size,
      flags,
      ...(loss.how === "blackHole" ? { between } : {}),
    });
    members.push(...cluster.members);
    await Promise.all(members.map((member) => member.start()));
    return await new Losses(loss, cluster, links).run();
  } finally {
    await links.dispose();
  }
}

class Losses {
  readonly #loss: LeaderLoss;
  readonly #cluster: Cluster;
  readonly #links: Links;
  readonly #acks: Ack[] = [];
  readonly #outagesMs: number[] = [];

  constructor(loss: LeaderLoss, cluster: Cluster, links: Links) {
    this.#loss = loss;
    this.#cluster = cluster;
    this.#links = links;
  }

  async run(): Promise<LeaderLossReport> {
    const writers = this.#cluster.members.map(({ name, endpoint }) => new Writers(`w-${name}`, endpoint, writersEach));
    for (let time = 1; time <= this.#loss.times; time++) {
      const leader = await settled(this.#cluster);
      await acknowledged(writers, writesBetween);
      const outageMs = await this.#lose(leader, time);
      this.#outagesMs.push(outageMs);
      this.#loss.progress?.(`${this.#loss.program.name}: ${this.#loss.how} ${time}: ${Math.round(outageMs)} ms`);
    }
    await settled(this.#cluster);
    await Promise.all(writers.map((writer) => writer.stop()));
    // One at a time: a hundred thousand arguments are more than a call takes.
    for (const { acks } of writers) for (const ack of acks) this.#acks.push(ack);
    const found = await keysFound(this.#cluster.member(1).endpoint);
    const lost = this.#acks.filter(({ key }) => !found.has(key)).map(({ key }) => key);
    return { outagesMs: this.#outagesMs, acknowledged: this.#acks.length, lost };
  }

  async #lose(leader: Member, time: number): Promise<number> {
    await this.#strike(leader);
    const lostMs = performance.now();
    const others = this.#cluster.members.filter((member) => member !== leader);
    const probers = others.map(({ name, endpoint }) => new Prober(`p-${time}-${name}`, endpoint));
    const firstMs = await Promise.race(probers.map(({ first }) => first));
    for (const prober of probers) prober.stop();
    this.#acks.push(...probers.flatMap(({ acks }) => acks));
    await this.#undo(leader);
    return firstMs - lostMs;
  }

  async #strike(leader: Member): Promise<void> {
    if (this.#loss.how === "kill") {
      await leader.end("SIGKILL");
      return;
    }
    for (const { name } of this.#cluster.members) this.#links.setBoth(leader.name, name, { blocked: true });
  }

  async #undo(leader: Member): Promise<void> {
    this.#links.heal();
    if (this.#loss.how === "kill") await leader.start();
  }
}
