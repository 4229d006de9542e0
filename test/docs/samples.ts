/**
 * The programs in Markdown files. A block of TypeScript (```ts) is a program that must run; a block right after it that is
 * marked `prints` is what it must print. A block marked `ts fragment` is only part of one and does not run.
 */
import { readFileSync } from "node:fs";

export interface Sample {
  /** `docs/guides/watch.md:12`: the file and the line where the program begins. */
  readonly name: string;
  readonly code: string;
  /** What it prints; undefined if the text does not say. */
  readonly prints: string | undefined;
}

const block = /^```(\S+)([^\n]*)\n(.*?)^```$/gms;

/** The programs of a file, in order. */
export function samplesIn(root: string, file: string): Sample[] {
  const text = readFileSync(`${root}${file}`, "utf8");
  const blocks = [...text.matchAll(block)].map((match) => ({
    language: match[1],
    mark: match[2]?.trim(),
    code: match[3] ?? "",
    begin: match.index,
    end: match.index + match[0].length,
  }));
  return blocks.flatMap(({ language, mark, code, begin, end }, at) => {
    if (language !== "ts" || mark !== "") return [];
    const next = blocks[at + 1];
    const follows = next?.language === "prints" && text.slice(end, next.begin).trim() === "";
    const line = text.slice(0, begin).split("\n").length + 1;
    return [{ name: `${file}:${line}`, code, prints: follows ? next.code : undefined }];
  });
}
