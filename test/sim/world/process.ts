/**
 * One process of the simulated world: it runs until it is killed, stands still while it is paused, and has a clock that
 * goes a little too fast or too slow. What reaches a paused process waits and comes all at once.
 */
import type { Clock } from "../../../src/server/runtime/clock.js";
import type { RandomStream } from "./random.js";
import type { SimEvent, World } from "./world.js";

export interface ClockFaults {
  /** Virtual milliseconds of this process in one of the world: 0.95 to 1.05. */
  readonly rate: number;
  /** Where its wall clock stands at the start of the world. */
  readonly wallMs: number;
}

/** The channel of what the process asked for itself. */
const timers = "timers";

export class SimProcess {
  readonly clock: Clock;
  readonly name: string;
  private readonly world: World;
  private wallMs: number;
  private stopped = false;
  private paused = false;
  /** What has come during a pause, by where it came from. */
  private waiting = new Map<unknown, (() => void)[]>();
  private readonly order: RandomStream;

  constructor(world: World, name: string, { rate, wallMs }: ClockFaults) {
    this.world = world;
    this.name = name;
    this.order = world.random(`order ${name} ${world.nowMs}`);
    this.wallMs = wallMs;
    this.clock = {
      wallMs: () => Math.floor(this.wallMs + world.nowMs * rate),
      monotonicMs: () => world.nowMs * rate,
      after: (delayMs, callback) => {
        const event = this.after(delayMs / rate, callback);
        return () => cancel(event);
      },
    };
  }

  get alive(): boolean {
    return !this.stopped;
  }

  get isPaused(): boolean {
    return this.paused;
  }

  /** Runs work of this process after so many milliseconds of the world; never once it is dead. */
  after(delayMs: number, work: () => void): SimEvent {
    return this.world.after(delayMs, () => this.run(work));
  }

  /** Runs work of this process now, or when it goes on. What comes over one channel stays in order. */
  run(work: () => void, channel: unknown = timers): void {
    if (this.stopped) return;
    if (!this.paused) {
      enter(this, work);
      return;
    }
    const queue = this.waiting.get(channel);
    if (queue === undefined) this.waiting.set(channel, [work]);
    else queue.push(work);
  }

  pause(): void {
    this.paused = true;
  }

  /** Everything that waits is handled now, one channel mixed with the other. */
  resume(): void {
    this.paused = false;
    const queues = [...this.waiting.values()];
    this.waiting = new Map();
    while (queues.length > 0) {
      const at = this.order.below(queues.length);
      const work = queues[at]?.shift();
      if (work === undefined) queues.splice(at, 1);
      else this.after(0, work);
    }
  }

  jumpWall(byMs: number): void {
    this.wallMs += byMs;
  }

  /** Nothing of it happens any more. */
  stop(): void {
    this.stopped = true;
    this.waiting.clear();
  }
}

function cancel(event: SimEvent): void {
  event.run = undefined;
}

let running: SimProcess | undefined;

/** The process whose code runs right now; its promises settle before another one gets its turn. */
export function runningProcess(): SimProcess | undefined {
  return running;
}

function enter(process: SimProcess, work: () => void): void {
  running = process;
  work();
}
