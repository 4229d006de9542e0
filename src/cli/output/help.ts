/** Help screens, from the commands' own data (spec/cli.md 1.3, 11.2). Their texts are no interface. */
import type { Flag, FlagTable } from "../flags.js";
import { formatDuration } from "../input/go-duration.js";

/** Of the one command that has no file of its own. */
export const helpSummary = "Help about any command";

export interface CommandHelp {
  readonly usage: string;
  readonly text: string;
  readonly examples: readonly string[];
  readonly flags: FlagTable;
  /** "usage" leaves out the description: what follows an error. */
  readonly part: "whole" | "usage";
}

/** Commands or groups under one heading. */
export interface HelpSection {
  readonly title: string;
  readonly entries: readonly (readonly [name: string, summary: string])[];
}

export function commandHelp({ usage, text, examples, flags, part }: CommandHelp): string {
  const sections = [
    part === "whole" ? `${text}\n` : "",
    `Usage:\n  ${spelt(usage)}\n`,
    examples.length === 0 || part === "usage" ? "" : `Examples:\n${examples.map((line) => `  ${line}\n`).join("")}`,
    Object.keys(flags).length === 0 ? "" : `Flags:\n${flagLines(flags)}`,
    usage.startsWith(offlineTool) ? "" : "Use 'etcdctl options' for the flags that every command accepts.\n",
  ];
  return sections.filter((section) => section !== "").join("\n");
}

const closing =
  "Use 'etcdctl [command] --help' for more about a command,\nand 'etcdctl options' for the flags that every command accepts.\n";

/** Commands under this word are etcdutl's. */
const offlineTool = "utl ";

/** A usage as whoever has the usual aliases types it. */
export function spelt(usage: string): string {
  return usage.startsWith(offlineTool) ? `etcdutl ${usage.slice(offlineTool.length)}` : `etcdctl ${usage}`;
}

/** A list of commands: the root's or a group's. */
export function listHelp(head: { text: string; usage: string }, sections: readonly HelpSection[]): string {
  const lists = sections.map(({ title, entries }) => `${title}:\n${aligned(entries)}`);
  const parts = [
    `${head.text}\n`,
    `Usage:\n  ${spelt(head.usage)}\n`,
    ...lists,
    head.usage.startsWith(offlineTool) ? `Use 'etcdutl [command] --help' for more about a command.\n` : closing,
  ];
  return parts.join("\n");
}

/** One line a flag, in alphabetical order: names, default, meaning. */
export function flagLines(flags: FlagTable): string {
  const entries = Object.entries(flags).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return aligned(entries.map(([name, flag]) => [flagNames(name, flag), `${flag.summary}${defaultText(flag)}`]));
}

function flagNames(name: string, flag: Flag): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  return `${short}--${name}${flag.kind === "boolean" ? "" : `=${flag.kind}`}`;
}

/** What the help says of a default that is worth it, with a blank before it. */
export function defaultText(flag: Flag): string {
  switch (flag.kind) {
    case "boolean":
      return flag.initial ? " (default true)" : "";
    case "integer":
      return flag.initial === 0n ? "" : ` (default ${flag.initial})`;
    case "string":
      return flag.initial === "" ? "" : ` (default "${flag.initial}")`;
    case "duration":
      return ` (default ${formatDuration(flag.initial)})`;
    case "list":
      return flag.initial.length === 0 ? "" : ` (default ${flag.initial.join(",")})`;
  }
}

function aligned(entries: readonly (readonly [name: string, summary: string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}\n`).join("");
}
