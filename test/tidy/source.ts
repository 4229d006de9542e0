/** Reads a source file the way the house rules need it: code without comments, code without text, and what it imports. */

/** One file of the house. `path` is relative to the repository's root, with forward slashes. */
export interface HouseFile {
  readonly path: string;
  readonly text: string;
}

/** A file seen three ways. All three have the same length, so an offset in one is an offset in the others. */
export interface Source extends HouseFile {
  /** Comments are blanks. */
  readonly withoutComments: string;
  /** Comments, and what stands inside quotes and regular expressions, are blanks. */
  readonly code: string;
  readonly imports: readonly ImportOf[];
}

/** One module that a file names, by any of the ways to name one. */
export interface ImportOf {
  readonly specifier: string;
  readonly line: number;
}

/** Line number, from 1, of an offset. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

export function readSource(file: HouseFile): Source {
  const blanked = blankOut(file.text);
  return { ...file, ...blanked, imports: importsOf(blanked) };
}

// `from "x"`, `import "x"`, `import("x")`, `require("x")` and a worker's `new URL("x", …)`.
const naming = /(?:\bfrom\s*|\bimport\s*|\bimport\s*\(\s*|\brequire\s*\(\s*|\bnew\s+URL\s*\(\s*)(["'`])/g;

function importsOf(blanked: { withoutComments: string; code: string }): ImportOf[] {
  const found: ImportOf[] = [];
  for (const match of blanked.code.matchAll(naming)) {
    const start = match.index + match[0].length;
    const end = blanked.code.indexOf(match[1] ?? '"', start);
    found.push({
      specifier: blanked.withoutComments.slice(start, end),
      line: lineAt(blanked.code, match.index),
    });
  }
  return found;
}

interface Scan {
  readonly text: string;
  at: number;
  withoutComments: string;
  code: string;
  /** Depth of braces at which each open template literal continues. */
  readonly templates: number[];
  depth: number;
}

/** Blanks comments (once) and text (in the second result). Knows quotes, templates with `${}` and regular expressions. */
function blankOut(text: string): { withoutComments: string; code: string } {
  const scan: Scan = { text, at: 0, withoutComments: "", code: "", templates: [], depth: 0 };
  while (scan.at < text.length) step(scan);
  return { withoutComments: scan.withoutComments, code: scan.code };
}

function step(scan: Scan): void {
  const { text, at } = scan;
  const two = text.slice(at, at + 2);
  const one = text[at] ?? "";
  if (two === "//") comment(scan, endOr(text, text.indexOf("\n", at)));
  else if (two === "/*") comment(scan, endOr(text, text.indexOf("*/", at + 2), 2));
  else if (one === '"' || one === "'") quoted(scan, one);
  else if (one === "`") template(scan);
  else if (one === "}" && scan.templates.at(-1) === scan.depth) template(scan);
  else if (one === "/" && opensRegularExpression(scan.code)) regularExpression(scan);
  else {
    if (one === "{") scan.depth++;
    if (one === "}") scan.depth--;
    keep(scan, at + 1);
  }
}

function endOr(text: string, index: number, extra = 0): number {
  return index < 0 ? text.length : index + extra;
}

function keep(scan: Scan, to: number): void {
  const part = scan.text.slice(scan.at, to);
  scan.withoutComments += part;
  scan.code += part;
  scan.at = to;
}

function comment(scan: Scan, to: number): void {
  const part = blank(scan.text.slice(scan.at, to));
  scan.withoutComments += part;
  scan.code += part;
  scan.at = to;
}

function asText(scan: Scan, to: number): void {
  const part = scan.text.slice(scan.at, to);
  scan.withoutComments += part;
  scan.code += blank(part);
  scan.at = to;
}

function blank(part: string): string {
  return part.replace(/[^\n]/g, " ");
}

function quoted(scan: Scan, quote: string): void {
  keep(scan, scan.at + 1);
  asText(scan, endOfText(scan.text, scan.at, quote));
  keep(scan, scan.at + 1);
}

/** Goes on at a back quote that opens, or at the brace that ends a `${}`: text up to the next `${` or the closing quote. */
function template(scan: Scan): void {
  if (scan.text[scan.at] === "}") scan.templates.pop();
  keep(scan, scan.at + 1);
  let end = scan.at;
  while (end < scan.text.length && scan.text[end] !== "`" && scan.text.slice(end, end + 2) !== "${") {
    end += scan.text[end] === "\\" ? 2 : 1;
  }
  asText(scan, end);
  if (scan.text[end] === "$") {
    scan.templates.push(scan.depth);
    keep(scan, end + 2);
  } else keep(scan, end + 1);
}

function regularExpression(scan: Scan): void {
  keep(scan, scan.at + 1);
  let end = scan.at;
  let inClass = false;
  while (end < scan.text.length && (inClass || scan.text[end] !== "/")) {
    if (scan.text[end] === "[") inClass = true;
    if (scan.text[end] === "]") inClass = false;
    end += scan.text[end] === "\\" ? 2 : 1;
  }
  asText(scan, end);
  keep(scan, scan.at + 1);
}

function endOfText(text: string, from: number, quote: string): number {
  let end = from;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
  return Math.min(end, text.length);
}

/** A slash divides after a value and opens a regular expression everywhere else. */
function opensRegularExpression(before: string): boolean {
  const trimmed = before.trimEnd();
  if (/\b(?:return|case|typeof|in|of|do|else|yield|await)$/.test(trimmed)) return true;
  return !/[\w$)\]}"'`]$/.test(trimmed);
}
