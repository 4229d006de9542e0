/**
 * One process of the simulated world: it runs until it is killed, stands still while it is paused, and has a clock that
 * goes a little too fast or too slow. What reaches a paused process waits and comes all at once.
 */
import type { Clock } from "../../../src/server/runtime/clock.js";
import type { SimEvent, World } from "./world.js";

export interface ClockFaults {
  /** Virtual milliseconds of this process in one of the world: 0.95 to 1.05. */
  readonly rate: number;
  /** Where its wall clock stands at the start of the world. */
  readonly wallMs: number;
}

export class SimProcess {
  readonly clock: Clock;
  readonly name: string;
  private readonly world: World;
  private wallMs: number;
  private stopped = false;
  private paused = false;
  private waiting: (() => void)[] = [];

  constructor(world: World, name: string, { rate, wallMs }: ClockFaults) {
    this.world = world;
    this.name = name;
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

  /** Runs work of this process now, or when it goes on. */
  run(work: () => void): void {
    if (this.stopped) return;
    if (this.paused) this.waiting.push(work);
    else enter(this, work);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    const waiting = this.waiting;
    this.waiting = [];
    for (const work of waiting) this.after(0, work);
  }

  jumpWall(byMs: number): void {
    this.wallMs += byMs;
  }

  /** Nothing of it happens any more. */
  stop(): void {
    this.stopped = true;
    this.waiting = [];
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
