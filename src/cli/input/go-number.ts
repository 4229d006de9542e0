/** Integers and booleans as Go's strconv reads them, with its error texts: scripts see them (spec/cli.md 1.2). */
import { goQuote } from "../output/go-quote.js";

/** Text that a parser refuses; `message` is the text that etcdctl prints for it. */
export class InputError extends Error {
  override readonly name = "InputError";
}

export interface IntegerSyntax {
  /** 0 reads Go literals: 10, 0x0a, 0o12, 0b1010, 1_0. */
  readonly base: 0 | 10 | 16;
  readonly sign: "signed" | "unsigned";
}

const limits = {
  signed: { name: "strconv.ParseInt", min: -(2n ** 63n), max: 2n ** 63n - 1n },
  unsigned: { name: "strconv.ParseUint", min: 0n, max: 2n ** 64n - 1n },
} as const;

const digits = { 2: /^[01]+$/, 8: /^[0-7]+$/, 10: /^[0-9]+$/, 16: /^[0-9a-fA-F]+$/ } as const;
const prefixes = { 2: "0b", 8: "0o", 10: "", 16: "0x" } as const;

/** A 64-bit integer. Throws InputError with Go's words for bad syntax and for a value that does not fit. */
export function parseInteger(text: string, syntax: IntegerSyntax): bigint {
  const { name, min, max } = limits[syntax.sign];
  const [, sign = "", magnitude = ""] = /^([+-]?)(.*)$/su.exec(text) ?? [];
  const literal = syntax.sign === "unsigned" && sign !== "" ? undefined : literalOf(magnitude, syntax.base);
  if (literal === undefined) throw new InputError(`${name}: parsing ${goQuote(text)}: invalid syntax`);
  const value = sign === "-" ? -BigInt(literal) : BigInt(literal);
  if (value < min || value > max) throw new InputError(`${name}: parsing ${goQuote(text)}: value out of range`);
  return value;
}

/** The magnitude as a literal that BigInt understands, or undefined if Go would refuse it. */
function literalOf(magnitude: string, base: 0 | 10 | 16): string | undefined {
  if (base !== 0) return digits[base].test(magnitude) ? prefixes[base] + magnitude : undefined;
  const [, prefix = "", body = ""] = /^(0[xX]|0[oO]|0[bB]|0(?=[0-9_]))?(.*)$/su.exec(magnitude) ?? [];
  const radix = radixOf(prefix);
  // Underscores may separate digits, and a prefix from the first digit, but never stand at an end or in pairs.
  if (/__|_$/.test(body) || (prefix === "" && body.startsWith("_"))) return undefined;
  const plain = body.replaceAll("_", "");
  return digits[radix].test(plain) ? prefixes[radix] + plain : undefined;
}

function radixOf(prefix: string): 2 | 8 | 10 | 16 {
  switch (prefix.toLowerCase()) {
    case "0x":
      return 16;
    case "0b":
      return 2;
    case "":
      return 10;
    default:
      return 8;
  }
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "true", "True", "TRUE"].map((word) => [word, true] as const),
  ...["0", "f", "F", "false", "False", "FALSE"].map((word) => [word, false] as const),
]);

/** Throws InputError for anything but Go's twelve spellings. */
export function parseBoolean(text: string): boolean {
  const value = booleans.get(text);
  if (value === undefined) throw new InputError(`strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
  return value;
}
