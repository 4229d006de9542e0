/** A server under measurement: started on an empty directory, asked whether its answers are right, weighed. */
import { readFile } from "node:fs/promises";
import { Member, type Program } from "../test/support/member.js";
import { rawClient } from "../test/support/raw-client.js";
import { benchKey, benchValue, type Operation } from "./frames.js";
import { type InFlight, load, type Summary } from "./h2load.js";

export interface Measurement {
  readonly operation: Operation;
  readonly frameFile: string;
  readonly inFlight: InFlight;
  readonly seconds: number;
}

export class Contestant {
  readonly name: string;
  readonly #member: Member;

  private constructor(name: string, member: Member) {
    this.name = name;
    this.#member = member;
  }

  /** A running member. Whoever starts it disposes of it. */
  static async start(program: Program): Promise<Contestant> {
    const member = await Member.create(program);
    await member.start();
    return new Contestant(program.name, member);
  }

  /** Milliseconds from an empty directory to "ready to serve client requests", with a process of its own. */
  static async coldStartMs(program: Program): Promise<number> {
    await using member = await Member.create(program);
    return await member.start();
  }

  /** Loads the member. Calls before and after prove that what was measured were right answers. */
  async measure(measurement: Measurement): Promise<Summary> {
    const before = await this.#sample();
    const summary = await load({ endpoint: this.#member.endpoint, ...measurement });
    const after = await this.#sample();
    const written = after - before;
    if (measurement.operation.name === "put" && written < summary.calls) {
      throw new Error(`${this.name}: ${summary.calls} puts were answered but the revision rose by ${written} only`);
    }
    return summary;
  }

  /** Resident memory in MiB, as the kernel counts it. */
  async residentMebibytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#member.pid}/status`, "utf8");
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    return Number(kibibytes) / 1024;
  }

  async version(): Promise<string> {
    const client = rawClient(this.#member.endpoint);
    const { version } = await client.status();
    client.close();
    return version;
  }

  async dispose(): Promise<void> {
    await this.#member.dispose();
  }

  /** Puts and gets the key the way the load does, checks the value, and resolves to the revision. */
  async #sample(): Promise<number> {
    const client = rawClient(this.#member.endpoint);
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
