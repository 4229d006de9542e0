/** ETCDCTL_* variables as values of the flags that a command inherits (spec/cli.md 3). Pure. */
import { environmentName, type FlagTable, type FlagValue } from "../flags.js";
import { parseValue } from "./command-line.js";
import { InputError } from "./go-number.js";

/** Variables that mean something without being flags, or are kept for later; they draw no warning. */
const special: readonly string[] = ["ETCDCTL_API", "ETCDCTL_COMPAT", "ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"];

export interface EnvironmentValues {
  /** Values of the flags that only the environment gives. */
  readonly values: ReadonlyMap<string, FlagValue>;
  /** Variables that stand for a flag that the command line gives too. The real tool refuses to run then. */
  readonly conflicts: readonly string[];
  /** Variables that look like ours but mean nothing. Names only: a value may be a password. */
  readonly unknown: readonly string[];
}

/** Reads `inherited` flags from the environment. A value that cannot be parsed counts as not set. */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  inherited: FlagTable,
  given: ReadonlyMap<string, FlagValue>,
): EnvironmentValues {
  const values = new Map<string, FlagValue>();
  const conflicts: string[] = [];
  const names = new Set(special);
  for (const [name, flag] of Object.entries(inherited)) {
    const variable = environmentName(name);
    const value = env[variable] ?? "";
    names.add(variable);
    if (value === "") continue;
    if (given.has(name)) conflicts.push(variable);
    const parsed = tolerant(() => parseValue(flag, value));
    if (parsed !== undefined) values.set(name, parsed);
  }
  const unknown = Object.keys(env).filter((name) => name.startsWith("ETCDCTL_") && !names.has(name));
  return { values, conflicts, unknown };
}

function tolerant(parse: () => FlagValue): FlagValue | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof InputError) return undefined; // etcdctl goes on with the default
    throw error;
  }
}
