/** The handwritten encoding of a pair is the one that the generated code writes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeyValue } from "../../../../proto/gen/etcd/kv.js";
import { encodePair, keyFieldBytes, toKeyValue, tombstonePair } from "../../../../src/server/state/mvcc/key-value.js";

const revision = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const pair = fc.record({
  key: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  createRevision: revision,
  modRevision: revision,
  version: revision,
  value: fc.uint8Array({ maxLength: 300 }),
  lease: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
});

describe("an encoded pair", () => {
  it("is what the generated code writes", () => {
    fc.assert(
      fc.property(pair, (one) => {
        expect([...encodePair(one)]).toEqual([...KeyValue.encode(toKeyValue(one)).finish()]);
      }),
      { numRuns: 1000 },
    );
  });

  it("may be larger than any before", () => {
    const one = { ...tombstonePair(Buffer.from("k"), 7), value: Buffer.alloc(2 ** 21, "v"), lease: -1n };
    expect(Buffer.compare(encodePair(one), KeyValue.encode(toKeyValue(one)).finish())).toBe(0);
  });

  it("starts with its key field", () => {
    for (const length of [1, 127, 128, 20_000]) {
      const encoded = encodePair({ ...tombstonePair(Buffer.alloc(length, "k"), 7), value: Buffer.from("v") });
      const key = KeyValue.encode(KeyValue.fromPartial({ key: Buffer.alloc(length, "k") })).finish();
      expect(keyFieldBytes(encoded)).toBe(key.length);
    }
  });
});
