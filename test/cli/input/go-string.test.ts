/** Go string literals, and strings that hold any bytes. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOf, byteText } from "../../../src/cli/input/byte-text.js";
import { leadingLiteral, unquote } from "../../../src/cli/input/go-string.js";
import { goQuote } from "../../../src/cli/output/go-quote.js";

describe("byte text", () => {
  it("gives any bytes back", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...bytesOf(byteText(bytes))]).toEqual([...bytes]);
      }),
    );
  });

  it("is the plain string for UTF-8", () => {
    expect(byteText(Buffer.from("bé 日本 🎉"))).toBe("bé 日本 🎉");
  });
});

describe("a literal", () => {
  it.each([
    ['"plain"', "plain"],
    ['"a\\tb\\n\\"\\\\"', 'a\tb\n"\\'],
    ['"\\a\\b\\f\\r\\v"', "\x07\b\f\r\v"],
    ['"\\x41\\101\\u00e9\\U0001f389"', "AAé🎉"],
    ["`raw \\n \r`", "raw \\n "],
  ])("%s says what Go makes of it", (literal, text) => {
    expect(unquote(literal)).toBe(text);
  });

  it("may hold bytes that are no UTF-8", () => {
    expect([...bytesOf(unquote('"\\xff\\x00\\377"') ?? "")]).toEqual([0xff, 0, 0xff]);
  });

  it.each([
    '"open',
    'open"',
    '"',
    "'single'",
    '"\\q"',
    '"\\x4"',
    '"\\400"',
    '"\\ud800"',
    '"a"b"',
    '"line\nbreak"',
    "`a`b`",
  ])("%j is none", (literal) => {
    expect(unquote(literal)).toBeUndefined();
  });

  it("is found at the start of a text, with what follows it", () => {
    expect(leadingLiteral('"k\\"") = "1"')).toEqual({ value: 'k"', after: ') = "1"' });
    expect(leadingLiteral("k)")).toBeUndefined();
  });
});

describe("%q", () => {
  it.each([
    ["plain é 日本 🎉", '"plain é 日本 🎉"'],
    ['"\\', '"\\"\\\\"'],
    ["\x07\b\t\n\v\f\r", '"\\a\\b\\t\\n\\v\\f\\r"'],
    ["\x00\x1f\x7f", '"\\x00\\x1f\\x7f"'],
    ["\u00a0\u200b\u2028\ufeff\u00ad", '"\\u00a0\\u200b\\u2028\\ufeff\\u00ad"'],
    ["\u{e0001}", '"\\U000e0001"'],
  ])("quotes %j", (text, quoted) => {
    expect(goQuote(text)).toBe(quoted);
  });

  it("shows bytes that are no UTF-8 as \\xNN", () => {
    expect(goQuote(Uint8Array.of(0, 0xff, 0xfe, 0x41, 0xc3))).toBe('"\\x00\\xff\\xfeA\\xc3"');
  });

  it("is undone by unquoting, for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...bytesOf(unquote(goQuote(bytes)) ?? "not a literal")]).toEqual([...bytes]);
      }),
    );
  });
});
