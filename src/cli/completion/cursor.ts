/** What the word at the cursor can be: a command, a flag, a flag's value or an argument. Pure. */
import type { FlagTable } from "../flags.js";

/** A line up to the cursor, once the words that name the command are taken away. */
export interface CursorLine {
  /** The words before the one at the cursor. */
  readonly before: readonly string[];
  /** The word at the cursor, as far as it is typed. */
  readonly partial: string;
}

export type Place =
  | { readonly kind: "flag" }
  /** `lead` is what of the word stands before the value: `--name=`, or nothing. */
  | { readonly kind: "value"; readonly flag: string; readonly lead: string; readonly partial: string }
  /** `index` counts from 0. */
  | { readonly kind: "argument"; readonly index: number }
  /** Behind `--`: the words of another program. */
  | { readonly kind: "foreign" };

/** Finds out by the flags that may stand here; flags that are unknown are taken to have no value. */
export function placeOf({ before, partial }: CursorLine, table: FlagTable): Place {
  let index = 0;
  for (let at = 0; at < before.length; at++) {
    const word = before[at] ?? "";
    if (word === "--") return { kind: "foreign" };
    const waiting = flagThatWaits(word, table);
    if (waiting === undefined) {
      if (!isFlag(word)) index++;
    } else if (at === before.length - 1) return { kind: "value", flag: waiting, lead: "", partial };
    else at++;
  }
  const [, lead = "", name = "", value = ""] = /^(--([^=]+)=)(.*)$/su.exec(partial) ?? [];
  if (lead !== "") return { kind: "value", flag: name, lead, partial: value };
  return partial.startsWith("-") ? { kind: "flag" } : { kind: "argument", index };
}

function isFlag(word: string): boolean {
  return word.startsWith("-") && word !== "-";
}

/** The flag whose value is the word after this one. */
function flagThatWaits(word: string, table: FlagTable): string | undefined {
  if (!isFlag(word) || word.includes("=")) return undefined;
  if (word.startsWith("--")) {
    const name = word.slice(2);
    return Object.hasOwn(table, name) && table[name]?.kind !== "boolean" ? name : undefined;
  }
  return waitingOfCluster(word.slice(1), table);
}

/** Short flags in one word: the first that takes a value takes the rest of the word, or else the next one. */
function waitingOfCluster(letters: string, table: FlagTable): string | undefined {
  for (const [at, letter] of Array.from(letters).entries()) {
    const [name, flag] = Object.entries(table).find(([, { short }]) => short === letter) ?? [];
    if (name === undefined || flag === undefined) return undefined;
    if (flag.kind !== "boolean") return at === letters.length - 1 ? name : undefined;
  }
  return undefined;
}
