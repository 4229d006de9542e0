/** Go's %q: text in double quotes, unprintable characters and bytes that are no UTF-8 escaped (spec/cli.md 7.4). */
import { bytesOf, utf8Characters } from "../input/byte-text.js";

const named: ReadonlyMap<number, string> = new Map([
  [0x07, "\\a"],
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0b, "\\v"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** A string is taken as `byteText` makes it. */
export function goQuote(value: string | Uint8Array): string {
  const bytes = typeof value === "string" ? bytesOf(value) : value;
  return `"${[...utf8Characters(bytes)].map(quoted).join("")}"`;
}

/** A character, or a single byte that belongs to no character, in %q form. */
function quoted(character: string | number): string {
  if (typeof character === "number") return `\\x${hex(character, 2)}`;
  const code = character.codePointAt(0) ?? 0;
  const name = named.get(code);
  if (name !== undefined) return name;
  if (printable.test(character)) return character;
  if (code < 0x20 || code === 0x7f) return `\\x${hex(code, 2)}`;
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

function hex(value: number, width: number): string {
  return value.toString(16).padStart(width, "0");
}
