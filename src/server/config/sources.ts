/** The three places that flags come from: the command line, the environment, a file. Source: spec/server.md 13.1. */

import { createRequire } from "node:module";
import type { ConfigWarning } from "./config.js";
import { gatesWithoutEffect } from "./feature-gates.js";
import type { Flag } from "./flag.js";
import { flags, ignoredFlags } from "./flag-table.js";
import { ConfigError, isSwitch, naming, type Settings, type Target, targetOf } from "./settings.js";

/** What the command line asks for. */
export type Request = "start" | "help" | "version";

/**
 * Reads a command line as Go does: one or two dashes, `--x v` or `--x=v`, switches alone or with `=`, up to the
 * first word that is no flag. Throws ConfigError: exit 2 for what is no flag or no value, 1 for words left over.
 */
export function readArguments(argv: readonly string[], settings: Settings): Request {
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") break;
    if (!/^-./.test(word)) {
      rest.unshift(word);
      break;
    }
    const [, name = "", text] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === "") throw new ConfigError(`this is no flag: ${word}`, 2);
    if (text === undefined || text === "true") {
      if (name === "help" || name === "h") return "help";
      if (name === "version") return "version";
    }
    if (!ignoredFlags.has(name)) setArgument({ name, text }, rest, settings);
  }
  if (rest[0] !== undefined)
    throw new ConfigError(`${JSON.stringify(rest[0])} is not a flag, and nothing else is taken`);
  return "start";
}

interface Argument {
  readonly name: string;
  readonly text: string | undefined;
}

/** Sets one flag; takes its value from `rest` when the word itself held none. */
function setArgument({ name, text }: Argument, rest: string[], settings: Settings): void {
  const target = targetOf(name);
  if (target === undefined) throw new ConfigError(`there is no flag --${name} (litecd --help lists them all)`, 2);
  const value = text ?? textWithout(target, rest);
  if (value === undefined) throw new ConfigError(`--${name} needs a value`, 2);
  naming(`--${name}=${value}:`, 2, () => settings.setText(target, value));
  settings.keepWord({ name, value });
}

/** What a flag says that came without `=`. */
function textWithout(target: Target, rest: string[]): string | undefined {
  if (isSwitch(target)) return "true";
  const bareText = target.kind === "flag" ? (flags[target.flag] as Flag<unknown>).bareText : undefined;
  return bareText === undefined || /^\d+$/.test(rest[0] ?? "") ? rest.shift() : bareText;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = "ETCD_";

/** `--max-txn-ops` is `ETCD_MAX_TXN_OPS`. */
function flagOfVariable(variable: string): string {
  return variable.slice(prefix.length).toLowerCase().replaceAll("_", "-");
}

/** Throws ConfigError when a variable and a flag say the same thing, or a variable holds a bad value. */
export function readEnvironment(env: Environment, settings: Settings): readonly ConfigWarning[] {
  const fromArguments = new Set(settings.spelled().keys());
  const warnings: ConfigWarning[] = [];
  const variables = Object.entries(env).filter(([variable]) => variable.startsWith(prefix));
  for (const [variable, text = ""] of variables) {
    const target = targetOf(flagOfVariable(variable));
    if (target === undefined) {
      warnings.push({ message: "unrecognized environment variable", fields: { variable } });
      continue;
    }
    if (target.kind === "flag" && fromArguments.has(target.flag)) {
      throw new ConfigError(
        `${variable} and --${target.flag} are both set; the flag shadows the variable, so unset one`,
      );
    }
    if (text !== "") naming(`${variable}=${text}:`, 1, () => settings.setText(target, text));
  }
  return warnings;
}

/** The file that everything is to be read from, if one is named. */
export function configFile(env: Environment, settings: Settings): string | undefined {
  return settings.values()["config-file"] || env["ETCD_CONFIG_FILE"] || undefined;
}

/** Sections of a file: key -> how its own keys become flag names. */
const sections: ReadonlyMap<string, (key: string) => string> = new Map([
  ["client-transport-security", (key: string) => clientSecurity.get(key) ?? key],
  ["peer-transport-security", (key: string) => peerSecurity.get(key) ?? `peer-${key}`],
  ["discovery-config", (key: string) => `discovery-${key}`],
]);

/** Keys of `client-transport-security` that do not spell a flag. What clients live at is never looked at. */
const clientSecurity: ReadonlyMap<string, string> = new Map([
  ["allowed-hostname", "client-cert-allowed-hostname"],
  ["allowed-cn", "client-cert-allowed-cn"],
  ["skip-client-san-verification", ""],
]);

/** Keys of `peer-transport-security` that are not `peer-` and the key. */
const peerSecurity: ReadonlyMap<string, string> = new Map([
  ["client-cert-file", "peer-client-cert-file"],
  ["client-key-file", "peer-client-key-file"],
  ["allowed-cn", "peer-cert-allowed-cn"],
  ["allowed-hostname", "peer-cert-allowed-hostname"],
]);

/** Flags that a file cannot set. */
const flagOnly: ReadonlySet<string> = new Set(["client-crl-file", "peer-crl-file", "config-file", "dev", "dev-port"]);

/** Sets what a config file (YAML, and so JSON) holds; keys it does not know are passed over, as etcd does. */
export function readConfigFile(content: string, settings: Settings): void {
  for (const [key, value] of Object.entries(parseDocument(content))) {
    const rename = sections.get(key);
    if (rename === undefined) setFileKey(key, { path: key, value }, settings);
    else {
      for (const [inner, innerValue] of Object.entries(mapping(value, key))) {
        setFileKey(rename(inner), { path: `${key}.${inner}`, value: innerValue }, settings);
      }
    }
  }
}

interface FileEntry {
  /** How the file spells it. */
  readonly path: string;
  readonly value: unknown;
}

function setFileKey(name: string, { path, value }: FileEntry, settings: Settings): void {
  const target = targetOf(name);
  if (target === undefined || flagOnly.has(name) || value === null || value === undefined) return;
  naming(`${path}: ${JSON.stringify(value)} in the config file`, 1, () => settings.setFileValue(target, value));
}

function parseDocument(content: string): Readonly<Record<string, unknown>> {
  // YAML takes 12 ms to load, which only a start from a file has to pay.
  const { parse } = createRequire(import.meta.url)("yaml") as typeof import("yaml");
  let document: unknown;
  try {
    document = parse(content);
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new ConfigError(`the config file cannot be read: ${reason}`);
  }
  return mapping(document ?? {}, "the config file");
}

function mapping(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ConfigError(`${what} must be a mapping of keys to values`);
}

/** Whether a flag that was set changes nothing; said once in the log. */
export function warningsOfEffect(settings: Settings): readonly ConfigWarning[] {
  const gates = gatesWithoutEffect(settings.values()["feature-gates"]).map((gate) => {
    return { message: "this feature gate has no effect in this version yet", fields: { gate } };
  });
  return [...gates, ...flagsWithoutEffect(settings)];
}

function flagsWithoutEffect(settings: Settings): readonly ConfigWarning[] {
  return [...settings.spelled()].flatMap(([flag, spelling]): ConfigWarning[] => {
    switch (flags[flag].effect) {
      case "now":
        return [];
      case "later":
        return [{ message: "this flag has no effect in this version yet", fields: { flag: `--${spelling}` } }];
      case "never":
        return [{ message: "this flag has no meaning here and is ignored", fields: { flag: `--${spelling}` } }];
    }
  });
}
