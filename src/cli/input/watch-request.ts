/** `watch`: arguments, environment and interactive lines to watch requests (spec/cli.md 8.7). Pure. */
import type { WatchCreateRequest } from "../../../proto/gen/etcd/rpc.js";
import { badArguments } from "../exit-code.js";
import { boolean, type FlagTable, type FlagValues, integer } from "../flags.js";
import { goQuote } from "../output/go-quote.js";
import { parseCommandLine, valuesOf } from "./command-line.js";
import { InputError } from "./go-number.js";
import { keyRange } from "./key-range.js";
import { splitWords } from "./words.js";

/** The flags that an interactive line may have. */
export const watchLineFlags = {
  "prev-kv": boolean("add the pair before the change"),
  prefix: boolean("watch all keys that start with this key"),
  "progress-notify": boolean("let the server send its position when nothing happens"),
  rev: integer("first revision to report; 0 is from now on"),
} as const satisfies FlagTable;
export const watchFlags = {
  interactive: boolean("read requests from stdin", { short: "i" }),
  ...watchLineFlags,
} as const satisfies FlagTable;

/** `ETCDCTL_WATCH_KEY` and `ETCDCTL_WATCH_RANGE_END`; empty if not set. */
export interface WatchEnvironment {
  readonly key: string;
  readonly rangeEnd: string;
}
/** What to watch, and the command to run for every event (none if empty). */
export interface WatchOrder {
  readonly request: Pick<WatchCreateRequest, "key" | "rangeEnd" | "startRevision" | "prevKv" | "progressNotify">;
  readonly command: readonly string[];
}
/** Arguments with the place of `--` among them. */
export interface DashedArguments {
  readonly args: readonly string[];
  readonly argsBeforeDashes: number | undefined;
}

/** Reads the two variables. Throws Failure (128) for an end without a key. */
export function watchEnvironment(env: Readonly<Record<string, string | undefined>>): WatchEnvironment {
  const key = env["ETCDCTL_WATCH_KEY"] ?? "";
  const rangeEnd = env["ETCDCTL_WATCH_RANGE_END"] ?? "";
  if (key !== "" || rangeEnd === "") return { key, rangeEnd };
  throw badArguments(`ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=${goQuote(rangeEnd)}`);
}

type LineFlags = FlagValues<typeof watchLineFlags>;

/** The watch of a command line without `-i`. Throws Failure (128). */
export function watchOrder(line: DashedArguments, flags: LineFlags, env: WatchEnvironment): WatchOrder {
  const { keys, command } = keysAndCommand(line, env);
  if (keys.length === 0) throw badArguments("bad number of arguments");
  const request = createRequest(keys, flags);
  if (request === undefined) throw badArguments(exclusive);
  return { request, command };
}

const exclusive = "`range_end` and `--prefix` are mutually exclusive";

function keysAndCommand({ args, argsBeforeDashes }: DashedArguments, env: WatchEnvironment) {
  const named = args.slice(0, argsBeforeDashes ?? args.length);
  const command = args.slice(named.length);
  if (argsBeforeDashes !== undefined && command.length === 0) {
    throw badArguments("bad number of arguments (found separator --, but no commands)");
  }
  if (env.key === "") return { keys: named, command };
  if (named.length > 0) throw badArguments("bad number of arguments (found conflicting environment key)");
  return { keys: env.rangeEnd === "" ? [env.key] : [env.key, env.rangeEnd], command };
}

/** Undefined for an end together with `--prefix`. Of three keys and more, only the first is watched, as one key. */
function createRequest(keys: readonly string[], flags: LineFlags): WatchOrder["request"] | undefined {
  const [key = "", end] = keys;
  const isRange = keys.length === 2;
  if (isRange && flags.prefix) return undefined;
  return {
    ...keyRange({ key, end: isRange ? end : undefined, prefix: flags.prefix }),
    startRevision: flags.rev,
    prevKv: flags["prev-kv"],
    progressNotify: flags["progress-notify"],
  };
}

/** One line of `watch -i`. */
export type WatchLine =
  | { readonly kind: "watch"; readonly order: WatchOrder }
  | { readonly kind: "progress" }
  /** Wrong but harmless: the message goes to stderr and the next line is read. */
  | { readonly kind: "wrong"; readonly message: string };

/** Throws Failure (128) for what ends the command. */
export function parseWatchLine(line: string, env: WatchEnvironment): WatchLine {
  const [name, ...words] = splitWords(line);
  if (name === undefined) return wrong(`Invalid command: ${line} (watch and progress supported)`);
  if (name === "progress") return { kind: "progress" };
  if (name !== "watch") return wrong(`Invalid command ${line} (only support watch)`);
  if (words.length === 0 && env.key === "") {
    return wrong(`Invalid command ${line} (command type or key is not provided)`);
  }
  const { flags, ...rest } = watchWords(words);
  const { keys, command } = keysAndCommand(rest, env);
  if (keys.length === 0) {
    if (command.length === 0) throw badArguments("bad number of arguments");
    return wrong(`Invalid command ${line} (bad number of arguments)`);
  }
  const request = createRequest(keys, flags);
  if (request === undefined) return wrong(`Invalid command ${line} (${exclusive})`);
  return { kind: "watch", order: { request, command } };
}

function wrong(message: string): WatchLine {
  return { kind: "wrong", message };
}

function watchWords(words: readonly string[]): DashedArguments & { readonly flags: LineFlags } {
  try {
    const { args, argsBeforeDashes, given, wantsHelp } = parseCommandLine(words, watchFlags);
    if (wantsHelp) throw new InputError("pflag: help requested");
    return { args, argsBeforeDashes, flags: valuesOf(watchFlags, given) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw badArguments(error.message);
  }
}
