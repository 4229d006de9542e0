/** The pages of litectl: one for the program, one for every group and every command, from the commands themselves. */
import {
  type CommandClass,
  commandTree,
  type Group,
  type HelpNode,
  type Leaf,
  titles,
} from "../../src/cli/command-tree.js";
import { ExitCode } from "../../src/cli/exit-code.js";
import { environmentName, type Flag, type FlagTable, globalFlags } from "../../src/cli/flags.js";
import { defaultText, helpSummary } from "../../src/cli/output/help.js";
import { bold, header, italic, item, paragraphs, plain, section, seeAlso, subsection, verbatim } from "./roff.js";

type Node = Group | Leaf | HelpNode;

/** File names with the texts of the pages. */
export async function litectlPages(): Promise<[file: string, text: string][]> {
  const below = await Promise.all(Object.entries(commandTree.children).map(([name, node]) => pagesOf([name], node)));
  return [["litectl.1", await rootPage()], ...below.flat()];
}

async function pagesOf(path: readonly string[], node: Node): Promise<[string, string][]> {
  const file = `${pageName(path)}.1`;
  switch (node.kind) {
    case "help":
      return [[file, helpPage(path)]];
    case "command":
      return [[file, commandPage(path, (await node.load()).default, groupFlags(path))]];
    case "group": {
      const children: [string, Node][] = Object.entries(node.children);
      const below = await Promise.all(children.map(([name, child]) => pagesOf([...path, name], child)));
      return [[file, await groupPage(path, node)], ...below.flat()];
    }
  }
}

function pageName(path: readonly string[]): string {
  return ["litectl", ...path].join("-");
}

/** What the groups on the way to a command hand down to it. */
function groupFlags(path: readonly string[]): FlagTable {
  let table: FlagTable = {};
  let children: Readonly<Record<string, Node>> = commandTree.children;
  for (const name of path.slice(0, -1)) {
    const node = children[name];
    table = { ...table, ...node?.flags };
    children = node?.kind === "group" ? node.children : {};
  }
  return table;
}

async function summaryOf(node: Node): Promise<string> {
  switch (node.kind) {
    case "help":
      return helpSummary;
    case "group":
      return node.summary;
    case "command":
      return (await node.load()).default.summary ?? "";
  }
}

function head(path: readonly string[], summary: string, synopsis: readonly string[]): string {
  return [
    header(pageName(path), 1),
    section("name", `${plain(pageName(path))} \\- ${plain(summary)}\n`),
    section("synopsis", synopsis.map((line) => `${bold("litectl")} ${plain(line)}\n`).join(".br\n")),
  ].join("");
}

async function rootPage(): Promise<string> {
  const lists = await Promise.all(
    Object.entries(titles).map(async ([key, title]) => {
      const nodes = Object.entries(commandTree.children).filter(([, node]) => node.title === key);
      return subsection(title, await commandList([], nodes));
    }),
  );
  return [
    head([], "a client for etcd and litecd servers", ["[global options] command [subcommand] [options] [arguments]"]),
    section("description", paragraphs(rootText)),
    section("commands", lists.join("")),
    section("global options", flagItems(globalFlags)),
    section("environment", environment()),
    section("exit status", Object.entries(ExitCode).map(exitItem).join("")),
    section("examples", verbatim(rootExamples)),
    section("see also", seeAlso([["litecd", 8], ...Object.keys(commandTree.children).map((name) => page([name]))])),
  ].join("");
}

const rootText = `
litectl reads and writes the keys of an etcd or litecd cluster, watches them, and looks after the cluster itself. Its command
lines, output and exit codes are those of etcdctl: scripts for the one work with the other.

Options may stand before and after the command and its arguments; behind -- everything is an argument. A command may be
shortened as long as it stays unambiguous. Results go to stdout, everything else to stderr. What is written to a terminal has
control characters spelt out; what is written to a pipe or a file is exact.`;

const rootExamples = [
  "litectl put greeting hello",
  "litectl get greeting",
  "litectl get --prefix /config/ -w json",
  "litectl --endpoints 10.0.0.1:2379,10.0.0.2:2379 endpoint status -w table",
];

const exitMeanings: Readonly<Record<keyof typeof ExitCode, string>> = {
  Success: "Success; also if no key was found, and for help.",
  Error: "An error of the server, a deadline, or a command line that cannot be read.",
  BadConnection: "There was nobody to ask: no endpoint, or the login failed; also errors of questions about leases.",
  InvalidInput: "Text on stdin that makes no sense.",
  BadFeature: "A value or an output format that is not supported.",
  Interrupted: "A watch was ended by the server, or a snapshot could not be saved.",
  BadArguments: "Wrong number or form of arguments, or files for TLS that cannot be used.",
  BrokenPipe: "The reader of the output went away.",
};

