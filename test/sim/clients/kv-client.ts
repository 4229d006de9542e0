/** A client that does one request after another, and holds every answer against the committed log. */
import { status } from "../../../proto/status.js";
import type { CommandBody } from "../../../src/server/state/types.js";
import { describeDelete, describePut, describeRange, describeTxn } from "../../check/sequential-model.js";
import { type HistoryChecks, writeName } from "../checks/history-checks.js";
import type { RandomStream } from "../world/random.js";
import { Violation, type World } from "../world/world.js";
import { type CallOptions, call, type Port, type Reply } from "./call.js";
import { type Drawing, drawDelete, drawPut, drawRange, drawReadTxn, drawTxn } from "./requests.js";

/** What all clients of a run share. */
export interface ClientWorld {
  readonly world: World;
  readonly history: HistoryChecks;
  readonly keyCount: number;
  readonly thinkMs: number;
  /** Leases that some client was granted, newest last. */
  readonly leases: bigint[];
  /** Client ports of all members, those that are down included. */
  ports(): readonly (() => Port | undefined)[];
  /** Clients end when this is true. */
  stopping(): boolean;
  readonly counts: ClientCounts;
}

/** What the clients of a run came to. */
export interface ClientCounts {
  calls: number;
  acknowledged: number;
  failed: number;
  lost: number;
  events: number;
}

interface Answer {
  readonly revision: number;
  readonly text: string;
}

/** Errors that promise that the request is not in the log and never will be. */
const surelyNotDone: readonly string[] = [
  status.TooManyRequests.message,
  status.RequestTooLarge.message,
  status.RaftProposalDropped.message,
];

export class KvClient {
  private readonly shared: ClientWorld;
  private readonly random: RandomStream;
  private readonly name: string;
  private count = 0;
  private port: () => Port | undefined;
  /** Writes that a member said were surely not done. */
  readonly denied: string[] = [];

  constructor(shared: ClientWorld, name: string) {
    this.shared = shared;
    this.name = name;
    this.random = shared.world.random(`client ${name}`);
    this.port = this.random.pick(shared.ports());
  }

  async run(): Promise<void> {
    const { world, thinkMs } = this.shared;
    while (!this.shared.stopping()) {
      await world.sleep(this.random.around(thinkMs));
      if (this.random.chance(0.1)) this.port = this.random.pick(this.shared.ports());
      const done = await this.one();
      if (!done) {
        // Another member may do better.
        this.port = this.random.pick(this.shared.ports());
        await world.sleep(this.random.around(100));
      }
    }
  }

  private get options(): CallOptions {
    return { world: this.shared.world, random: this.random, timeoutMs: this.random.chance(0.2) ? 300 : 10_000 };
  }

  /** One request. Answers whether the member answered. */
  private one(): Promise<boolean> {
    this.count += 1;
    this.shared.counts.calls += 1;
    const { keyCount, history, leases } = this.shared;
    const tag = `${this.name}-${this.count}`;
    const drawing: Drawing = {
      random: this.random,
      keyCount,
      tag,
      revision: history.toldRevision,
      leases: leases.slice(-4),
    };
    const draw = this.random.below(100);
    if (draw < 35) return this.put(drawing);
    if (draw < 45) return this.delete(drawing);
    if (draw < 60) return this.txn(drawing);
    if (draw < 64) return this.readTxn(drawing);
    return this.range(drawing);
  }

  private put(drawing: Drawing): Promise<boolean> {
    const value = drawPut(drawing);
    return this.write({ $case: "put", value }, (options) =>
      call(this.port, options, async (services, context) => {
        const response = await services.kv.put(value, context);
        return { revision: Number(response.header?.revision), text: describePut(response) };
      }),
    );
  }

  private delete(drawing: Drawing): Promise<boolean> {
    const value = drawDelete(drawing);
    return this.write({ $case: "deleteRange", value }, (options) =>
      call(this.port, options, async (services, context) => {
        const response = await services.kv.deleteRange(value, context);
        return { revision: Number(response.header?.revision), text: describeDelete(response) };
      }),
    );
  }

