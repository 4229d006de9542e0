/** Go string literals, as the txn language and watch lines hold them: "…" with escapes, `…` raw (spec/cli.md 8.4). */
import { bytesOf, byteText } from "./byte-text.js";

const simpleEscapes: ReadonlyMap<string, number> = new Map([
  ["a", 0x07],
  ["b", 0x08],
  ["f", 0x0c],
  ["n", 0x0a],
  ["r", 0x0d],
  ["t", 0x09],
  ["v", 0x0b],
  ["\\", 0x5c],
  ['"', 0x22],
]);
/** One escape after its backslash: a byte in octal or hex, a code point, or a named character. */
const escapePattern = /^(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/su;

/** What a whole literal says, quotes included, as byte text; undefined if it is none. */
export function unquote(literal: string): string | undefined {
  const quote = literal[0];
  if (literal.length < 2 || literal.at(-1) !== quote) return undefined;
  const body = literal.slice(1, -1);
  if (quote === "`") return body.includes("`") ? undefined : body.replaceAll("\r", "");
  return quote === '"' ? unescaped(body) : undefined;
}

/** The body of an interpreted literal. A bare quote or a line break ends a literal, so it may not stand inside. */
function unescaped(body: string): string | undefined {
  const parts: Uint8Array[] = [];
  let rest = body;
  while (rest !== "") {
    const plain = /^[^\\"\n]+/.exec(rest)?.[0];
    if (plain !== undefined) {
      parts.push(bytesOf(plain));
      rest = rest.slice(plain.length);
      continue;
    }
    const escape = rest.startsWith("\\") ? escapePattern.exec(rest.slice(1)) : null;
    const bytes = escape === null ? undefined : escaped(escape);
    if (escape === null || bytes === undefined) return undefined;
    parts.push(bytes);
    rest = rest.slice(1 + escape[0].length);
  }
  return byteText(Buffer.concat(parts));
}

function escaped([, octal, hex, short, long, name]: RegExpExecArray): Uint8Array | undefined {
  if (octal !== undefined) return byte(Number.parseInt(octal, 8));
  if (hex !== undefined) return byte(Number.parseInt(hex, 16));
  const codePoint = short ?? long;
  if (codePoint !== undefined) return character(Number.parseInt(codePoint, 16));
  const code = simpleEscapes.get(name ?? "");
  return code === undefined ? undefined : byte(code);
}

function byte(value: number): Uint8Array | undefined {
  return value <= 0xff ? Uint8Array.of(value) : undefined;
}

function character(code: number): Uint8Array | undefined {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return Buffer.from(String.fromCodePoint(code));
}

/** Splits off a literal that a text starts with. `after` is what follows it; undefined if it starts with none. */
export function leadingLiteral(text: string): { readonly value: string; readonly after: string } | undefined {
  const literal = /^(?:"(?:[^"\\]|\\.)*"|`[^`]*`)/su.exec(text)?.[0];
  const value = literal === undefined ? undefined : unquote(literal);
  return literal === undefined || value === undefined ? undefined : { value, after: text.slice(literal.length) };
}
