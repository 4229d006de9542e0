/**
 * The mold of etcdutl's commands: they work on files, have two flags in common, and know no environment variables
 * (spec/cli.md 9). What opens the files is loaded when a command does, for it brings SQLite.
 */
import { BaseCommand } from "./base-command.js";
import { ExitCode, Failure } from "./exit-code.js";
import { duration, type FlagTable, type FlagValues, text } from "./flags.js";
import { valuesOf } from "./input/command-line.js";
import { formatOf, printerOf, ResultPrinter } from "./output/formats.js";
import type { ResultKind } from "./output/results.js";
import { systemText } from "./system-text.js";
import { writeError } from "./terminal.js";

export type Offline = typeof import("../server/offline/index.js");

export const utlGlobalFlags = {
  timeout: duration("time to wait for a database that another process has open; 0 waits for ever", 10n),
  "write-out": text("output format: simple, fields, json, protobuf or table", { short: "w", initial: "simple" }),
} as const satisfies FlagTable;

export abstract class UtlCommand<Table extends FlagTable = FlagTable> extends BaseCommand<Table> {
  protected override readonly globals: FlagTable = utlGlobalFlags;

  /** Throws the exit-4 failure of a format that is unknown, or cannot show results of this kind. */
  protected async printer(kind: ResultKind): Promise<ResultPrinter> {
    const format = formatOf(this.common["write-out"]);
    const printer = new ResultPrinter(format, await printerOf(format), { hex: false });
    printer.mustSupport(kind);
    return printer;
  }

  /** `--timeout` in milliseconds. */
  protected get waitMs(): number {
    const { timeout } = this.common;
    return timeout === 0n ? Infinity : Number(timeout / 1_000_000n);
  }

  /** Throws unless all of these flags were given. */
  protected async requireFlags(...names: readonly string[]): Promise<void> {
    const missing = names.filter((name) => !this.given.has(name));
    if (missing.length === 0) return;
    throw await this.refusal(`required flag(s) ${missing.map((name) => `"${name}"`).join(", ")} not set`);
  }

  private get common(): FlagValues<typeof utlGlobalFlags> {
    return valuesOf(utlGlobalFlags, this.given);
  }
}

/** Runs what works on files. Throws Failure in etcdutl's words. */
export async function offline<T>(work: (face: Offline) => T | Promise<T>, operation = "open"): Promise<T> {
  const face = await import("../server/offline/index.js");
  try {
    return await work(face);
  } catch (error) {
    throw offlineFailure(face, error, operation);
  }
}

/** The server's texts start with "etcdserver: ", those of the offline tool do not. */
function offlineFailure(face: Offline, error: unknown, operation: string): unknown {
  if (error instanceof face.WireError) return new Failure(ExitCode.Error, error.message.replace(/^etcdserver: /, ""));
  if (error instanceof face.OfflineRefused) {
    const isForeign = error.reason === "bbolt" || error.reason === "unsupported";
    return new Failure(isForeign ? ExitCode.BadFeature : ExitCode.Error, error.message, { cause: error });
  }
  if (error instanceof face.StorageRefused || error instanceof face.StorageFailure) {
    return new Failure(ExitCode.Error, error.message, { cause: error });
  }
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  const path = "path" in error ? ` ${String(error.path)}` : "";
  return new Failure(ExitCode.Error, `${operation}${path}: ${systemText(error)}`, { cause: error });
}

/** etcdctl had some of etcdutl's commands once, and said so. */
export function tellDeprecated(command: string): Promise<void> {
  return writeError(`Deprecated: Use \`etcdutl ${command}\` instead.\n`);
}
