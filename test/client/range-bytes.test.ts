/** Prefixes that are Buffers, whose slices share memory: nothing may be written into them. */
import { describe, expect, it } from "vitest";
import { wireRange } from "../../src/client/kv/range.js";
import { rest } from "../../src/client/mirror/keys.js";

describe("a prefix that is a Buffer", () => {
  it("stays as it is when its range is computed", () => {
    const prefix = Buffer.from("a/");
    const range = wireRange({ prefix });
    expect([prefix, Buffer.from(range.key), Buffer.from(range.rangeEnd)].map(String)).toEqual(["a/", "a/", "a0"]);
  });

  it("stays as it is when a mirror goes on behind a key", () => {
    const prefix = Buffer.from("a/");
    const range = rest(prefix, Buffer.from("a/1"));
    expect(Object.values(range).map(String)).toEqual(["a/1\0", "97,48"]);
    expect(String(prefix)).toBe("a/");
  });
});
