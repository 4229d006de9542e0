/** Integers and booleans in Go's syntax, with Go's error texts. */
import { describe, expect, it } from "vitest";
import { InputError, parseBoolean, parseInteger } from "../../../src/cli/input/go-number.js";

const goLiteral = { base: 0, sign: "signed" } as const;

describe("an integer in Go's literal syntax", () => {
  it.each([
    ["10", 10n],
    ["+7", 7n],
    ["-5", -5n],
    ["0x0a", 10n],
    ["0XfF", 255n],
    ["0o12", 10n],
    ["010", 8n],
    ["0b1010", 10n],
    ["1_000", 1000n],
    ["0x_f", 15n],
    ["0_7", 7n],
    ["0", 0n],
    ["9223372036854775807", 2n ** 63n - 1n],
    ["-9223372036854775808", -(2n ** 63n)],
  ])("reads %s", (text, value) => {
    expect(parseInteger(text, goLiteral)).toBe(value);
  });

  it.each(["", "abc", "1.5", "1e3", " 1", "1 ", "--1", "0x", "1__0", "_1", "1_", "08", "0b2", "٣"])(
    "refuses %j as bad syntax",
    (text) => {
      expect(() => parseInteger(text, goLiteral)).toThrow(
        new InputError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`),
      );
    },
  );

  it.each(["9223372036854775808", "-9223372036854775809", "99999999999999999999"])("finds %s out of range", (text) => {
    expect(() => parseInteger(text, goLiteral)).toThrow(`strconv.ParseInt: parsing "${text}": value out of range`);
  });
});

describe("an id in hex", () => {
  it("takes digits without a prefix", () => {
    expect(parseInteger("694d5765fc71500b", { base: 16, sign: "signed" })).toBe(0x694d5765fc71500bn);
    expect(parseInteger("FFFFFFFFFFFFFFFF", { base: 16, sign: "unsigned" })).toBe(2n ** 64n - 1n);
  });

  it("refuses a prefix, an underscore and, unsigned, a sign", () => {
    expect(() => parseInteger("0x12", { base: 16, sign: "signed" })).toThrow("invalid syntax");
    expect(() => parseInteger("1_2", { base: 16, sign: "signed" })).toThrow("invalid syntax");
    expect(() => parseInteger("-1", { base: 16, sign: "unsigned" })).toThrow(
      'strconv.ParseUint: parsing "-1": invalid syntax',
    );
  });

  it("finds a lease id beyond 63 bits out of range", () => {
    expect(() => parseInteger("8000000000000000", { base: 16, sign: "signed" })).toThrow("value out of range");
  });
});

describe("a boolean", () => {
  it("has six spellings each way", () => {
    expect(["1", "t", "T", "true", "True", "TRUE"].map(parseBoolean)).toEqual(Array(6).fill(true));
    expect(["0", "f", "F", "false", "False", "FALSE"].map(parseBoolean)).toEqual(Array(6).fill(false));
  });

  it.each(["", "yes", "tRue", "2"])("is not %j", (text) => {
    expect(() => parseBoolean(text)).toThrow(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
  });
});
