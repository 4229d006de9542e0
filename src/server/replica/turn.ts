/**
 * The ready loop: once per turn of the event loop it takes what the core decided and makes it happen, in the order the
 * effects contract asks for (spec/raft-storage.md 2.3). Inbound work only steps the core and calls {@link Turn.schedule}.
 */
import type { RaftCore } from "../raft/core.js";
import type { Append, Apply, Effects, Message, RaftEvent, RoleChange } from "../raft/types.js";
import type { Applied } from "../state/types.js";
import type { LogRunner, StateRunner } from "./workers.js";

export interface TurnOptions {
  readonly core: RaftCore;
  readonly log: LogRunner;
  readonly state: StateRunner;
  readonly send: (messages: readonly Message[]) => void;
  /** First thing in every turn: the last chance to add work to this batch. */
  readonly onTurn: () => void;
  readonly onApplied: (batch: readonly Applied[]) => void;
  readonly onRole: (change: RoleChange) => void;
  readonly onRead: (read: Effects["reads"][number]) => void;
  readonly onRejected: (rejected: Effects["rejected"][number]) => void;
  /** An error here means that memory and disk may differ: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

export class Turn {
  private readonly options: TurnOptions;
  private scheduled: NodeJS.Immediate | undefined;
  private running = false;
  private stopped = false;

  constructor(options: TurnOptions) {
    this.options = options;
  }

  /** Feeds the core one event and makes sure that a turn follows. */
  step(event: RaftEvent): void {
    if (this.stopped) return;
    this.guard(() => this.options.core.step(event));
    this.schedule();
  }

  schedule(): void {
    if (this.stopped || this.running || this.scheduled !== undefined) return;
    this.scheduled = setImmediate(() => {
      this.scheduled = undefined;
      this.run();
    });
  }

  stop(): void {
    this.stopped = true;
    if (this.scheduled !== undefined) clearImmediate(this.scheduled);
    this.scheduled = undefined;
  }

  private run(): void {
    this.running = true;
    this.guard(() => {
      this.options.onTurn();
      for (let effects = this.options.core.take(); effects !== undefined; effects = this.options.core.take()) {
        this.perform(effects);
      }
    });
    this.running = false;
  }

  private perform(effects: Effects): void {
    if (effects.role !== undefined) this.options.onRole(effects.role);
    if (effects.send.length > 0) this.options.send(effects.send);
    if (effects.append !== undefined) this.append(effects.append);
    if (effects.apply !== undefined) this.apply(effects.apply);
    for (const read of effects.reads) this.options.onRead(read);
    for (const rejected of effects.rejected) this.options.onRejected(rejected);
  }

  private append(append: Append): void {
    this.options.log.append(append, () => {
      if (append.sendAfter.length > 0) this.options.send(append.sendAfter);
      this.step({ kind: "durable", appendId: append.id });
    });
  }

  private apply(apply: Apply): void {
    this.options.state.apply(apply.entries, (batch) => {
      this.step({ kind: "applied", index: apply.last });
      this.options.onApplied(batch);
    });
  }

  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.stop();
      this.options.onFatal(error);
    }
  }
}
