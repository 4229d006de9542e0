/**
 * A cluster of processes, ours or a real etcd, on free ports of this machine. Whoever makes it disposes of it; if the test
 * process dies first, the members die with it.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "./free-ports.js";
import { Member, type Program } from "./member.js";

export interface ClusterOptions {
  readonly program: Program;
  /** Founding members: m1, m2 and so on. */
  readonly size: number;
  /** Flags for every member, in etcd's spelling. */
  readonly flags?: readonly string[];
  readonly token?: string;
  /** Of all URLs, those for clients and those among members; `https` needs flags with certificates. */
  readonly scheme?: "http" | "https";
  /**
   * Puts something between the members: is given the URL where a member will listen for its peers, and gives the URL that
   * the others are told. Called once a member, before any runs.
   */
  readonly between?: (listenPeerUrl: string, name: string) => Promise<string>;
}

/** Short timeouts, for tests that are not about time: an election takes a fraction of a second. */
export const quickTicks: readonly string[] = ["--heartbeat-interval=50", "--election-timeout=300"];

export class Cluster {
  readonly options: ClusterOptions;
  /** Founders first, then whoever was added, in order; a member that was removed stays in the list. */
  readonly members: Member[] = [];

  private constructor(options: ClusterOptions) {
    this.options = options;
  }

  /** Homes for the founders; nothing runs yet. */
  static async create(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    const plans: Plan[] = [];
    for (let number = 1; number <= options.size; number += 1) plans.push(await cluster.#plan(`m${number}`));
    for (const plan of plans) cluster.#settle(plan, plans, ["--initial-cluster-state=new"]);
    return cluster;
  }

  /** Founders that all run and serve. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = await Cluster.create(options);
    try {
      await Promise.all(cluster.members.map((member) => member.start()));
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
    return cluster;
  }

  /** "host:port" of every member. */
  get endpoints(): readonly string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  /** The member with this number, counted from 1 in the order of {@link members}. */
  member(number: number): Member {
    const member = this.members[number - 1];
    if (member === undefined) throw new Error(`the cluster has no member ${number}`);
    return member;
  }

  /** A home for a member that will join `others`; nothing runs yet, and the cluster has to be told of its peer URL. */
  async prepare(name: string, others: readonly Member[] = this.members): Promise<Member> {
    const plan = await this.#plan(name);
    return this.#settle(plan, [...others, plan], ["--initial-cluster-state=existing"]);
  }

  async dispose(): Promise<void> {
    await Promise.all(this.members.map((member) => member.dispose()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async #plan(name: string): Promise<Plan> {
    const { program, between, scheme = "http" } = this.options;
    const directory = await mkdtemp(join(tmpdir(), `litecd-${program.name}-${name}-`));
    const [clientPort = 0, peerPort] = await freePorts(2);
    const listenPeerUrl = `${scheme}://127.0.0.1:${peerPort}`;
    const peerUrl = (await between?.(listenPeerUrl, name)) ?? listenPeerUrl;
    return { name, directory, clientPort, scheme, listenPeerUrl, peerUrl };
  }

  #settle(
    plan: Plan,
    all: readonly { readonly name: string; readonly peerUrl: string }[],
    extra: readonly string[],
  ): Member {
    const { program, flags = [], token = "etcd-cluster" } = this.options;
    const initialCluster = all.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    const about = [`--initial-cluster=${initialCluster}`, `--initial-cluster-token=${token}`];
    const member = new Member(program, { ...plan, flags: [...about, ...flags, ...extra] });
    this.members.push(member);
    return member;
  }
}

interface Plan {
  readonly name: string;
  readonly directory: string;
  readonly clientPort: number;
  readonly scheme: "http" | "https";
  readonly listenPeerUrl: string;
  readonly peerUrl: string;
}
