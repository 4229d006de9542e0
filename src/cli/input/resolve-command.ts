/** Which command a line means: words among flags, prefixes of names, near misses (spec/cli.md 1.1, 1.2). Pure. */
import type { FlagTable } from "../flags.js";
import { goQuote } from "../output/go-quote.js";
import { InputError } from "./go-number.js";

/** A command, or a group of commands, as far as resolving needs to know it. */
export interface CommandNode {
  /** Flags that this node and everything below it accept. */
  readonly flags?: FlagTable;
  readonly children?: Readonly<Record<string, CommandNode>>;
  /** Set where a tree begins that stands for a program of this name: a word in it that names no command is an error. */
  readonly program?: string;
}

/** The first word names no command. */
export class UnknownCommand extends InputError {
  readonly program: string;

  constructor(program: string, message: string) {
    super(message);
    this.program = program;
  }
}

export interface Resolved<Node extends CommandNode> {
  readonly node: Node;
  /** Full names from the root down; empty for the root itself. */
  readonly path: readonly string[];
  /** The words without those that named the command. */
  readonly words: readonly string[];
}

/** Follows the words from the root as far as they name commands. Throws UnknownCommand if the first names none. */
export function resolveCommand<Node extends CommandNode>(
  root: Node & { readonly children: Readonly<Record<string, Node>> },
  argv: readonly string[],
): Resolved<Node> {
  let found: Resolved<Node> = { node: root, path: [], words: argv };
  let flags: FlagTable = root.flags ?? {};
  for (;;) {
    const at = indexOfName(found.words, flags);
    const name = at === undefined ? undefined : found.words[at];
    const children = (found.node.children ?? {}) as Readonly<Record<string, Node>>;
    const full = name === undefined ? undefined : match(children, name);
    const child = full === undefined ? undefined : children[full];
    if (full === undefined || child === undefined) {
      const program = found.path.length === 0 ? "etcdctl" : found.node.program;
      if (name !== undefined && program !== undefined) throw unknownCommand(program, name, ownNames(children));
      return found;
    }
    const words = found.words.filter((_, index) => index !== at);
    found = { node: child, path: [...found.path, full], words };
    flags = { ...flags, ...child.flags };
  }
}

/** Where the first word is that is neither a flag nor a flag's value. An unknown flag is taken to have a value. */
function indexOfName(words: readonly string[], flags: FlagTable): number | undefined {
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word === "--") return undefined;
    if (word !== "" && !word.startsWith("-")) return index;
    if (takesNextWord(word, flags)) index++;
  }
  return undefined;
}

function takesNextWord(word: string, flags: FlagTable): boolean {
  if (word.includes("=") || word === "-h" || word === "--help") return false;
  if (word.startsWith("--")) return flags[word.slice(2)]?.kind !== "boolean";
  if (word.length !== 2) return false;
  return Object.values(flags).find((flag) => flag.short === word[1])?.kind !== "boolean";
}

/** The full name for an exact name or an unambiguous prefix. */
function match(children: Readonly<Record<string, CommandNode>>, name: string): string | undefined {
  if (Object.hasOwn(children, name)) return name;
  const candidates = ownNames(children).filter((child) => child.startsWith(name));
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** Another program's tree has to be named in full, so that what etcdctl understands or suggests stays the same. */
function ownNames(children: Readonly<Record<string, CommandNode>>): string[] {
  return Object.keys(children).filter((name) => children[name]?.program === undefined);
}

function unknownCommand(program: string, name: string, known: readonly string[]): UnknownCommand {
  const near = suggestions(name, known);
  const hint = near.length === 0 ? "" : `\n\nDid you mean this?\n${near.map((word) => `\t${word}\n`).join("")}`;
  return new UnknownCommand(program, `unknown command ${goQuote(name)} for "${program}"${hint}`);
}

/** Names within two edits of what was typed, and names that start with it. */
function suggestions(typed: string, known: readonly string[]): readonly string[] {
  const lower = typed.toLowerCase();
  return known
    .filter((name) => editDistance(lower, name.toLowerCase()) <= 2 || name.toLowerCase().startsWith(lower))
    .toSorted();
}

/** How many insertions, deletions and replacements turn one word into the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of Array.from(from).entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      const replaced = (row[j] ?? 0) + (letter === to[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
