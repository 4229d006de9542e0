/**
 * One member of the simulated cluster: its disk, which outlives it, and its process, which is the production code from the
 * stores up to the handlers, started and killed at will.
 */
import { createServices } from "../../../src/server/api/services.js";
import { hasData } from "../../../src/server/bootstrap.js";
import { InvariantError } from "../../../src/server/invariant.js";
import { publish } from "../../../src/server/publish.js";
import type { MemberId } from "../../../src/server/raft/types.js";
import { StorageFailure, StorageRefused } from "../../../src/server/storage/failure.js";
import type { Bootstrap } from "../../../src/server/storage/types.js";
import type { HistoryChecks } from "../checks/history-checks.js";
import type { RaftChecks } from "../checks/raft-checks.js";
import { name } from "../checks/raft-checks.js";
import type { Port } from "../clients/call.js";
import { losePower, wipeDisk } from "../disk/faults.js";
import type { Network } from "../world/network.js";
import { SimProcess } from "../world/process.js";
import type { RandomStream } from "../world/random.js";
import { Violation, type World } from "../world/world.js";
import { assemble, type Running } from "./assemble.js";
import type { Tuning } from "./tuning.js";

/** What the members of a run share. */
export interface MemberWorld {
  readonly world: World;
  readonly network: Network;
  readonly tuning: Tuning;
  readonly clusterId: bigint;
  readonly raft: RaftChecks;
  readonly history: HistoryChecks;
  /** Whether a member's clock may go wrong. */
  readonly clockFaults: boolean;
  /** Whether the power may go off while a member starts for the first time. */
  readonly cutFaults: boolean;
}

/** `ruined`: its disk is damaged, and it noticed. `removed`: it left the cluster and ended. */
export type MemberState = "down" | "up" | "ruined" | "removed";

/** How the disk of a member behaves. */
export interface DiskWeather {
  /** Multiplies every delay. */
  slowness: number;
  /** Probability of a stall of half a second. */
  stalls: number;
  /** The next durable write fails; the process must end. `power`: it goes off in the middle of what is being written. */
  fails: "io" | "full" | "power" | undefined;
  /** Writes that still pass before the power goes off. */
  writesLeft: number;
  /** Commits of the log since the process began. */
  logCommits: number;
}

export class SimMember {
  readonly id: MemberId;
  /** How it came to the cluster. */
  readonly begins: Bootstrap["kind"];
  readonly dir: string;
  readonly shared: MemberWorld;
  readonly random: RandomStream;
  readonly disk: DiskWeather = {
    slowness: 1,
    stalls: 0,
    fails: undefined,
    writesLeft: 0,
    logCommits: 0,
  };
  state: MemberState = "down";
  /** Somebody damaged its disk: it may refuse to run. */
  damaged = false;
  process: SimProcess | undefined;
  parts: Running | undefined;
  private port: Port | undefined;
  private readonly bootstrap: Bootstrap;
  private hasBooted = false;
  /** What is being stopped in good order. */
  private stopping: Running | undefined;
  /** Aborts when the process ends. */
  private life = new AbortController();

  constructor(shared: MemberWorld, id: MemberId, bootstrap: Bootstrap) {
    this.shared = shared;
    this.id = id;
    this.dir = `/${id.toString(16)}`;
    this.bootstrap = bootstrap;
    this.begins = bootstrap.kind;
    this.random = shared.world.random(`member ${id}`);
  }

  readonly clientPort = (): Port | undefined => this.port;

  get isLeader(): boolean {
    return this.parts?.core.role === "leader";
  }

  /** Whether it can be up again, and has all that it ever acknowledged. */
  get sound(): boolean {
    return !this.damaged && this.state !== "ruined" && this.state !== "removed";
  }

  /** The power has gone off in the middle of a write. */
  get isCutOff(): boolean {
    return this.disk.fails === "power" && this.disk.writesLeft < 0;
  }

  /** Starts the process from what is on its disk. */
  start(): void {
    if (this.state !== "down") return;
    const { world, clockFaults, cutFaults } = this.shared;
    if (cutFaults && !this.hasBooted && this.random.chance(0.2)) this.cutSoon();
    const rate = clockFaults ? 0.95 + this.random.fraction() * 0.1 : 1;
    const process = new SimProcess(world, name(this.id), { rate, wallMs: 1_700_000_000_000 });
    world.tally("starts");
    world.note("start", Number(this.id & 0xffffn));
    this.process = process;
    this.life = new AbortController();
    process.run(() => this.boot(process));
  }

