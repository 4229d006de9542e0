/** The rules of the house as one pure function: files in, violations out. */
import { posix } from "node:path";
import { packages, pureRooms, roomOf, synchronousRooms } from "./rooms.js";
import { type HouseFile, lineAt, readSource, type Source } from "./source.js";

export type Rule =
  | "layering"
  | "package"
  | "purity"
  | "suspension"
  | "size"
  | "purpose"
  | "name"
  | "export"
  | "unfinished"
  | "machine";

export interface Violation {
  readonly rule: Rule;
  readonly path: string;
  readonly line: number;
  readonly detail: string;
}

/** Longest file, in lines. A test file may be twice as long, since a list of cases reads well at length. */
export const linesMax = { source: 400, test: 800 } as const;

/** Checks every rule on every file. Generated code answers only for where it imports from. */
export function checkHouse(files: readonly HouseFile[]): Violation[] {
  return files.flatMap((file) => {
    if (!/\.(ts|mjs|js)$/.test(file.path)) return text(file);
    const source = readSource(file);
    if (file.path.startsWith("proto/gen/")) return [...layering(source), ...packageUse(source)];
    return [...codeRules.flatMap((rule) => rule(source)), ...text(file)];
  });
}

/** One line for a reader: where, which rule, what. */
export function describe(violation: Violation): string {
  return `${violation.path}:${violation.line}: ${violation.rule}: ${violation.detail}`;
}

const codeRules: readonly ((source: Source) => Violation[])[] = [
  layering,
  packageUse,
  purity,
  suspension,
  size,
  purpose,
  name,
  exports,
];

function layering(source: Source): Violation[] {
  if (!isHouse(source.path)) return [];
  const room = roomOf(source.path);
  if (room === undefined) return [at(source, "layering", 1, "belongs to no room of test/tidy/rooms.ts")];
  const allowed = [room.prefix, ...room.mayImport];
  return source.imports.flatMap(({ specifier, line }) => {
    if (!specifier.startsWith(".")) return [];
    const target = resolve(source.path, specifier);
    if (allowed.some((prefix) => target.startsWith(prefix))) return [];
    return [at(source, "layering", line, `${room.prefix} may not import ${target}`)];
  });
}

function packageUse(source: Source): Violation[] {
  if (!isHouse(source.path)) return [];
  return source.imports.flatMap(({ specifier, line }) => {
    if (specifier.startsWith(".") || specifier.startsWith("node:")) return [];
    const named = packageOf(specifier);
    if (packages[named]?.some((prefix) => source.path.startsWith(prefix))) return [];
    return [at(source, "package", line, `${named} may not be used here`)];
  });
}

// `process` and friends as a name of their own: not as somebody's property, not as a key, not as a method being declared.
const worldly =
  /(?<![.\w$])(Date|performance|process|console|crypto|fetch|globalThis|Intl|setTimeout|setInterval|setImmediate|queueMicrotask)\b(?!\s*:|\(\w+\??:)|\bMath\.random\b|\.(?:localeCompare|toLocale\w+)\b/g;
// Checksums, bytes and the joining of names; none of them asks anybody anything.
const pureModules = new Set(["node:zlib", "node:buffer", "node:path"]);

function purity(source: Source): Violation[] {
  if (!inside(source.path, pureRooms)) return [];
  const names = matches(source, worldly, "purity", (found) => `touches the world through ${found}`);
  const modules = source.imports
    .filter(({ specifier }) => specifier.startsWith("node:") && !pureModules.has(specifier))
    .map(({ specifier, line }) => at(source, "purity", line, `touches the world through ${specifier}`));
  return [...names, ...modules];
}

const suspending =
  /(?<![.\w$])(?:async|await|Promise|PromiseLike|AsyncIterable|AsyncGenerator|setTimeout|setInterval|setImmediate|queueMicrotask)\b(?!\s*:)|\.then\s*\(|\bprocess\.nextTick\b/g;

function suspension(source: Source): Violation[] {
  if (!inside(source.path, synchronousRooms)) return [];
  return matches(source, suspending, "suspension", (found) => `suspends through ${found}`);
}

function size(source: Source): Violation[] {
  const max = source.path.startsWith("test/") ? linesMax.test : linesMax.source;
  const lines = source.text.replace(/\n$/, "").split("\n").length;
  return lines <= max ? [] : [at(source, "size", lines, `${lines} lines, more than ${max}`)];
}

function purpose(source: Source): Violation[] {
  const opening = source.text.replace(/^#!.*\n/, "");
  if (/^\/\*\*(?: |\n \* )[^\s*]/.test(opening)) return [];
  return [at(source, "purpose", 1, "does not open with a /** line that says what the file is for */")];
}

const vagueNames = /^(?:utils?|common|shared|helpers?|misc|stuff)\.\w+$/;

function name(source: Source): Violation[] {
  const base = posix.basename(source.path);
  return vagueNames.test(base) ? [at(source, "name", 1, `${base} says nothing about what is inside`)] : [];
}

function exports(source: Source): Violation[] {
  if (!source.path.startsWith("src/")) return [];
  const everything = matches(source, /\bexport\s*\*/g, "export", () => "exports everything of another file");
  if (source.path.startsWith("src/cli/commands/")) return everything;
  const byDefault = /\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/g;
  return [...everything, ...matches(source, byDefault, "export", () => "has a default export")];
}

/** Words that mark unfinished work, put together here so that this file does not say them. */
export const unfinishedWords: readonly string[] = [
  ["TO", "DO"],
  ["FIX", "ME"],
  ["X", "XX"],
].map((parts) => parts.join(""));
const unfinishedWork = new RegExp(`\\b(?:${unfinishedWords.join("|")})\\b`, "g");
// Absolute paths that only make sense on one machine. A name of an API path (/v3/…, /health) is no such thing.
const machinePath = /(?<![\w./}-])\/(?:work|opt|root|home|tmp|Users|mnt)\/[\w.-]+/g;

/** Rules for any text: source, scripts and documents. */
function text(file: HouseFile): Violation[] {
  const source = { ...file, code: file.text };
  return [
    ...matches(source, unfinishedWork, "unfinished", (found) => `says ${found}`),
    ...matches(source, machinePath, "machine", (found) => `names the path ${found}`),
  ];
}

function matches(
  source: HouseFile & { readonly code: string },
  pattern: RegExp,
  rule: Rule,
  detail: (found: string) => string,
): Violation[] {
  return [...source.code.matchAll(pattern)].map((match) =>
    at(source, rule, lineAt(source.code, match.index), detail(match[0])),
  );
}

function at(file: HouseFile, rule: Rule, line: number, detail: string): Violation {
  return { rule, path: file.path, line, detail };
}

function isHouse(path: string): boolean {
  return path.startsWith("src/") || path.startsWith("proto/");
}

function inside(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => path.startsWith(prefix));
}

/** The file that a relative specifier names: `.js` suffixes stand for the `.ts` beside them. */
function resolve(from: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(from), specifier)).replace(/\.js$/, ".ts");
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}
