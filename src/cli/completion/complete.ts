/**
 * The hidden commands `__complete` and `__completeNoDesc`, which the shells' scripts call with the words up to the cursor.
 * They answer within the limit, and what goes wrong is no answer: nothing may disturb the line that is being typed.
 */
import type { CommandClass, Group, HelpNode, Leaf, Root } from "../command-tree.js";
import type { FlagTable } from "../flags.js";
import { globalFlags } from "../flags.js";
import { parseCommandLine, valuesOf } from "../input/command-line.js";
import { readEnvironment } from "../input/environment.js";
import { parseDuration } from "../input/go-duration.js";
import { resolveCommand } from "../input/resolve-command.js";
import { helpSummary } from "../output/help.js";
import { type Candidate, Directive, type Offer } from "./candidates.js";

export { offerText } from "./candidates.js";

import { type CursorLine, type Place, placeOf } from "./cursor.js";
import { argumentKind, type Kind, type Source, valueKind } from "./kinds.js";

type TreeNode = Root | Group | Leaf | HelpNode;

/** The command that the words before the cursor name, and what of the line is left. */
interface Found {
  readonly node: TreeNode;
  readonly path: readonly string[];
  readonly line: CursorLine;
  /** Every flag that may stand here. */
  readonly table: FlagTable;
  readonly usage: string;
}

const noOffer: Offer = { candidates: [], directive: Directive.NoFiles };

/** From the start of the process to the answer; a server that is slower is not asked any longer. */
const limitMs = 300;
/** Another limit as a Go duration; with 0 no server is asked. */
const limitVariable = "LITECTL_COMPLETION_TIMEOUT";

/** What can stand at the cursor. The last word is the one at the cursor and may be empty. Never rejects. */
export async function complete(tree: Root, words: readonly string[]): Promise<Offer> {
  try {
    const line = { before: words.slice(0, -1), partial: words.at(-1) ?? "" };
    const found = await find(tree, line);
    const place = placeOf(found.line, found.table);
    return await offerAt(tree, found, place);
  } catch {
    return noOffer; // an unknown command, a flag with a wrong value, a server that is silent
  }
}

async function find(tree: Root, { before, partial }: CursorLine): Promise<Found> {
  const { node, path, words } = resolveCommand<TreeNode>(tree, before);
  const CommandClass = node.kind === "command" ? (await node.load()).default : undefined;
  const table = { ...inheritedFlags(tree, path), ...ownFlags(CommandClass) };
  const usage = [CommandClass?.usage ?? ""].flat().join("\n");
  return { node, path, line: { before: words, partial }, table, usage };
}

/** The flags of every node on the way. */
function inheritedFlags(tree: Root, path: readonly string[]): FlagTable {
  let table: FlagTable = tree.flags ?? {};
  let node: TreeNode | undefined = tree;
  for (const name of path) {
    node = childrenOf(node)[name];
    table = { ...table, ...node?.flags };
  }
  return table;
}

function childrenOf(node: TreeNode | undefined): Readonly<Record<string, TreeNode>> {
  return node?.kind === "root" || node?.kind === "group" ? node.children : {};
}

/** A command's own flags, of which its class tells oclif. Their values matter only where they stand. */
function ownFlags(CommandClass: CommandClass | undefined): FlagTable {
  const entries = Object.entries(CommandClass?.flags ?? {}).map(([name, { type, char, summary = "" }]) => {
    const common = { summary, ...(char === undefined ? {} : { short: char }) };
    const kind = type === "boolean" ? { kind: "boolean", initial: false } : { kind: "string", initial: "" };
    return [name, { ...common, ...kind }];
  });
  return Object.fromEntries(entries) as FlagTable;
}

async function offerAt(tree: Root, found: Found, place: Place): Promise<Offer> {
  switch (place.kind) {
    case "foreign":
      return { candidates: [], directive: Directive.Files };
    case "flag":
      return startingWith(found.line.partial, flagCandidates(found.table));
    case "value": {
      const kind = valueKind(place.flag, found.table[place.flag]?.kind === "boolean");
      const { candidates, directive } = await offerOf(kind, found, place.partial);
      return { candidates: candidates.map(({ word, note }) => ({ word: place.lead + word, note })), directive };
    }
    case "argument":
      return argumentOffer(tree, found, place.index);
  }
}

async function argumentOffer(tree: Root, found: Found, index: number): Promise<Offer> {
  const { node, path, usage, line } = found;
  switch (node.kind) {
    case "command":
      return offerOf(argumentKind(path, usage, index), found, line.partial);
    case "root":
    case "group":
      return index === 0 ? children(node, line.partial) : noOffer;
    case "help": {
      return children(resolveCommand<TreeNode>(tree, line.before).node, line.partial);
    }
  }
}

async function children(node: TreeNode, partial: string): Promise<Offer> {
  const entries = Object.entries(childrenOf(node));
  const candidates = entries.map(async ([word, child]) => ({ word, note: await summaryOf(child) }));
  return startingWith(partial, await Promise.all(candidates));
}

async function summaryOf(node: TreeNode): Promise<string> {
  switch (node.kind) {
    case "command":
      return (await node.load()).default.summary ?? "";
    case "group":
      return node.summary;
    case "help":
    case "root":
      return helpSummary;
  }
}

function flagCandidates(table: FlagTable): Candidate[] {
  const long = Object.entries(table).map(([name, { summary }]) => ({ word: `--${name}`, note: summary }));
  return [...long, { word: "--help", note: "help for the command" }].toSorted((a, b) => (a.word < b.word ? -1 : 1));
}

function startingWith(partial: string, candidates: readonly Candidate[], directive: number = Directive.NoFiles): Offer {
  return { candidates: candidates.filter(({ word }) => word.startsWith(partial)), directive };
}

async function offerOf(kind: Kind, found: Found, partial: string): Promise<Offer> {
  switch (kind.kind) {
    case "words":
      return startingWith(
        partial,
        kind.words.map((word) => ({ word, note: "" })),
      );
    case "cluster":
      return startingWith(
        partial,
        await clusterCandidates(kind.source, found, partial),
        Directive.NoFiles | Directive.KeepOrder,
      );
    case "files":
      return { candidates: [], directive: Directive.Files };
    case "directories":
      return { candidates: [], directive: Directive.DirectoriesOnly };
    case "nothing":
      return noOffer;
  }
}

/** Asks with the flags of the line and of the environment, for as long as there is time left. */
async function clusterCandidates(
  source: Source,
  { line, table }: Found,
  partial: string,
): Promise<readonly Candidate[]> {
  const { given } = parseCommandLine(line.before, table);
  const fromEnvironment = readEnvironment(process.env, globalFlags, given).values;
  const all = new Map([...fromEnvironment, ...given]);
  const values = valuesOf(globalFlags, all);
  if (leftMs() <= 0) return [];
  const { askCluster } = await import("./cluster.js");
  const timeoutMs = Math.max(0, leftMs());
  const answer = askCluster({ source, partial, values, given: all, timeoutMs });
  // A lookup in DNS or a handshake may take longer than the call that waits for it.
  return await Promise.race([answer, expiry(timeoutMs)]);
}

function expiry(timeoutMs: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error("no time is left")), timeoutMs).unref();
  });
}

/** What is left of the limit, counted from the start of the process. */
function leftMs(): number {
  const text = process.env[limitVariable] ?? "";
  const wholeMs = text === "" ? limitMs : Number(parseDuration(text)) / 1_000_000;
  return wholeMs - performance.now();
}
