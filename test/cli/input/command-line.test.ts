/** The flag grammar of etcdctl. */
import { describe, expect, it } from "vitest";
import { boolean, duration, type FlagTable, globalFlags, integer, list, text } from "../../../src/cli/flags.js";
import { parseCommandLine, valuesOf } from "../../../src/cli/input/command-line.js";
import { parseRecord } from "../../../src/cli/input/csv.js";

const table = {
  endpoints: list("", ["default"]),
  hex: boolean("", { initial: true }),
  interactive: boolean("", { short: "i" }),
  limit: integer(""),
  "command-timeout": duration("", 5n),
  "write-out": text("", { short: "w", initial: "simple" }),
} as const satisfies FlagTable;

function parse(...words: string[]) {
  const { given, args, ...rest } = parseCommandLine(words, table);
  return { given: Object.fromEntries(given), args, ...rest };
}

describe("a line", () => {
  it("mixes flags and arguments in any order", () => {
    const { given, args } = parse("a", "--limit", "3", "b", "-w", "json", "c");
    expect(args).toEqual(["a", "b", "c"]);
    expect(given).toEqual({ limit: 3n, "write-out": "json" });
  });

  it("takes everything after -- as arguments, and says where that was", () => {
    const { args, argsBeforeDashes, given } = parse("k", "--", "--limit", "-x", "--");
    expect(args).toEqual(["k", "--limit", "-x", "--"]);
    expect(argsBeforeDashes).toBe(1);
    expect(given).toEqual({});
  });

  it("takes a lone dash and an empty word as arguments", () => {
    expect(parse("-", "").args).toEqual(["-", ""]);
  });

  it("lets the last of repeated flags win, but collects lists", () => {
    const { given } = parse("--limit=1", "--limit=2", "--endpoints=a,b", "--endpoints", "c");
    expect(given).toEqual({ limit: 2n, endpoints: ["a", "b", "c"] });
  });

  it("notices a wish for help", () => {
    expect(parse("k", "-h").wantsHelp).toBe(true);
    expect(parse("k", "--help").wantsHelp).toBe(true);
    expect(parse("k", "--help=false").wantsHelp).toBe(false);
  });
});

describe("a short flag", () => {
  it.each([
    [["-wjson"], { "write-out": "json" }],
    [["-w=json"], { "write-out": "json" }],
    [["-w", "json"], { "write-out": "json" }],
    [["-iw", "json"], { interactive: true, "write-out": "json" }],
    [["-iwjson"], { interactive: true, "write-out": "json" }],
    [["-i=false"], { interactive: false }],
    [["-w="], { "write-out": "=" }],
  ])("is read in %j", (words, given) => {
    expect(parse(...words).given).toEqual(given);
  });
});

describe("a boolean flag", () => {
  it("never takes the next word", () => {
    const { given, args } = parse("--hex", "false");
    expect(given).toEqual({ hex: true });
    expect(args).toEqual(["false"]);
  });

  it("takes a value after =", () => {
    expect(parse("--hex=F").given).toEqual({ hex: false });
  });
});

describe("a wrong line", () => {
  it.each([
    [["--nosuch"], "unknown flag: --nosuch"],
    [["--toString"], "unknown flag: --toString"],
    [["-x"], "unknown shorthand flag: 'x' in -x"],
    [["-ivvv"], "unknown shorthand flag: 'v' in -vvv"],
    [["--limit"], "flag needs an argument: --limit"],
    [["-w"], "flag needs an argument: 'w' in -w"],
    [["-iw"], "flag needs an argument: 'w' in -w"],
    [["---x"], "bad flag syntax: ---x"],
    [["--=x"], "bad flag syntax: --=x"],
    [["--limit=abc"], 'invalid argument "abc" for "--limit" flag: strconv.ParseInt: parsing "abc": invalid syntax'],
    [["--hex=maybe"], 'invalid argument "maybe" for "--hex" flag: strconv.ParseBool: parsing "maybe": invalid syntax'],
    [["-i=x"], 'invalid argument "x" for "-i, --interactive" flag: strconv.ParseBool: parsing "x": invalid syntax'],
    [["--command-timeout=5"], 'invalid argument "5" for "--command-timeout" flag: time: missing unit in duration "5"'],
    [
      ["--endpoints", 'a"b'],
      'invalid argument "a\\"b" for "--endpoints" flag: parse error on line 1, column 2: bare " in non-quoted-field',
    ],
  ])("%j is told why", (words, message) => {
    expect(() => parse(...words)).toThrow(message);
  });
});

describe("values", () => {
  it("are what was given, or the default", () => {
    const { given } = parseCommandLine(["--limit=7"], table);
    expect(valuesOf(table, given)).toEqual({
      endpoints: ["default"],
      hex: true,
      interactive: false,
      limit: 7n,
      "command-timeout": 5_000_000_000n,
      "write-out": "simple",
    });
  });

  it("of the global table are etcdctl's defaults", () => {
    const values = valuesOf(globalFlags, new Map());
    expect(Object.keys(values)).toHaveLength(21);
    expect(values).toMatchObject({
      endpoints: ["127.0.0.1:2379"],
      "dial-timeout": 2_000_000_000n,
      "command-timeout": 5_000_000_000n,
      "keepalive-time": 2_000_000_000n,
      "keepalive-timeout": 6_000_000_000n,
      "insecure-transport": true,
      "insecure-discovery": true,
      "write-out": "simple",
    });
  });
});

describe("a comma separated record", () => {
  it.each([
    ["", []],
    ["a", ["a"]],
    ["a,b", ["a", "b"]],
    ["a, b", ["a", " b"]],
    [",", ["", ""]],
    ['"a,b",c', ["a,b", "c"]],
    ['"say ""hi"""', ['say "hi"']],
  ])("%j has the fields Go finds", (line, fields) => {
    expect(parseRecord(line)).toEqual(fields);
  });

  it.each([
    ['a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'],
    ['"ab', 'parse error on line 1, column 4: extraneous or missing " in quoted-field'],
    ['"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
  ])("%j is told why it is none", (line, message) => {
    expect(() => parseRecord(line)).toThrow(message);
  });
});
