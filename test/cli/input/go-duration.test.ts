/** Go's durations in both directions. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "../../../src/cli/input/go-duration.js";

describe("reading a duration", () => {
  it.each([
    ["0", 0n],
    ["5s", 5_000_000_000n],
    ["500ms", 500_000_000n],
    ["1m30s", 90_000_000_000n],
    ["1.5h", 5_400_000_000_000n],
    [".5s", 500_000_000n],
    ["1.s", 1_000_000_000n],
    ["-2s", -2_000_000_000n],
    ["+2s", 2_000_000_000n],
    ["3us", 3_000n],
    ["3µs", 3_000n],
    ["3μs", 3_000n],
    ["7ns", 7n],
    ["1h1h", 7_200_000_000_000n],
  ])("takes %s", (text, nanoseconds) => {
    expect(parseDuration(text)).toBe(nanoseconds);
  });

  it.each([
    ["abc", 'time: invalid duration "abc"'],
    ["", 'time: invalid duration ""'],
    ["-", 'time: invalid duration "-"'],
    [".", 'time: invalid duration "."'],
    ["5", 'time: missing unit in duration "5"'],
    ["5m30", 'time: missing unit in duration "5m30"'],
    ["1x", 'time: unknown unit "x" in duration "1x"'],
    ["1m 3s", 'time: unknown unit "m " in duration "1m 3s"'],
    ["9999999h", 'time: invalid duration "9999999h"'],
  ])("refuses %j", (text, message) => {
    expect(() => parseDuration(text)).toThrow(message);
  });
});

describe("printing a duration", () => {
  it.each([
    [0n, "0s"],
    [7n, "7ns"],
    [903_100n, "903.1µs"],
    [5_421_337n, "5.421337ms"],
    [1_500_000_000n, "1.5s"],
    [90_000_000_000n, "1m30s"],
    [3_600_500_000_000n, "1h0m0.5s"],
    [-2_000_000_000n, "-2s"],
  ])("gives %s ns as %s", (nanoseconds, text) => {
    expect(formatDuration(nanoseconds)).toBe(text);
  });

  it("is undone by reading", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), (nanoseconds) => {
        expect(parseDuration(formatDuration(nanoseconds))).toBe(nanoseconds);
      }),
    );
  });
});
