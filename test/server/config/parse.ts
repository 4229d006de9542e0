/** Short ways to parse a config in tests. */
import type { ServerConfig } from "../../../src/server/config/config.js";
import { type ParsedConfig, parseConfig } from "../../../src/server/config/parse-config.js";

interface Sources {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

/** Parses a command line given as one string of words. */
export function parse(line: string, { env = {}, files = {} }: Sources = {}): ParsedConfig {
  const readFile = (path: string): string => {
    const content = files[path];
    if (content === undefined) throw new Error(`open ${path}: no such file or directory`);
    return content;
  };
  return parseConfig({ argv: line.split(" ").filter((word) => word !== ""), env, readFile });
}

/** The config of a command line that must be good. */
export function configOf(line: string, sources: Sources = {}): ServerConfig {
  const parsed = parse(line, sources);
  if (parsed.kind !== "config") throw new Error(`no config but ${JSON.stringify(parsed)}`);
  return parsed.config;
}

/** The messages and flags of the warnings of a command line that must be good. */
export function warningsOf(line: string, sources: Sources = {}): string[] {
  const parsed = parse(line, sources);
  if (parsed.kind !== "config") throw new Error(`no config but ${JSON.stringify(parsed)}`);
  return parsed.warnings.map(({ message, fields }) => `${message}: ${Object.values(fields).join(" ")}`);
}

/** Exit code and message of a command line that must be bad. */
export function errorOf(line: string, sources: Sources = {}): string {
  const parsed = parse(line, sources);
  if (parsed.kind !== "error") throw new Error(`no error but ${JSON.stringify(parsed)}`);
  return `${parsed.exitCode} ${parsed.message}`;
}

/** A config file with this content. */
export function file(content: string): { readonly files: Readonly<Record<string, string>> } {
  return { files: { "c.yaml": content } };
}
