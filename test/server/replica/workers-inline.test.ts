/** Runners inline, delayed by a scheduler as the simulator delays them: order holds whatever the delays are. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inlineLog, inlineState } from "../../../src/server/replica/inline.js";
import { Lane } from "../../../src/server/replica/lane.js";
import type { LogRunner, StateRunner } from "../../../src/server/replica/workers.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { openState, stateBootstrapOf } from "../../../src/server/state/state.js";
import type { State } from "../../../src/server/state/types.js";
import { StorageFailure } from "../../../src/server/storage/failure.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { LogStore } from "../../../src/server/storage/types.js";
import { batch, clusterId, founding, newDirectory, puts } from "./threads-world.js";

let directory: ReturnType<typeof newDirectory>;
let store: LogStore;
let state: State;
let fatal: unknown[];
/** What the scheduler was given and has not called yet. */
let due: (() => void)[];
let log: LogRunner;
let runner: StateRunner;

beforeEach(() => {
  directory = newDirectory();
  const { dir } = directory;
  store = openLogStore({ dir, bootstrap: founding });
  const { initial } = store;
  state = openState({ dir, file: initial.stateFile, clusterId, bootstrap: stateBootstrapOf(initial) });
  fatal = [];
  due = [];
  const options = {
    clock: systemClock,
    observer: undefined,
    onFatal: (error: unknown) => fatal.push(error),
    defer: (work: () => void) => due.push(work),
    dataDir: dir,
  };
  log = inlineLog(store, options);
  runner = inlineState(state, options);
});

afterEach(() => {
  state.close();
  store.close();
  directory.remove();
});

/** Lets the scheduler call back until it has nothing left, in an order that `pick` chooses. */
function runAll(pick: () => number): void {
  while (due.length > 0) due.splice(pick() % due.length, 1)[0]?.();
}

describe("a lane", () => {
  it("performs its work in order, each piece once, whatever else the scheduler does in between", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 20 }), (picks, count) => {
        const waiting: (() => void)[] = [];
        const lanes = [0, 1, 2].map(() => new Lane((work) => waiting.push(work)));
        const done: number[][] = [[], [], []];
        for (let n = 0; n < count; n += 1) lanes.forEach((lane, at) => lane.push(() => done[at]?.push(n)));
        while (waiting.length > 0) waiting.splice(picks.next().value % waiting.length, 1)[0]?.();
        for (const order of done) expect(order).toEqual(Array.from({ length: count }, (_, n) => n));
      }),
    );
  });

  it("takes work that is pushed by the work itself", () => {
    const order: string[] = [];
    const lane = new Lane((work) => work());
    lane.push(() => {
      lane.push(() => order.push("second"));
      order.push("first");
    });
    expect(order).toEqual(["first", "second"]);
  });
});

describe("runners that are delayed", () => {
  it("do nothing before the scheduler says so, and report only when it says so again", () => {
    const reports: number[] = [];
    runner.apply(puts(2, 3), (applied) => reports.push(applied.length));
    expect(state.reader.appliedIndex()).toBe(1);
    due.shift()?.();
    expect(state.reader.appliedIndex()).toBe(4);
    expect(reports).toEqual([]);
    due.shift()?.();
    expect(reports).toEqual([3]);
  });

  it("report appends and applies in order under any delays", () => {
    let first = 2;
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 8 }), (picks, count) => {
        const reports: string[] = [];
        for (let n = 0; n < count; n += 1) {
          log.append(batch(puts(first + n, 1)), () => reports.push(`durable ${n}`));
          runner.apply(puts(first + n, 1), () => reports.push(`applied ${n}`));
        }
        first += count;
        runAll(() => picks.next().value);
        for (const what of ["durable", "applied"]) {
          const numbers = reports.filter((entry) => entry.startsWith(what)).map((entry) => Number(entry.split(" ")[1]));
          expect(numbers).toEqual(Array.from({ length: count }, (_, n) => n));
        }
      }),
      { numRuns: 30 },
    );
    expect(fatal).toEqual([]);
  });

  it("perform and report nothing after a failure, and close all the same", () => {
    const reports: string[] = [];
    runner.apply(puts(2, 1), () => reports.push("before"));
    runner.apply(puts(9, 1), () => reports.push("out of order"));
    runner.apply(puts(3, 1), () => reports.push("after"));
    runner.close(() => reports.push("closed"));
    runAll(() => 0);
    expect(fatal).toHaveLength(1);
    expect(reports).toEqual(["before", "closed"]);
  });

  it("keep back a report that was waiting when something failed", () => {
    const reports: string[] = [];
    const broken = new StorageFailure("io", "the disk is gone");
    const failing: LogStore = {
      ...store,
      initial: store.initial,
      append: ({ entries }) => {
        if (entries.length === 0) throw broken;
      },
    };
    const delayed: (() => void)[] = [];
    const runnerOfFailing = inlineLog(failing, {
      clock: systemClock,
      observer: undefined,
      onFatal: (error) => fatal.push(error),
      defer: (work) => delayed.push(work),
    });
    runnerOfFailing.append(batch(puts(2, 1)), () => reports.push("durable"));
    runnerOfFailing.append(batch([]), () => reports.push("failed"));
    // The first write is performed and its report waits; then the second write fails.
    delayed.shift()?.();
    expect(delayed).toHaveLength(2);
    const [report, write] = delayed.splice(0);
    write?.();
    report?.();
    for (const work of delayed) work();
    expect(fatal).toEqual([broken]);
    expect(reports).toEqual([]);
  });
});
