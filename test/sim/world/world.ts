/**
 * Virtual time: events in the order of (time, sequence), run one after another in one thread. Promises settle inside the
 * event that woke them: the next event starts only when no microtask is left.
 */
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { RandomStream } from "./random.js";

/** Something that will happen at a time, in virtual milliseconds. */
export interface SimEvent {
  readonly timeMs: number;
  readonly sequence: number;
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined;
}

/** A check that failed, or code under test that did what it must not do. Its message is what the run ends with. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly check: string;

  constructor(check: string, message: string) {
    super(`${check}: ${message}`);
    this.check = check;
  }
}

const eventsPerTick = 1000;

/** Runs microtasks until none is left, in the middle of the running code: a turn of the event loop for every event is dear. */
const settlePromises = microtaskCheckpoint();

function microtaskCheckpoint(): () => void {
  // V8's own function for this has no name in the language unless this flag is set.
  setFlagsFromString("--allow-natives-syntax");
  const checkpoint = runInThisContext("() => %PerformMicrotaskCheckpoint()") as () => void;
  // It is compiled at its first call.
  checkpoint();
  setFlagsFromString("--no-allow-natives-syntax");
  return checkpoint;
}

export class World {
  readonly seed: number;
  nowMs = 0;
  eventCount = 0;
  /** Folds what happened; two runs of one seed must agree. */
  traceHash = 0;
  readonly tallies = new Map<string, number>();
  /** Called with each line of the trace, if somebody wants it. */
  onTrace: ((line: string) => void) | undefined;
  /** Called after every event, promises of it not yet settled. */
  afterEvent: () => void = () => undefined;
  private readonly heap: SimEvent[] = [];
  private sequence = 0;
  private failure: Error | undefined;

  constructor(seed: number) {
    this.seed = seed;
  }

  random(name: string): RandomStream {
    return new RandomStream(this.seed, name);
  }

  at(timeMs: number, run: () => void): SimEvent {
    this.sequence += 1;
    const event: SimEvent = { timeMs: Math.max(timeMs, this.nowMs), sequence: this.sequence, run };
    push(this.heap, event);
    return event;
  }

  after(delayMs: number, run: () => void): SimEvent {
    return this.at(this.nowMs + delayMs, run);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Ends the run with this violation (the first one counts). */
  fail(error: Error): void {
    this.failure ??= error;
  }

  get failed(): boolean {
    return this.failure !== undefined;
  }

  /** Counts what a run went through, so that one can see that it went through anything. */
  tally(what: string): void {
    this.tallies.set(what, (this.tallies.get(what) ?? 0) + 1);
  }

  /** Adds a fact to the trace and its hash. */
  note(what: string, a = 0, b = 0): void {
    let hash = this.traceHash;
    for (let at = 0; at < what.length; at += 1) hash = Math.imul(hash ^ what.charCodeAt(at), 16_777_619);
    hash = Math.imul(hash ^ (a | 0), 16_777_619);
    hash = Math.imul(hash ^ (b | 0), 16_777_619);
    this.traceHash = Math.imul(hash ^ Math.floor(this.nowMs * 1000), 16_777_619) >>> 0;
    this.onTrace?.(`${this.nowMs.toFixed(3)} ${what} ${a} ${b}`);
  }

  /** Runs everything up to a time, or until it is over. Rejects with the first failure. */
  async run(untilMs: number, over: () => boolean = () => false): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        try {
          for (let count = 0; count < eventsPerTick; count += 1) {
            if (this.failure !== undefined) return reject(this.failure);
            if (over() || !this.step(untilMs)) return resolve();
            settlePromises();
          }
        } catch (error) {
          return reject(error);
        }
        // Now and then the process gets its turn: it reports rejections that nobody handles.
        process.nextTick(turn);
      };
      // Not from within a microtask, where the others would have to wait for the end of this one.
      process.nextTick(turn);
    });
  }

  /** One event; false when none is left before `untilMs`. */
  private step(untilMs: number): boolean {
    const event = this.heap[0];
    if (event === undefined || event.timeMs > untilMs) return false;
    pop(this.heap);
    const { run } = event;
    if (run === undefined) return true;
    this.nowMs = event.timeMs;
    this.eventCount += 1;
    run();
    this.afterEvent();
    return true;
  }
}

function earlier(a: SimEvent, b: SimEvent): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence);
}

function push(heap: SimEvent[], event: SimEvent): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parentAt = (at - 1) >> 1;
    const parent = heap[parentAt] as SimEvent;
    if (!earlier(event, parent)) break;
    heap[at] = parent;
    at = parentAt;
  }
  heap[at] = event;
}

function pop(heap: SimEvent[]): void {
  const last = heap.pop() as SimEvent;
  const size = heap.length;
  if (size === 0) return;
  let at = 0;
  for (;;) {
    let childAt = 2 * at + 1;
    if (childAt >= size) break;
    if (childAt + 1 < size && earlier(heap[childAt + 1] as SimEvent, heap[childAt] as SimEvent)) childAt += 1;
    const child = heap[childAt] as SimEvent;
    if (!earlier(child, last)) break;
    heap[at] = child;
    at = childAt;
  }
  heap[at] = last;
}
