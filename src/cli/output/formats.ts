/** The five output formats and which results each can print (spec/cli.md 7.1, 7.2). */
import { badFeature } from "../exit-code.js";
import type { Printer, Result, ResultKind, ResultOf, Style } from "./results.js";

export const formats = ["simple", "fields", "json", "protobuf", "table"] as const;
export type Format = (typeof formats)[number];

/** Throws the exit-4 failure of an unknown `--write-out`. */
export function formatOf(name: string): Format {
  const format = formats.find((known) => known === name);
  if (format === undefined) throw badFeature("unsupported output format");
  return format;
}

/** A format's table; loaded when it is asked for, because two of them pull in libraries. */
export async function printerOf(format: Format): Promise<Printer> {
  switch (format) {
    case "simple":
      return (await import("./simple.js")).simplePrinter;
    case "fields":
      return (await import("./fields.js")).fieldsPrinter;
    case "json":
      return (await import("./json.js")).jsonPrinter;
    case "protobuf":
      return (await import("./protobuf.js")).protobufPrinter;
    case "table":
      return (await import("./table.js")).tablePrinter;
  }
}

/** What a command prints with: bound to one format and style. */
export class ResultPrinter {
  readonly format: Format;
  private readonly printer: Printer;
  private readonly style: Style;

  constructor(format: Format, printer: Printer, style: Style) {
    this.format = format;
    this.printer = printer;
    this.style = style;
  }

  /** Throws the exit-4 failure if the format cannot show results of this kind; ask before sending a request. */
  mustSupport(kind: ResultKind): void {
    if (this.printer[kind] === undefined) throw badFeature(`${this.format} not supported as output format`);
  }

  print<Kind extends ResultKind>(result: ResultOf<Kind> & Result): string | Uint8Array {
    this.mustSupport(result.kind);
    const render = this.printer[result.kind] as (result: Result, style: Style) => string | Uint8Array;
    return render(result, this.style);
  }
}
