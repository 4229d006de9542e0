/** How `check` keeps its pace, measures, and judges; with a clock that the tests turn. */
import { describe, expect, it } from "vitest";
import { dataLoad, perfLoad } from "../../../src/cli/check/loads.js";
import { type Clock, Pace } from "../../../src/cli/check/pace.js";
import { dataVerdict, perfVerdict } from "../../../src/cli/check/verdict.js";
import { type Summary, Writers } from "../../../src/cli/check/writers.js";

/** Time passes only by sleeping, and for one sleeper at a time. */
class TurnedClock implements Clock {
  nowMs = 0;

  now(): number {
    return this.nowMs;
  }

  async sleep(ms: number): Promise<void> {
    this.nowMs += ms;
  }
}

const never = new AbortController().signal;

function summaryOf(change: Partial<Summary> = {}): Summary {
  return { perSecond: 149.99, slowestSeconds: 0.087, stddevSeconds: 0.003, errors: new Map(), ...change };
}

describe("loads", () => {
  it.each([
    ["s", "small", { writesPerSecond: 150, clients: 50, pairs: 10_000 }],
    ["m", "medium", { writesPerSecond: 1_000, clients: 200, pairs: 100_000 }],
    ["l", "large", { writesPerSecond: 8_000, clients: 500, pairs: 1_000_000 }],
    ["xl", "xLarge", { writesPerSecond: 15_000, clients: 1_000, pairs: 3_000_000 }],
  ])("%s is also %s", (short, long, { writesPerSecond, clients, pairs }) => {
    expect(perfLoad(short)).toEqual({ writesPerSecond, clients, durationMs: 60_000 });
    expect(dataLoad(short)).toEqual({ pairs, clients });
    expect([perfLoad(long), dataLoad(long)]).toEqual([perfLoad(short), dataLoad(short)]);
  });

  it("have no other names", () => {
    expect(() => perfLoad("xlarge")).toThrow(
      expect.objectContaining({ exitCode: 4, message: "unknown load option xlarge" }),
    );
  });
});

describe("a pace", () => {
  it("gives as many turns as the rate and the time make, evenly", async () => {
    const clock = new TurnedClock();
    const pace = new Pace({ perSecond: 100, durationMs: 1_000, backlogMax: 5, clock, signal: never });
    const turnsMs: number[] = [];
    while (await pace.turn()) turnsMs.push(clock.now());
    expect(turnsMs).toHaveLength(100);
    expect(turnsMs[50]).toBeCloseTo(500);
  });

  it("makes up for as many missed turns as writers may wait, and for no more", async () => {
    const clock = new TurnedClock();
    const pace = new Pace({ perSecond: 100, durationMs: 10_000, backlogMax: 5, clock, signal: never });
    clock.nowMs = 1_000;
    let atOnce = 0;
    while (await pace.turn()) {
      if (clock.now() > 1_000) break;
      atOnce++;
    }
    // Five that were missed, and the one that is due.
    expect(atOnce).toBe(6);
  });

  it("ends when it is interrupted", async () => {
    const stop = new AbortController();
    const clock = new TurnedClock();
    const pace = new Pace({ perSecond: 1, durationMs: 60_000, backlogMax: 1, clock, signal: stop.signal });
    await expect(pace.turn()).resolves.toBe(true);
    stop.abort();
    await expect(pace.turn()).resolves.toBe(false);
  });
});

describe("writers", () => {
  it("measure what succeeds and count what fails by its text", async () => {
    const clock = new TurnedClock();
    const tookMs = [100, 300];
    const write = async (): Promise<void> => {
      const ms = tookMs.shift();
      if (ms === undefined) throw new Error("no more");
      clock.nowMs += ms;
    };
    let turns = 4;
    const turn = (): boolean => {
      if (turns-- > 0) return true;
      clock.nowMs += 5_000; // waiting in vain for another turn takes nothing from the rate
      return false;
    };
    const writers = new Writers({ clients: 1, turn, write, clock });
    await expect(writers.run()).resolves.toEqual({
      perSecond: 5,
      slowestSeconds: 0.3,
      stddevSeconds: 0.1,
      errors: new Map([["no more", 2]]),
    });
    expect(writers.done).toBe(4);
  });

  it("never have more under way than there are clients", async () => {
    let [left, underWay, most] = [20, 0, 0];
    const write = async (): Promise<void> => {
      most = Math.max(most, ++underWay);
      await new Promise(setImmediate);
      underWay--;
    };
    await new Writers({ clients: 4, turn: () => left-- > 0, write, clock: new TurnedClock() }).run();
    expect(most).toBe(4);
  });

  it("that wrote nothing have measured nothing", async () => {
    const writers = new Writers({ clients: 2, turn: () => false, write: async () => {}, clock: new TurnedClock() });
    await expect(writers.run()).resolves.toMatchObject({ perSecond: 0, slowestSeconds: 0, stddevSeconds: 0 });
  });
});

describe("the verdict", () => {
  it("of a cluster that keeps up", () => {
    expect(perfVerdict(summaryOf(), 150)).toEqual({
      lines: [
        "PASS: Throughput is 150 writes/s",
        "PASS: Slowest request took 0.087000s",
        "PASS: Stddev is 0.003000s",
        "PASS",
      ],
      isPassed: true,
    });
  });

  it.each([
    [{ perSecond: 135 }, "FAIL: Throughput too low: 136 writes/s"],
    [{ slowestSeconds: 0.500_001 }, "Slowest request took too long: 0.500001s"],
    [{ stddevSeconds: 0.2 }, "Stddev too high: 0.200000s"],
    [{ errors: new Map([["etcdserver: no leader", 3]]) }, "FAIL: ERROR(etcdserver: no leader) -> 3"],
  ])("of a cluster with %j", (change, line) => {
    const { lines, isPassed } = perfVerdict(summaryOf(change), 150);
    expect(isPassed).toBe(false);
    expect(lines).toContain(line);
    expect(lines.at(-1)).toBe("FAIL");
  });

  it("bears what is just at its limits", () => {
    const atLimits = summaryOf({ perSecond: 135.1, slowestSeconds: 0.5, stddevSeconds: 0.1 });
    expect(perfVerdict(atLimits, 150).isPassed).toBe(true);
  });

  it("of a server's memory is in units of 1024 with two decimals", () => {
    expect(dataVerdict(summaryOf(), 22_544_384)).toEqual({
      lines: ["PASS: Approximate system memory used : 21.50 MB."],
      isPassed: true,
    });
    const errors = new Map([["etcdserver: mvcc: database space exceeded", 7]]);
    expect(dataVerdict(summaryOf({ errors }), 1)).toEqual({
      lines: ["FAIL: too many errors", "FAIL: ERROR(etcdserver: mvcc: database space exceeded) -> 7"],
      isPassed: false,
    });
  });
});