function exitItem([name, code]: readonly [string, number]): string {
  return item(bold(String(code)), plain(exitMeanings[name as keyof typeof ExitCode]));
}

function environment(): string {
  const rule = paragraphs(
    `Every global option has a variable: ${environmentName("endpoints")} for --endpoints, ${environmentName("write-out")} ` +
      "for --write-out, and so on. An option that is given in both ways ends the command.",
  );
  const completion = "How long the shell's completion waits for the cluster, such as 1s; 0 asks nobody.";
  return [
    rule,
    item(`${bold("ETCDCTL_WATCH_KEY")}, ${bold("ETCDCTL_WATCH_RANGE_END")}`, plain("Key and end for watch.")),
    item(bold("LITECTL_COMPLETION_TIMEOUT"), plain(completion)),
  ].join("");
}

async function commandList(path: readonly string[], nodes: readonly (readonly [string, Node])[]): Promise<string> {
  const items = nodes.map(async ([name, node]) => {
    const reference = `${plain(await summaryOf(node))}.\nSee ${bold(pageName([...path, name]))}(1).`;
    return item(bold([...path, name].join(" ")), reference.replace("..\n", ".\n"));
  });
  return (await Promise.all(items)).join("");
}

async function groupPage(path: readonly string[], node: Group): Promise<string> {
  const children: [string, Node][] = Object.entries(node.children);
  return [
    head(path, node.summary, [`${path.join(" ")} command [options] [arguments]`]),
    section("commands", await commandList(path, children)),
    section("options", flagItems(node.flags ?? {})),
    section("see also", seeAlso([page(path.slice(0, -1)), ...children.map(([name]) => page([...path, name]))])),
  ].join("");
}

function helpPage(path: readonly string[]): string {
  return [
    head(path, helpSummary, ["help [command] [subcommand]"]),
    section(
      "description",
      paragraphs("Prints what a command does and which options it has, or without one the commands."),
    ),
    section("see also", seeAlso([page([])])),
  ].join("");
}

function commandPage(path: readonly string[], Command: CommandClass, inherited: FlagTable): string {
  const usage = [Command.usage ?? ""].flat().join("\n").split("\n");
  const synopsis = usage.map((line) => line.trim().replace(/^etcdctl /, ""));
  const text = Command.description ?? Command.summary ?? "";
  return [
    head(path, Command.summary ?? "", synopsis),
    section("description", paragraphs(text.endsWith(".") ? text : `${text}.`)),
    section("options", flagItems(inherited) + ownFlagItems(Command)),
    section("examples", verbatim((Command.examples ?? []).map(String))),
    section("exit status", `As of every command: see ${bold("litectl")}(1), which also has the global options.\n`),
    section("see also", seeAlso([page([]), ...(path.length > 1 ? [page(path.slice(0, -1))] : [])])),
  ].join("");
}

function page(path: readonly string[]): readonly [string, number] {
  return [pageName(path), 1];
}

function flagItems(table: FlagTable): string {
  return sorted(table)
    .map(([name, flag]) => flagItem(name, flag))
    .join("");
}

function flagItem(name: string, flag: Flag): string {
  const value = flag.kind === "boolean" ? undefined : flag.kind;
  return optionItem({ name, short: flag.short, value, summary: `${flag.summary}${defaultText(flag)}` });
}

/** A command tells oclif of its own flags. */
function ownFlagItems(Command: CommandClass): string {
  const items = sorted(Command.flags).map(([name, { type, char, summary = "", default: initial }]) => {
    const isShown = typeof initial === "string" && !["", "0", "[]", "false"].includes(initial);
    const value = type === "boolean" ? undefined : "value";
    return optionItem({ name, short: char, value, summary: isShown ? `${summary} (default ${initial})` : summary });
  });
  return items.join("");
}

interface OptionFacts {
  readonly name: string;
  readonly short: string | undefined;
  /** What stands behind the equals sign; nothing for switches. */
  readonly value: string | undefined;
  readonly summary: string;
}

function optionItem({ name, short, value, summary }: OptionFacts): string {
  const shortTerm = short === undefined ? "" : `${bold(`-${short}`)}, `;
  const term = `${shortTerm}${bold(`--${name}`)}${value === undefined ? "" : `=${italic(value)}`}`;
  return item(term, `${plain(summary)}.`);
}

function sorted<Value>(table: Readonly<Record<string, Value>>): [string, Value][] {
  return Object.entries(table).toSorted(([left], [right]) => (left < right ? -1 : 1));
}
