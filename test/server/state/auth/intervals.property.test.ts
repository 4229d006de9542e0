/** Merged intervals against a model that looks at every key of a small universe. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { type KeyRange, KeySet } from "../../../../src/server/state/auth/intervals.js";

/** Few bytes and short keys, so that intervals meet, touch, nest and miss each other by one key. 0 is the awkward one. */
const alphabet = [0, 1, 2];
const keyLengthMax = 3;

/** Every key of up to four bytes: one more than a bound can have, so that there are keys between any two bounds. */
const universe: readonly Buffer[] = keysUpTo(keyLengthMax + 1);

function keysUpTo(length: number): Buffer[] {
  if (length === 0) return [Buffer.alloc(0)];
  const shorter = keysUpTo(length - 1);
  const longest = shorter.filter((key) => key.length === length - 1);
  return [...shorter, ...longest.flatMap((key) => alphabet.map((byte) => Buffer.from([...key, byte])))];
}

const bytes = (minLength: number) =>
  fc.array(fc.constantFrom(...alphabet), { minLength, maxLength: keyLengthMax }).map((list) => Buffer.from(list));

const range: fc.Arbitrary<KeyRange> = fc.record({
  key: bytes(1),
  rangeEnd: fc.oneof(bytes(0), fc.constant(Buffer.alloc(1)), bytes(1)),
});

/** Whether a key is in a range, straight from the words of the contract. */
function holds({ key, rangeEnd }: KeyRange, candidate: Buffer): boolean {
  if (rangeEnd.length === 0) return candidate.equals(key);
  const afterStart = Buffer.compare(candidate, key) >= 0;
  const openEnd = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return afterStart && (openEnd || Buffer.compare(candidate, rangeEnd) < 0);
}

it("covers a range exactly when every key of it is granted by some range, and there is a key", () => {
  let covered = 0;
  const property = fc.property(fc.array(range, { maxLength: 6 }), range, (granted, asked) => {
    const keys = universe.filter((key) => holds(asked, key));
    // A range without an end holds longer and larger keys than the universe has; only one without an end grants those.
    const endless = asked.rangeEnd.length === 1 && asked.rangeEnd[0] === 0;
    const beyond = !endless || granted.some(({ rangeEnd }) => rangeEnd.length === 1 && rangeEnd[0] === 0);
    const expected = keys.length > 0 && beyond && keys.every((key) => granted.some((one) => holds(one, key)));
    if (expected) covered += 1;
    return new KeySet(granted).covers(asked) === expected;
  });
  fc.assert(property, { numRuns: 3000 });
  expect(covered).toBeGreaterThan(300);
});

const text = (key: string, rangeEnd = ""): KeyRange => ({ key: Buffer.from(key), rangeEnd: Buffer.from(rangeEnd) });

it.each([
  ["two that touch", [text("a", "c"), text("c", "e")], text("a", "e"), true],
  ["two with a key between them", [text("a", "c"), text("c\0", "e")], text("a", "e"), false],
  ["a key and what follows it", [text("a"), text("a\0", "b")], text("a", "b"), true],
  ["one key, asked for all from it", [text("a")], text("a", "\0"), false],
  ["a large one, asked for one without end", [text("a", "\xff")], text("a", "\0"), false],
  ["one without end", [text("a", "\0")], text("b", "\0"), true],
  ["one without end, asked for what is before it", [text("b", "\0")], text("a", "c"), false],
  ["everything, asked for a reversed range", [text("\0", "\0")], text("b", "a"), false],
  ["everything, asked for an empty range", [text("\0", "\0")], text("b", "b"), false],
  ["nothing", [], text("a"), false],
  ["an end of two zeros, which is an end like others", [text("a", "\0\0")], text("a"), false],
])("%s", (_name, granted, asked, covered) => {
  expect(new KeySet(granted).covers(asked)).toBe(covered);
});
