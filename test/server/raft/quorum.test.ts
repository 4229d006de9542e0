/** Majorities against the plainest possible counting. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { majority, quorumReached, tally } from "../../../src/server/raft/quorum.js";

const voterCount = fc.integer({ min: 1, max: 9 });

describe("a majority", () => {
  it("is the smallest number of voters of which two sets always share one", () => {
    fc.assert(
      fc.property(voterCount, (count) => {
        expect(majority(count) * 2).toBeGreaterThan(count);
        expect((majority(count) - 1) * 2).toBeLessThanOrEqual(count);
      }),
    );
  });
});

describe("what a quorum has reached", () => {
  it("is the highest number that more than half of the voters have reached", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (reached) => {
        const held = (index: number): number => reached.filter((each) => each >= index).length;
        let expected = 0;
        while (held(expected + 1) * 2 > reached.length) expected += 1;
        expect(quorumReached([...reached])).toBe(expected);
      }),
    );
  });

  it("is nothing without voters", () => {
    expect(quorumReached([])).toBe(0);
  });
});

describe("a tally", () => {
  it("is won or lost as soon as the missing votes cannot change it", () => {
    const votes = fc.array(fc.constantFrom(true, false, undefined), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(votes, fc.boolean(), (cast, stranger) => {
        const voters = cast.map((_vote, offset) => BigInt(offset + 1));
        const map = new Map<bigint, boolean>([[99n, stranger]]);
        for (const [offset, vote] of cast.entries()) if (vote !== undefined) map.set(BigInt(offset + 1), vote);
        const granted = cast.filter((vote) => vote === true).length;
        const open = cast.filter((vote) => vote === undefined).length;
        const won = granted * 2 > cast.length;
        const winnable = (granted + open) * 2 > cast.length;
        const expected = won ? "won" : winnable ? "open" : "lost";
        expect(tally(voters, map)).toBe(expected);
      }),
    );
  });
});