  private boot(process: SimProcess): void {
    try {
      const parts = assemble(this, process, hasData(this.dir) ? undefined : this.bootstrap);
      this.hasBooted = true;
      this.parts = parts;
      this.state = "up";
      const limits = { requestBytesMax: 1_572_864, txnOpsMax: 128, quotaBackendBytes: -1 };
      const services = createServices({ ...parts, limits, ...noAuthentication });
      this.port = { process, services, connections: new Set() };
      parts.start();
      const { replica, clock, logger } = parts;
      const { signal } = this.life;
      const clientUrls = ["http://client.example:2379"];
      publish({ replica, clock, logger, name: name(this.id), clientUrls, signal }).catch(() => undefined);
    } catch (error) {
      // What opens the state may have told of it already.
      if (this.process === process) this.failed(error);
    }
  }

  /** What ends the process from within: allowed only if its disk was made to fail. */
  failed(error: unknown): void {
    const { world } = this.shared;
    world.note("failed", Number(this.id & 0xffffn));
    world.onTrace?.(`  ${name(this.id)}: ${String(error)}`);
    const expected = error instanceof StorageFailure || error instanceof StorageRefused;
    const diskFailed = this.disk.fails !== undefined;
    const { isCutOff } = this;
    this.disk.fails = undefined;
    this.end();
    if (isCutOff) {
      // It was gone before it could fail.
      this.losePower();
      this.startLater();
      return;
    }
    world.tally(expected && this.damaged ? "ruined" : "failed");
    if (expected && this.damaged) this.state = "ruined";
    else if (!(expected && diskFailed)) world.fail(asViolation(this, error));
  }

  /** Kill -9: the disk keeps what it has. With `power` it loses what was not synced. */
  kill(how: "process" | "power"): void {
    if (this.state !== "up") return;
    this.shared.world.tally(`kill ${how}`);
    this.shared.world.note(`kill ${how}`, Number(this.id & 0xffffn));
    this.disk.fails = undefined;
    this.end();
    if (how === "power") this.losePower();
  }

  private losePower(): void {
    const { world } = this.shared;
    const { torn, names } = losePower(this.dir, this.random);
    if (torn > 0) world.tally("torn files");
    if (names > 0) world.tally("lost names");
  }

  /** The power will go off in the middle of what one of the next writes is part of. */
  cutSoon(): void {
    this.disk.fails = "power";
    this.disk.writesLeft = this.random.below(12);
  }

  /** A write is cut off: nothing reaches the disk any more, and the process is gone before anything else happens. */
  cutOff(): void {
    const { process } = this;
    this.shared.world.tally(process === undefined || this.state !== "up" ? "cut starts" : "cut writes");
    this.shared.world.after(0, () => {
      if (this.process !== process) return;
      this.kill("power");
      this.startLater();
    });
  }

  private startLater(): void {
    const { world, network } = this.shared;
    world.after(this.random.around(1000), () => {
      if (network.endpoint(this.id).hostUp) this.start();
    });
  }

  /** As SIGTERM would, without the transfer, which is asked for apart. */
  async stop(): Promise<void> {
    const { parts } = this;
    if (this.state !== "up" || parts === undefined || parts === this.stopping) return;
    this.stopping = parts;
    this.shared.world.note("stop", Number(this.id & 0xffffn));
    await parts.close();
    if (this.parts === parts) this.end();
  }

  /** The disk is replaced by an empty one: this member can not come back. */
  wipe(): void {
    this.shared.world.note("wiped", Number(this.id & 0xffffn));
    this.end();
    wipeDisk(this.dir);
    this.shared.raft.wiped(this.id);
    this.damaged = true;
    this.state = "ruined";
  }

  /** This member was told that it is no longer part of the cluster. */
  removed(): void {
    this.shared.world.tally("told removed");
    this.shared.world.note("removed", Number(this.id & 0xffffn));
    this.end();
    this.state = "removed";
  }

  private end(): void {
    const { port, process } = this;
    this.life.abort();
    process?.stop();
    this.process = undefined;
    this.parts = undefined;
    this.port = undefined;
    if (this.state === "up") this.state = "down";
    this.shared.network.detach(this.id);
    for (const broken of port?.connections ?? []) this.shared.world.after(this.random.fraction(), broken);
  }
}

function asViolation(member: SimMember, error: unknown): Violation {
  if (error instanceof Violation) return error;
  const kind = error instanceof InvariantError ? "invariant" : "failure";
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Violation(kind, `${name(member.id)}: ${text}`);
}

/** Authentication is off in the simulated world: nobody has a password or a token. */
const noAuthentication = {
  tokens: { assign: () => Promise.reject(new Error("no tokens")), identify: async () => undefined },
  passwords: {
    hash: () => Promise.reject(new Error("no passwords")),
    matches: async () => false,
    close: async () => undefined,
  },
};
