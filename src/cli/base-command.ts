/**
 * The mold of every command: an oclif command whose arguments are read in etcdctl's grammar. A command checks its
 * arguments, connects, sends, and hands the response to the printer.
 */

import type { Interfaces } from "@oclif/core";
import { Command } from "@oclif/core/command";
import { ExitCode, type Failure, quietFailure } from "./exit-code.js";
import { environmentName, type Flag, type FlagTable, type FlagValue, type FlagValues, globalFlags } from "./flags.js";
import { type CommandLine, parseCommandLine, valuesOf } from "./input/command-line.js";
import { readEnvironment } from "./input/environment.js";
import { formatDuration } from "./input/go-duration.js";
import { InputError } from "./input/go-number.js";
import { formatOf, printerOf, ResultPrinter } from "./output/formats.js";
import { commandHelp } from "./output/help.js";
import type { ResultKind } from "./output/results.js";
import type { Session } from "./session.js";
import { writeError, writeLog, writeOut } from "./terminal.js";

/** A parsed line: what `execute` works on. */
export interface Call<Table extends FlagTable> {
  readonly args: readonly string[];
  /** How many arguments stand before `--`; undefined without it. */
  readonly argsBeforeDashes: number | undefined;
  /** The command's own flags. */
  readonly flags: FlagValues<Table>;
}

/** Tables of a command: its own flags, and those its group hands down. */
export interface CommandTables<Table extends FlagTable> {
  readonly own: Table;
  readonly group?: FlagTable;
}

export abstract class BaseCommand<Table extends FlagTable = FlagTable> extends Command {
  static override strict = false;
  protected abstract readonly tables: CommandTables<Table>;
  /** Flags that every command of this program accepts. */
  protected readonly globals: FlagTable = globalFlags;
  protected given: ReadonlyMap<string, FlagValue> = new Map();

  /** The command itself. Throws Failure; anything else a call throws is printed as etcdctl would. */
  protected abstract execute(call: Call<Table>): Promise<void>;

  override async run(): Promise<void> {
    this.parsed = true; // oclif's own parser does not know etcdctl's grammar
    const { given, args, argsBeforeDashes, wantsHelp } = await this.readLine();
    if (wantsHelp) return writeOut(this.helpText());
    this.given = given;
    await this.execute({ args, argsBeforeDashes, flags: valuesOf(this.tables.own, given) });
  }

  /** Flags of the environment join those of the line; then the format is checked, and the connection prepared. */
  protected async connect(kind?: ResultKind): Promise<Session> {
    const given = await this.withEnvironment();
    const values = valuesOf(globalFlags, given);
    if (values.debug) await showFlags({ ...globalFlags, ...this.tables.group }, given);
    const format = formatOf(values["write-out"]);
    const printer = new ResultPrinter(format, await printerOf(format), { hex: values.hex });
    if (kind !== undefined) printer.mustSupport(kind);
    const { Session: session } = await import("./session.js");
    return session.open({ values, given, printer });
  }

  private async readLine(): Promise<CommandLine> {
    try {
      return parseCommandLine(this.argv, { ...this.globals, ...this.tables.group, ...this.tables.own });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw await this.refusal(error.message);
    }
  }

  /** What the parser says of a line that it refuses: the error, and the usage after it. */
  protected async refusal(message: string): Promise<Failure> {
    await writeError(`Error: ${message}\n${this.helpText("usage")}`);
    return quietFailure(ExitCode.Error);
  }

  private async withEnvironment(): Promise<ReadonlyMap<string, FlagValue>> {
    const inherited = { ...globalFlags, ...this.tables.group };
    const { values, conflicts, unknown } = readEnvironment(process.env, inherited, this.given);
    const [conflict] = conflicts;
    if (conflict !== undefined) {
      await writeLog("fatal", shadowedText, { "environment-variable": conflict });
      throw quietFailure(ExitCode.Error);
    }
    for (const variable of unknown) {
      await writeLog("warn", "unrecognized environment variable", { "environment-variable": variable });
    }
    return new Map([...values, ...this.given]);
  }

  private helpText(part: "whole" | "usage" = "whole"): string {
    const { usage, summary, description, examples } = this.ctor;
    return commandHelp({
      usage: String(usage),
      text: description ?? summary ?? "",
      examples: (examples ?? []).map(String),
      flags: { ...this.tables.group, ...this.tables.own },
      part,
    });
  }
}

const shadowedText =
  "conflicting environment variable is shadowed by corresponding command-line flag " +
  "(either unset environment variable or disable flag))";

/** A flag table in oclif's terms, for its manifest and whatever is made from that. */
export function oclifFlags(table: FlagTable): Interfaces.FlagInput {
  return Object.fromEntries(Object.entries(table).map(([name, flag]) => [name, oclifFlag(name, flag)]));
}

function oclifFlag(name: string, flag: Flag): Interfaces.Flag<unknown> {
  const char = flag.short === undefined ? {} : { char: flag.short };
  const common = { name, summary: flag.summary, description: flag.summary, ...char };
  const kind =
    flag.kind === "boolean"
      ? { type: "boolean", allowNo: false, default: flag.initial }
      : { type: "option", multiple: flag.kind === "list", default: shown(flag, flag.initial) };
  return { ...common, ...kind } as Interfaces.Flag<unknown>;
}

/** A value as etcdctl shows it: Go's durations, lists in brackets. */
function shown(flag: Flag, value: FlagValue): string {
  if (flag.kind === "duration") return formatDuration(value as bigint);
  return Array.isArray(value) ? `[${value.join(",")}]` : String(value);
}

/** `--debug`: what every inherited flag is, as its variable, and gRPC's own log lines. */
async function showFlags(table: FlagTable, given: ReadonlyMap<string, FlagValue>): Promise<void> {
  for (const [name, flag] of Object.entries(table).toSorted(([left], [right]) => (left < right ? -1 : 1))) {
    await writeError(`${environmentName(name)}=${shown(flag, given.get(name) ?? flag.initial)}`);
  }
  process.env["GRPC_VERBOSITY"] ??= "DEBUG";
  process.env["GRPC_TRACE"] ??= "channel,subchannel,connectivity_state,resolving_load_balancer";
}
