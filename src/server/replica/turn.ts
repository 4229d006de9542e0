/**
 * The ready loop: once per turn of the event loop it takes what the core decided and makes it happen, in the order the
 * effects contract asks for (spec/raft-storage.md 2.3). Inbound work only steps the core and calls {@link Turn.schedule}.
 */
import type { RaftCore } from "../raft/core.js";
import type { Append, Apply, Effects, MemberId, Message, RaftEvent, RoleChange, SnapshotMeta } from "../raft/types.js";
import type { Applied } from "../state/types.js";
import type { LogRunner, StateRunner } from "./workers.js";

export interface TurnOptions {
  readonly core: RaftCore;
  readonly log: LogRunner;
  readonly state: StateRunner;
  readonly schedule: (work: () => void) => void;
  readonly send: (messages: readonly Message[]) => void;
  /** First thing in every turn: the last chance to add work to this batch. */
  readonly onTurn: () => void;
  /** After each applied batch; `changed` if it held a change of the membership. */
  readonly onApplied: (batch: readonly Applied[], changed: boolean) => void;
  readonly onRole: (change: RoleChange) => void;
  readonly onRead: (read: Effects["reads"][number]) => void;
  readonly onRejected: (rejected: Effects["rejected"][number]) => void;
  readonly onNeedSnapshot: (peers: readonly MemberId[]) => void;
  /** The state is that of the snapshot now. */
  readonly onInstalled: (snapshot: SnapshotMeta) => void;
  /** An error here means that memory and disk may differ: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

interface Write {
  readonly append: Append;
  /** Ticks of the owner since it was handed out. */
  ticks: number;
  done: boolean;
}

export class Turn {
  private readonly options: TurnOptions;
  /** Appends that are not reported to the core yet, in order. */
  private readonly writes: Write[] = [];
  private applying = 0;
  /** Applies that wait for the end of a pause; undefined while there is none. */
  private held: Apply[] | undefined;
  private whenIdle: (() => void)[] = [];
  private scheduled = false;
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
    if (this.stopped || this.running || this.scheduled) return;
    this.scheduled = true;
    this.options.schedule(() => {
      this.scheduled = false;
      if (!this.stopped) this.run();
    });
  }

  stop(): void {
    this.stopped = true;
  }

  /** Once a Raft tick: for how many ticks the disk has owed us the oldest write; 0 if it owes none. */
  tickWrites(): number {
    for (const write of this.writes) write.ticks += 1;
    return this.writes[0]?.ticks ?? 0;
  }

  /** Nothing is applied from the moment this resolves until the returned function is called. One pause at a time. */
  async pauseApplying(): Promise<() => void> {
    this.held ??= [];
    if (this.applying > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
    return () => {
      const { held } = this;
      this.held = undefined;
      if (this.stopped) return;
      for (const apply of held ?? []) this.apply(apply);
    };
  }

  private run(): void {
    this.running = true;
    this.guard(() => {
      this.options.onTurn();
      for (let effects = this.options.core.take(); effects !== undefined; effects = this.options.core.take()) {
        this.perform(effects);
        if (this.stopped) return;
      }
    });
    this.running = false;
  }

  private perform(effects: Effects): void {
    if (effects.role !== undefined) this.options.onRole(effects.role);
    // Callers wait for what is applied, and nobody for the news of a commit.
    if (effects.apply !== undefined) this.apply(effects.apply);
    if (effects.send.length > 0) this.options.send(effects.send);
    if (effects.append !== undefined) this.append(effects.append);
    for (const read of effects.reads) this.options.onRead(read);
    for (const rejected of effects.rejected) this.options.onRejected(rejected);
    if (effects.needSnapshot.length > 0) this.options.onNeedSnapshot(effects.needSnapshot);
  }

  private append(append: Append): void {
    const write: Write = { append, ticks: 0, done: false };
    this.writes.push(write);
    const { install } = append;
    this.options.log.append(append, () => {
      if (this.stopped) return;
      if (install === undefined) this.finished(write);
      else this.install(install, write);
    });
  }

  /** The pointer names the new file already; the state follows when everything handed out before is applied. */
  private install(snapshot: SnapshotMeta, write: Write): void {
    this.options.state.open(snapshot.file, () => {
      if (this.stopped) return;
      this.guard(() => this.options.onInstalled(snapshot));
      this.finished(write);
    });
  }

  /** Reports in order: a write that came after an install waits for the state to follow. */
  private finished(write: Write): void {
    write.done = true;
    for (let first = this.writes[0]; first?.done === true; first = this.writes[0]) {
      this.writes.shift();
      const { id, sendAfter } = first.append;
      if (sendAfter.length > 0) this.options.send(sendAfter);
      this.step({ kind: "durable", appendId: id });
    }
  }

  private apply(apply: Apply): void {
    if (this.held !== undefined) {
      this.held.push(apply);
      return;
    }
    this.applying += 1;
    this.options.state.apply(apply.entries, (batch) => {
      this.step({ kind: "applied", index: apply.last });
      if (!this.stopped) this.guard(() => this.options.onApplied(batch, apply.entries.some(isChange)));
      // Also at the end of the member: whoever waits for this holds the files.
      this.applied();
    });
  }

  private applied(): void {
    this.applying -= 1;
    if (this.applying > 0) return;
    const waiting = this.whenIdle;
    this.whenIdle = [];
    for (const wake of waiting) wake();
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

function isChange({ kind }: Apply["entries"][number]): boolean {
  return kind === "change";
}
