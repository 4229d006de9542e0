/** Splits a line of the txn language or of interactive watch into words (spec/cli.md 8.4, 8.7). */
import { ExitCode, Failure } from "../exit-code.js";
import { unquote } from "./go-string.js";

/**
 * A "…" literal, a '…' string, or anything up to the next blank. A quote that closes nowhere belongs to no word, so it
 * drops out.
 */
const wordPattern = /"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*/gsu;

/** The words as byte text. Throws the exit-3 failure for a "…" with a bad escape. */
export function splitWords(line: string): readonly string[] {
  return (line.match(wordPattern) ?? []).map((word) => {
    if (word.startsWith("'")) return word.slice(1, -1);
    if (!word.startsWith('"')) return word;
    const text = unquote(word);
    if (text === undefined) throw new Failure(ExitCode.InvalidInput, "invalid syntax");
    return text;
  });
}
