/** What a flag is: its type decides how text (command line, environment) and file values become a value. */

import { BadValue } from "./bad-value.js";
import { parseUrls } from "./url.js";

/** Whether setting a flag changes anything: today, in a later version, or never because there is nothing like it here. */
export type Effect = "now" | "later" | "never";

export interface Flag<Value> {
  /** Word for the type of value in the help text; undefined for switches, which need none. */
  readonly argument: string | undefined;
  /** The text that the flag has when it stands alone, if it may: only a number that follows it is then its value. */
  readonly bareText?: string;
  /** The default as one would write it on the command line. */
  readonly defaultText: string;
  readonly effect: Effect;
  readonly meaning: string;
  /** Reads text. Throws {@link BadValue}. */
  parse(text: string): Value;
  /** Reads a value of the config file. Throws {@link BadValue}. */
  fromFile(value: unknown): Value;
}

export function text(defaultText: string, effect: Effect, meaning: string): Flag<string> {
  return { argument: "text", defaultText, effect, meaning, parse: (word) => word, fromFile: scalar };
}

/** One of `words`; the first is the default. */
export function choice<Word extends string>(
  words: readonly [Word, ...Word[]],
  effect: Effect,
  meaning: string,
): Flag<Word> {
  const parse = (given: string): Word => {
    const found = words.find((word) => word === given);
    if (found === undefined) throw new BadValue(`must be one of ${words.map((word) => `"${word}"`).join(", ")}`);
    return found;
  };
  return { argument: "word", defaultText: words[0], effect, meaning, parse, fromFile: (value) => parse(scalar(value)) };
}

const trueWords = ["1", "t", "T", "TRUE", "true", "True"];
const falseWords = ["0", "f", "F", "FALSE", "false", "False"];

export function toggle(initial: boolean, effect: Effect, meaning: string): Flag<boolean> {
  return { argument: undefined, defaultText: String(initial), effect, meaning, parse: parseBoolean, fromFile: boolean };
}

function parseBoolean(word: string): boolean {
  if (trueWords.includes(word)) return true;
  if (falseWords.includes(word)) return false;
  throw new BadValue("must be true or false");
}

function boolean(value: unknown): boolean {
  if (typeof value !== "boolean") throw new BadValue("must be true or false");
  return value;
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number, from 0 on unless `bounds` say otherwise. */
export function integer(initial: number, effect: Effect, meaning: string, bounds: Bounds = {}): Flag<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = bounds;
  const wanted = max === Number.MAX_SAFE_INTEGER ? `not less than ${min}` : `from ${min} to ${max}`;
  const check = (value: number): number => {
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new BadValue(`must be a whole number ${wanted}`);
  };
  const parse = (word: string): number => check(/^[+-]?(\d+|0[xX][0-9a-fA-F]+)$/.test(word) ? Number(word) : NaN);
  const fromFile = (value: unknown): number => check(typeof value === "number" ? value : NaN);
  return { argument: "number", defaultText: String(initial), effect, meaning, parse, fromFile };
}

/** A whole number within bounds that need not be given: undefined without the flag, 1 if it stands alone. */
export function optionalCount(meaning: string, bounds: Required<Bounds>): Flag<number | undefined> {
  const count = integer(1, "now", meaning, bounds);
  const parse = (word: string): number | undefined => (word === "" ? undefined : count.parse(word));
  return { ...count, argument: "number", bareText: "1", defaultText: "", parse };
}

/** A length of time in milliseconds; text is written as in Go (`1h30m`, `250ms`), file values are nanoseconds. */
export function duration(defaultText: string, effect: Effect, meaning: string): Flag<number> {
  return { argument: "duration", defaultText, effect, meaning, parse: parseDurationMs, fromFile: msOfNanoseconds };
}

function msOfNanoseconds(value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value)) return value / 1e6;
  throw new BadValue("must be a whole number of nanoseconds in a config file");
}

/** URLs with commas between them; in a file also a list. */
export function urls(defaultText: string, effect: Effect, meaning: string): Flag<readonly string[]> {
  const fromFile = commaSeparated(parseUrls);
  return { argument: "urls", defaultText, effect, meaning, parse: parseUrls, fromFile };
}

/** Words with commas between them; in a file also a list. */
export function list(defaultText: string, effect: Effect, meaning: string): Flag<readonly string[]> {
  const fromFile = commaSeparated(parseList);
  return { argument: "list", defaultText, effect, meaning, parse: parseList, fromFile };
}

function parseList(words: string): readonly string[] {
  return words === "" ? [] : [...new Set(words.split(",").map((word) => word.trim()))];
}

function commaSeparated<Value>(parse: (text: string) => Value): (value: unknown) => Value {
  return (value) => parse(Array.isArray(value) ? value.map(scalar).join(",") : scalar(value));
}

function scalar(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  throw new BadValue("must be text");
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a length of time as Go writes it. Throws {@link BadValue}. */
export function parseDurationMs(given: string): number {
  const [, sign = "", body = ""] = /^([+-]?)(.*)$/s.exec(given) ?? [];
  if (body === "0") return 0;
  const part = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/gy;
  let totalMs = 0;
  let readTo = 0;
  for (const found of body.matchAll(part)) {
    totalMs += Number(found[1]) * (unitMs[found[2] ?? ""] ?? NaN);
    readTo = found.index + found[0].length;
  }
  if (readTo === 0 || readTo !== body.length) throw new BadValue('must be a duration such as "300ms" or "1h30m"');
  return sign === "-" ? -totalMs : totalMs;
}
