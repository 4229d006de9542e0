/**
 * The flag grammar of etcdctl's parser, which is not oclif's: flags and arguments in any order, `-wjson`, clustered
 * short flags, `--flag=false`, `--` (spec/cli.md 1.1, 1.2). Pure: words and a flag table in, values out.
 */
import type { Flag, FlagTable, FlagValue, FlagValues } from "../flags.js";
import { goQuote } from "../output/go-quote.js";
import { parseRecord } from "./csv.js";
import { parseDuration } from "./go-duration.js";
import { InputError, parseBoolean, parseInteger } from "./go-number.js";

export interface CommandLine {
  /** Values of the flags that were given, by long name. */
  readonly given: ReadonlyMap<string, FlagValue>;
  readonly args: readonly string[];
  /** How many arguments stand before `--`; undefined if there is none. */
  readonly argsBeforeDashes: number | undefined;
  readonly wantsHelp: boolean;
}

const helpFlag: Flag = { kind: "boolean", initial: false, short: "h", summary: "help for the command" };

/** Throws InputError with the parser's words. */
export function parseCommandLine(words: readonly string[], table: FlagTable): CommandLine {
  return new LineParser(words, { ...table, help: helpFlag }).parse();
}

/** Every flag of the table with its value: as given, or its default. */
export function valuesOf<Table extends FlagTable>(table: Table, given: ReadonlyMap<string, FlagValue>) {
  const entries = Object.entries(table).map(([name, flag]) => [name, given.get(name) ?? flag.initial]);
  return Object.fromEntries(entries) as FlagValues<Table>;
}

class LineParser {
  private readonly words: string[];
  private readonly table: FlagTable;
  private readonly given = new Map<string, FlagValue>();
  private readonly args: string[] = [];
  private argsBeforeDashes: number | undefined;

  constructor(words: readonly string[], table: FlagTable) {
    this.words = [...words];
    this.table = table;
  }

  parse(): CommandLine {
    for (let word = this.words.shift(); word !== undefined; word = this.words.shift()) {
      if (word === "--") {
        this.argsBeforeDashes = this.args.length;
        this.args.push(...this.words.splice(0));
      } else if (word.startsWith("--")) this.long(word);
      else if (word.startsWith("-") && word !== "-") this.cluster(word.slice(1));
      else this.args.push(word);
    }
    const wantsHelp = this.given.get("help") === true;
    this.given.delete("help");
    return { given: this.given, args: this.args, argsBeforeDashes: this.argsBeforeDashes, wantsHelp };
  }

  private long(word: string): void {
    const [, name = "", equals, value = ""] = /^--([^=]*)(=)?(.*)$/su.exec(word) ?? [];
    if (name === "" || name.startsWith("-")) throw new InputError(`bad flag syntax: ${word}`);
    const flag = Object.hasOwn(this.table, name) ? this.table[name] : undefined;
    if (flag === undefined) throw new InputError(`unknown flag: --${name}`);
    if (equals !== undefined) this.set(name, flag, value);
    else if (flag.kind === "boolean") this.set(name, flag, "true");
    else this.set(name, flag, this.nextWord(`--${name}`));
  }

  /** Short flags written together; one that takes a value takes the rest of the word, or else the next word. */
  private cluster(letters: string): void {
    let rest = letters;
    while (rest !== "") {
      const letter = String.fromCodePoint(rest.codePointAt(0) ?? 0);
      const [name, flag] = Object.entries(this.table).find(([, candidate]) => candidate.short === letter) ?? [];
      if (name === undefined || flag === undefined) {
        throw new InputError(`unknown shorthand flag: '${letter}' in -${rest}`);
      }
      const cluster = rest;
      rest = rest.slice(letter.length);
      if (rest.length > 1 && rest.startsWith("=")) return this.set(name, flag, rest.slice(1));
      if (flag.kind === "boolean") this.set(name, flag, "true");
      else return this.set(name, flag, rest === "" ? this.nextWord(`'${letter}' in -${cluster}`) : rest);
    }
  }

  private nextWord(flagAsWritten: string): string {
    const word = this.words.shift();
    if (word === undefined) throw new InputError(`flag needs an argument: ${flagAsWritten}`);
    return word;
  }

  private set(name: string, flag: Flag, value: string): void {
    try {
      this.given.set(name, parseValue(flag, value, this.given.get(name)));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const called = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      throw new InputError(`invalid argument ${goQuote(value)} for "${called}" flag: ${error.message}`);
    }
  }
}

/** The value of one use of a flag. `before` is what earlier uses gave. Throws InputError. */
export function parseValue(flag: Flag, value: string, before?: FlagValue): FlagValue {
  switch (flag.kind) {
    case "boolean":
      return parseBoolean(value);
    case "integer":
      return parseInteger(value, { base: 0, sign: flag.sign ?? "signed" });
    case "string":
      return value;
    case "duration":
      return parseDuration(value);
    case "list":
      return [...(Array.isArray(before) ? (before as readonly string[]) : []), ...parseRecord(value)];
  }
}
