/** A server or a cluster under measurement: started on empty directories, asked whether its answers are right, weighed. */
import { readFile } from "node:fs/promises";
import { Cluster } from "../test/support/cluster.js";
import { settled } from "../test/support/leader.js";
import { Member, type Program } from "../test/support/member.js";
import { rawClient } from "../test/support/raw-client.js";
import { benchKey, benchValue, type Operation } from "./frames.js";
import { type InFlight, load, type Summary } from "./h2load.js";

export interface Measurement {
  readonly operation: Operation;
  readonly frameFile: string;
  /** At each member that is asked. */
  readonly inFlight: InFlight;
  readonly seconds: number;
  /** Whom the load goes to; the leader if nothing is said. */
  readonly to?: "leader" | "all members";
}

export class Contestant {
  readonly name: string;
  readonly #members: readonly Member[];
  readonly #leader: Member;

  private constructor(name: string, members: readonly Member[], leader: Member) {
    this.name = name;
    this.#members = members;
    this.#leader = leader;
  }

  /** A running member. Whoever starts it disposes of it. */
  static async start(program: Program): Promise<Contestant> {
    const member = await Member.create(program);
    await member.start();
    return new Contestant(program.name, [member], member);
  }

  /** A running cluster. Whoever starts it disposes of it. */
  static async startCluster(program: Program, size: number): Promise<Contestant> {
    const cluster = await Cluster.start({ program, size });
    return new Contestant(program.name, cluster.members, await settled(cluster));
  }

  /** Milliseconds from an empty directory to "ready to serve client requests", with a process of its own. */
  static async coldStartMs(program: Program): Promise<number> {
    await using member = await Member.create(program);
    return await member.start();
  }

  /** Loads it. Calls before and after prove that what was measured were right answers. */
  async measure({ to = "leader", ...measurement }: Measurement): Promise<Summary> {
    const before = await this.#sample();
    const loaded = to === "leader" ? [this.#leader] : this.#members;
    const summaries = await Promise.all(loaded.map(({ endpoint }) => load({ endpoint, ...measurement })));
    const summary = summaries.reduce(together);
    const written = (await this.#sample()) - before;
    if (measurement.operation.name === "put" && written < summary.calls) {
      throw new Error(`${this.name}: ${summary.calls} puts were answered but the revision rose by ${written} only`);
    }
    return summary;
  }

  /** Resident memory of the leader in MiB, as the kernel counts it. */
  async residentMebibytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#leader.pid}/status`, "utf8");
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    return Number(kibibytes) / 1024;
  }

  async version(): Promise<string> {
    const client = rawClient(this.#leader.endpoint);
    const { version } = await client.status();
    client.close();
    return version;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.dispose()));
  }

  /** Puts and gets the key the way the load does, checks the value, and resolves to the revision. */
  async #sample(): Promise<number> {
    const client = rawClient(this.#leader.endpoint);
    try {
      await client.put({ key: benchKey, value: benchValue });
      const { kvs, header } = await client.range({ key: benchKey });
      if (!Buffer.from(benchValue).equals(kvs[0]?.value ?? Buffer.of())) throw new Error(`${this.name} lost the value`);
      return Number(header?.revision);
    } finally {
      client.close();
    }
  }
}

/** Loads at the same time as one. */
function together(a: Summary, b: Summary): Summary {
  const calls = a.calls + b.calls;
  return {
    callsPerSecond: a.callsPerSecond + b.callsPerSecond,
    calls,
    failures: a.failures + b.failures,
    dataBytes: a.dataBytes + b.dataBytes,
    meanLatencyUs: (a.meanLatencyUs * a.calls + b.meanLatencyUs * b.calls) / calls,
  };
}
