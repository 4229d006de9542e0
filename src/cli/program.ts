/** A command line from its words to its exit code: finds the command, runs it, says what went wrong. */
import { Config } from "@oclif/core/config";
import { commandTree, type Group, type HelpNode, type Leaf, type Root, titles } from "./command-tree.js";
import { ExitCode, Failure, quietFailure } from "./exit-code.js";
import { globalFlags } from "./flags.js";
import { parseCommandLine } from "./input/command-line.js";
import { InputError } from "./input/go-number.js";
import { type Resolved, resolveCommand, UnknownCommand } from "./input/resolve-command.js";
import { type HelpSection, helpSummary, listHelp, spelt } from "./output/help.js";
import { writeError, writeOut } from "./terminal.js";

type Node = Root | Group | Leaf | HelpNode;

/** What shells' completion scripts call, as they call etcdctl: with words and without their remarks. */
const completionHelpers: Readonly<Record<string, "notes" | "words">> = {
  __complete: "notes",
  __completeNoDesc: "words",
};

/** Runs one command line to its end. Throws Failure, and whatever a call threw. */
async function run(argv: readonly string[]): Promise<void> {
  const [first = "", ...rest] = argv;
  if (Object.hasOwn(completionHelpers, first)) return answerShell(rest, completionHelpers[first] ?? "notes");
  const { node, path, words } = await resolve(argv);
  switch (node.kind) {
    case "command": {
      const { default: CommandClass } = await node.load();
      return new CommandClass([...words], configuration()).run();
    }
    case "group":
    case "root":
      await checkFlags(node, path, words);
      return writeOut(await help(node, path));
    case "help":
      return topic(path.slice(0, -1), words);
  }
}

async function answerShell(words: readonly string[], notes: "notes" | "words"): Promise<void> {
  const { complete, offerText } = await import("./completion/complete.js");
  await writeOut(offerText(await complete(commandTree, words), notes));
}

async function resolve(argv: readonly string[]): Promise<Resolved<Node>> {
  try {
    return resolveCommand<Node>(commandTree, argv);
  } catch (error) {
    if (!(error instanceof UnknownCommand)) throw error;
    await writeError(`Error: ${error.message}\nRun '${error.program} --help' for usage.`);
    throw quietFailure(ExitCode.Error);
  }
}

/** oclif's configuration as far as a command looks at it; loading it in full would only cost time. */
function configuration(): Config {
  return new Config({ root: import.meta.dirname });
}

/** A group ignores arguments that name no command of it, but not wrong flags. */
async function checkFlags(node: Group | Root, path: readonly string[], words: readonly string[]): Promise<void> {
  try {
    parseCommandLine(words, { ...globalFlags, ...node.flags });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    await writeError(`Error: ${error.message}\n${usageOf(node, path)}`);
    throw quietFailure(ExitCode.Error);
  }
}

function usageOf(node: Group | Root, path: readonly string[]): string {
  return `Usage:\n  ${spelt([...path, "[command]"].join(" "))}\n\nCommands: ${Object.keys(node.children).join(" ")}`;
}

/** `help`, `help COMMAND`, `help GROUP COMMAND`; the same under the root of another program, to which `top` leads. */
async function topic(top: readonly string[], words: readonly string[]): Promise<void> {
  const { node: around } = await resolve(top);
  const names = around.kind === "root" || around.kind === "group" ? Object.keys(around.children) : [];
  if (!names.some((name) => name.startsWith(words[0] ?? ""))) {
    await writeOut(`Unknown help topic [${words.map((word) => `\`${word}\``).join(" ")}]\n`);
    return run(top);
  }
  const { node, path } = await resolve([...top, ...words.filter((word) => !word.startsWith("-"))]);
  if (node.kind !== "command") return writeOut(await help(node.kind === "help" ? commandTree : node, path));
  return run([...path, "--help"]);
}

async function help(node: Group | Root, path: readonly string[]): Promise<string> {
  if (node.kind === "group") {
    const entries = await summaries(Object.entries(node.children));
    const head = { text: node.summary, usage: `${path.join(" ")} [command]` };
    return listHelp(head, [{ title: "Available commands", entries }]);
  }
  const sections: HelpSection[] = [];
  for (const [key, title] of Object.entries(titles)) {
    const children = Object.entries(node.children).filter(([, child]) => child.title === key);
    sections.push({ title, entries: await summaries(children) });
  }
  return listHelp({ text: "A client for etcd and litecd servers.", usage: "[command]" }, sections);
}

function summaries(children: readonly (readonly [string, Group | Leaf | HelpNode])[]) {
  return Promise.all(children.map(async ([name, child]) => [name, await summaryOf(child)] as const));
}

async function summaryOf(node: Group | Leaf | HelpNode): Promise<string> {
  switch (node.kind) {
    case "group":
      return node.summary;
    case "help":
      return helpSummary;
    case "command":
      return (await node.load()).default.summary ?? "";
  }
}

/** Says what went wrong as etcdctl does, and what to do about it; returns the exit code. */
async function report(error: unknown, argv: readonly string[]): Promise<number> {
  const exitCode = error instanceof Failure ? error.exitCode : ExitCode.Error;
  if (error instanceof Failure) {
    if (!error.isTold) await writeError(`Error: ${error.message}`);
    // What follows brings the client along, and is only for people or for what a call said.
    if (error.cause === undefined && (error.isTold || !process.stderr.isTTY)) return exitCode;
  } else {
    const { errorText } = await import("./output/error-text.js");
    await writeError(`Error: ${errorText(error)}`);
  }
  const { explain } = await import("./explain.js");
  await explain(error, commandOf(argv));
  return exitCode;
}

/** The command that a line means; nothing if it means none. */
function commandOf(argv: readonly string[]): readonly string[] {
  try {
    return resolveCommand<Node>(commandTree, argv).path;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return [];
  }
}

/** Runs a command line and returns its exit code; everything there is to say has been said then. */
export async function exitCodeOf(argv: readonly string[]): Promise<number> {
  try {
    await run(argv);
    return ExitCode.Success;
  } catch (error) {
    return report(error, argv);
  }
}
