/** What key and range_end mean together. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  contains,
  intervalOf,
  isEmpty,
  isSingleKey,
  keyBytes,
  keyText,
  prefixEnd,
} from "../../../src/server/watch/ranges.js";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const anyKey = fc.uint8Array({ maxLength: 4 });

describe("an interval", () => {
  it("with an empty range end holds the key alone", () => {
    const interval = intervalOf(bytes(1, 2), bytes());
    expect(isSingleKey(interval)).toBe(true);
    expect(contains(interval, keyText(bytes(1, 2)))).toBe(true);
    expect(contains(interval, keyText(bytes(1, 2, 0)))).toBe(false);
    expect(contains(interval, keyText(bytes(1)))).toBe(false);
  });

  it("with a range end of one zero byte holds every key from the key on", () => {
    const interval = intervalOf(bytes(7), bytes(0));
    expect(contains(interval, keyText(bytes(255, 255)))).toBe(true);
    expect(contains(interval, keyText(bytes(6, 255)))).toBe(false);
    expect(isEmpty(interval)).toBe(false);
  });

  it("takes two zero bytes as an ordinary end", () => {
    const interval = intervalOf(bytes(0), bytes(0, 0));
    expect(contains(interval, keyText(bytes(0)))).toBe(true);
    expect(contains(interval, keyText(bytes(1)))).toBe(false);
    expect(isEmpty(intervalOf(bytes(1), bytes(0, 0)))).toBe(true);
  });

  it("is empty when the end is not above the key", () => {
    expect(isEmpty(intervalOf(bytes(5), bytes(5)))).toBe(true);
    expect(isEmpty(intervalOf(bytes(5), bytes(4)))).toBe(true);
    expect(isEmpty(intervalOf(bytes(5), bytes(5, 0)))).toBe(false);
  });

  it("compares keys as bytes, shorter first", () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyKey, (key, end, probe) => {
        fc.pre(end.length > 1);
        const inside = Buffer.compare(key, probe) <= 0 && Buffer.compare(probe, end) < 0;
        expect(contains(intervalOf(key, end), keyText(probe))).toBe(inside);
      }),
    );
  });
});

describe("a prefix", () => {
  it.each([
    [bytes(97), bytes(98)],
    [bytes(97, 255), bytes(98)],
    [bytes(97, 254), bytes(97, 255)],
    [bytes(255, 255), bytes(0)],
    [bytes(), bytes(0)],
  ])("%o ends below %o", (prefix, end) => {
    expect(prefixEnd(prefix)).toEqual(end);
  });

  it("holds exactly the keys that start with it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 3 }), anyKey, (prefix, probe) => {
        const starts = Buffer.compare(probe.subarray(0, prefix.length), prefix) === 0;
        expect(contains(intervalOf(prefix, prefixEnd(prefix)), keyText(probe))).toBe(starts);
      }),
    );
  });
});

it("turns keys into text and back without loss", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (key) => {
      expect([...keyBytes(keyText(key))]).toEqual([...key]);
    }),
  );
});
