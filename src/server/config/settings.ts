/** What was set and by whom: values of flags collected from the command line, the environment or a config file. */

import { BadValue } from "./bad-value.js";
import { gateOfExperimentalSwitch } from "./feature-gates.js";
import { toggle } from "./flag.js";
import { type FlagName, type FlagValues, flagOfExperimentalName, flags, isFlagName } from "./flag-table.js";

/** The server cannot start. `exitCode` is 2 for a command line that cannot be read, 1 for everything else, as in etcd. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A name that can be set: a flag under one of its spellings, or a switch of etcd 3.5 that became a feature gate. */
export type Target =
  | { readonly kind: "flag"; readonly flag: FlagName; readonly spelling: string }
  | { readonly kind: "gate"; readonly gate: string; readonly spelling: string };

/** Finds what a name (without dashes) sets; undefined when there is no such flag. */
export function targetOf(spelling: string): Target | undefined {
  if (isFlagName(spelling)) return { kind: "flag", flag: spelling, spelling };
  const flag = flagOfExperimentalName(spelling);
  if (flag !== undefined) return { kind: "flag", flag, spelling };
  const gate = gateOfExperimentalSwitch(spelling);
  return gate === undefined ? undefined : { kind: "gate", gate, spelling };
}

/** Whether the target may stand without a value (`--pre-vote`). */
export function isSwitch(target: Target): boolean {
  return target.kind === "gate" || flags[target.flag].argument === undefined;
}

/** A flag of the command line, without dashes. */
export interface CommandWord {
  readonly name: string;
  readonly value: string;
}

const gateSwitch = toggle(false, "later", "");

/** Values that were set; the rest are defaults. */
export class Settings {
  private readonly given = new Map<FlagName, unknown>();
  private readonly spellings = new Map<FlagName, string>();
  private readonly words: CommandWord[] = [];

  /** Sets from text. Throws {@link BadValue}, or {@link ConfigError} when a flag is set under two spellings. */
  setText(target: Target, text: string): void {
    if (target.kind === "gate") this.setGate(target, gateSwitch.parse(text));
    else this.set(target, flags[target.flag].parse(text));
  }

  /** Sets from a value of a config file. Throws like {@link setText}. */
  setFileValue(target: Target, value: unknown): void {
    if (target.kind === "gate") this.setGate(target, gateSwitch.fromFile(value));
    else this.set(target, flags[target.flag].fromFile(value));
  }

  isSet(flag: FlagName): boolean {
    return this.given.has(flag);
  }

  /** Remembers what stood on the command line, for {@link commandWords}. */
  keepWord(word: CommandWord): void {
    this.words.push(word);
  }

  /** The flags of the command line in their order, with their values as they were written. */
  commandWords(): readonly CommandWord[] {
    return this.words;
  }

  /** Flags that were set, as they were spelled. */
  spelled(): ReadonlyMap<FlagName, string> {
    return this.spellings;
  }

  values(): FlagValues {
    const defaults = Object.entries(flags).map(([name, flag]) => [name, flag.parse(flag.defaultText)] as const);
    // Every value came out of the parser of its own flag.
    return Object.fromEntries([...defaults, ...this.given]) as unknown as FlagValues;
  }

  private set(target: Target & { kind: "flag" }, value: unknown): void {
    const before = this.spellings.get(target.flag);
    if (before !== undefined && before !== target.spelling) {
      throw new ConfigError(`--${before} and --${target.spelling} are the same flag; set one of them`);
    }
    this.given.set(target.flag, value);
    this.spellings.set(target.flag, target.spelling);
  }

  private setGate(target: Target & { kind: "gate" }, on: boolean): void {
    const gates = this.given.get("feature-gates") as FlagValues["feature-gates"] | undefined;
    this.given.set("feature-gates", new Map([...(gates ?? []), [target.gate, on]]));
    this.spellings.set("feature-gates", target.spelling);
  }
}

/** Runs `work`; a bad value ends in one line that names who set it. */
export function naming<T>(subject: string, exitCode: 1 | 2, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof BadValue) throw new ConfigError(`${subject} ${error.message}`, exitCode);
    throw error;
  }
}
