/** What travels between threads arrives as it was: entries in one buffer, failures with their class. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../src/server/invariant.js";
import type { Entry } from "../../../src/server/raft/types.js";
import { packError, unpackError } from "../../../src/server/replica/threads/failures.js";
import { packEntries, unpackEntries, unpackOwnEntries } from "../../../src/server/replica/threads/packing.js";
import { StorageFailure, StorageRefused } from "../../../src/server/storage/failure.js";

const entry: fc.Arbitrary<Entry> = fc.record({
  index: fc.maxSafeNat(),
  term: fc.maxSafeNat(),
  kind: fc.constantFrom("noop" as const, "command" as const, "change" as const),
  data: fc.uint8Array({ maxLength: 300 }),
});

function throughAThread(error: unknown): Error {
  return unpackError(structuredClone(packError(error)));
}

describe("packed entries", () => {
  it("arrive as they were", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 50 }), (entries) => {
        expect(unpackEntries(packEntries(entries))).toEqual(entries);
      }),
    );
  });

  it("take along only their own bytes of a larger buffer", () => {
    const frame = new Uint8Array(100_000).fill(7);
    const data = frame.subarray(50_000, 50_010);
    const packed = packEntries([{ index: 1, term: 1, kind: "command", data }]);
    expect(packed.byteLength).toBeLessThan(100);
    expect(frame.byteLength).toBe(100_000);
    expect(unpackEntries(packed)[0]?.data).toEqual(new Uint8Array(10).fill(7));
  });

  it("can be handed over instead of copied", () => {
    const packed = packEntries([{ index: 1, term: 1, kind: "noop", data: new Uint8Array() }]);
    const arrived = structuredClone(packed, { transfer: [packed] });
    expect(packed.byteLength).toBe(0);
    expect(unpackEntries(arrived)).toHaveLength(1);
  });

  it("can be unpacked into memory of their own", () => {
    const entries = [1, 2].map((index): Entry => ({ index, term: 1, kind: "command", data: new Uint8Array([index]) }));
    const packed = packEntries(entries);
    const own = unpackOwnEntries(packed);
    new Uint8Array(packed).fill(0);
    expect(own).toEqual(entries);
    for (const { data } of own) expect(data.buffer.byteLength).toBe(1);
  });

  it("that do not end where the buffer ends are a broken invariant", () => {
    const packed = packEntries([{ index: 1, term: 1, kind: "command", data: new Uint8Array(4) }]);
    const longer = new Uint8Array(packed.byteLength + 1);
    longer.set(new Uint8Array(packed));
    expect(() => unpackEntries(longer.buffer)).toThrow(InvariantError);
  });
});

describe("a failure from another thread", () => {
  it("of the storage keeps class, reason, exit code, text and stack", () => {
    const failure = new StorageFailure("lostTail", "the tail is gone");
    const arrived = throughAThread(failure);
    expect(arrived).toBeInstanceOf(StorageFailure);
    expect(arrived).toMatchObject({ reason: "lostTail", exitCode: 70, message: "the tail is gone" });
    expect(arrived.stack).toBe(failure.stack);
  });

  it("to open the directory keeps class, reason and text", () => {
    const arrived = throughAThread(new StorageRefused("inUse", "somebody else has it"));
    expect(arrived).toBeInstanceOf(StorageRefused);
    expect(arrived).toMatchObject({ reason: "inUse", message: "somebody else has it" });
  });

  it("of an invariant keeps the numbers that prove it, and says them once", () => {
    const original = new InvariantError("counts differ", { here: 1, id: 2n ** 63n });
    const arrived = throughAThread(original);
    expect(arrived).toBeInstanceOf(InvariantError);
    expect(arrived.message).toBe(original.message);
    expect((arrived as InvariantError).details).toEqual({ here: 1, id: (2n ** 63n).toString() });
  });

  it("of any other kind keeps its text, even if it is no error at all", () => {
    expect(throughAThread(new TypeError("no such thing")).message).toBe("no such thing");
    expect(throughAThread("just a text").message).toBe("just a text");
  });
});