  private txn(drawing: Drawing): Promise<boolean> {
    const value = drawTxn(drawing);
    return this.write({ $case: "txn", value }, (options) =>
      call(this.port, options, async (services, context) => {
        const response = await services.kv.txn(value, context);
        return { revision: Number(response.header?.revision), text: describeTxn(response) };
      }),
    );
  }

  private async write(body: CommandBody, ask: (options: CallOptions) => Promise<Reply<Answer>>): Promise<boolean> {
    const { history, counts } = this.shared;
    const name = writeName(body) ?? "";
    const floor = history.toldIndex;
    const reply = await ask(this.options);
    this.note(reply);
    const done = history.find(name);
    if (reply.kind === "ok") {
      counts.acknowledged += 1;
      if (done === undefined) throw new Violation("durability", `write ${name} was acknowledged and is not in the log`);
      if (done.index <= floor)
        throw new Violation(
          "real time",
          `write ${name} is at ${done.index}, before ${floor} that was acknowledged earlier`,
        );
      const expected = `${done.failure ?? ""}${done.answer} at ${done.revision}`;
      const got = `${reply.value.text} at ${reply.value.revision}`;
      if (got !== expected) throw new Violation("write answer", `write ${name} answered ${got}, the model ${expected}`);
      this.told(done.revision, done.index);
    } else if (reply.kind === "error") this.failed(name, reply.error.message);
    return reply.kind === "ok" || reply.kind === "error";
  }

  private failed(name: string, message: string): void {
    const done = this.shared.history.find(name);
    if (surelyNotDone.includes(message)) this.denied.push(name);
    const isResult = message === status.LeaseNotFound.message || message === status.KeyNotFound.message;
    if (isResult && done?.failure !== message) {
      throw new Violation(
        "write answer",
        `write ${name} failed with ${message}, the model says ${done?.failure ?? "otherwise"}`,
      );
    }
  }

  private async range(drawing: Drawing): Promise<boolean> {
    const request = drawRange(drawing);
    const { history } = this.shared;
    const floor = history.toldRevision;
    const reply = await call(this.port, this.options, async (services, context) => {
      const response = await services.kv.range(request, context);
      return { revision: Number(response.header?.revision), text: describeRange(response) };
    });
    this.note(reply);
    if (reply.kind === "ok") {
      const { revision, text } = reply.value;
      if (!request.serializable) this.assertFresh(revision, floor);
      const expected = history.range(request, revision);
      if (text !== expected)
        throw new Violation("read", `${this.name} read at revision ${revision}: ${text}, the model: ${expected}`);
    } else if (reply.kind === "error" && reply.error.message === status.Compacted.message) {
      if (Number(request.revision) >= history.model.compactRevision)
        throw new Violation("read", `revision ${request.revision} is not compacted`);
    }
    return reply.kind === "ok" || reply.kind === "error";
  }

  private async readTxn(drawing: Drawing): Promise<boolean> {
    const request = drawReadTxn(drawing);
    const floor = this.shared.history.toldRevision;
    const reply = await call(this.port, this.options, (services, context) => services.kv.txn(request, context));
    this.note(reply);
    if (reply.kind === "ok") this.assertFresh(Number(reply.value.header?.revision), floor);
    return reply.kind === "ok" || reply.kind === "error";
  }

  private assertFresh(revision: number, floor: number): void {
    if (revision < floor)
      throw new Violation("stale read", `${this.name} read at revision ${revision} after ${floor} was told`);
    if (revision > this.shared.history.model.revision)
      throw new Violation("read", `${this.name} read at revision ${revision}, which does not exist`);
    this.told(revision, 0);
  }

  private told(revision: number, index: number): void {
    const { history } = this.shared;
    history.toldRevision = Math.max(history.toldRevision, revision);
    history.toldIndex = Math.max(history.toldIndex, index);
  }

  private note(reply: Reply<unknown>): void {
    const { world, counts } = this.shared;
    if (reply.kind === "error") counts.failed += 1;
    if (reply.kind === "lost") counts.lost += 1;
    world.note(`${this.name} ${reply.kind}`, this.count);
    if (reply.kind === "error") world.note(reply.error.message);
  }
}
