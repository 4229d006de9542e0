/** The sets of scenarios that must pass. They are held in scenarios.json and can only grow. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Who answers litectl in a replay. */
export type Opponent = "etcd" | "litecd";

interface Ratchet {
  /** Pattern of scenario names -> why they are not replayed yet, or never will pass there. */
  readonly later: Readonly<Record<Opponent | "both", Readonly<Record<string, string>>>>;
  readonly pass: Readonly<Record<Opponent, readonly string[]>>;
}

const file = fileURLToPath(new URL("scenarios.json", import.meta.url));
const ratchet = JSON.parse(readFileSync(file, "utf8")) as Ratchet;

/** Scenarios that must pass. */
export function mustPass(opponent: Opponent): readonly string[] {
  return ratchet.pass[opponent];
}

/** Every scenario that is worth replaying: those that must pass and those that might by now. */
export function worthReplaying(transcripts: string, opponent: Opponent): readonly string[] {
  const { both, [opponent]: own } = ratchet.later;
  const patterns = Object.keys({ ...both, ...own }).map((pattern) => new RegExp(`^(?:${pattern})$`));
  const names = readdirSync(join(transcripts, "3.7"))
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length));
  const due = names.filter((name) => !patterns.some((pattern) => pattern.test(name)));
  return [...new Set([...mustPass(opponent), ...due])].toSorted();
}

/** Scenarios that passed although nobody asked them to. */
export function unlisted(opponent: Opponent, passed: readonly string[]): readonly string[] {
  return passed.filter((name) => !ratchet.pass[opponent].includes(name));
}

/** Adds scenarios to those that must pass. Nothing is ever taken out by a program. */
export function raise(opponent: Opponent, names: readonly string[]): void {
  const current = JSON.parse(readFileSync(file, "utf8")) as Ratchet;
  const pass = { ...current.pass, [opponent]: [...new Set([...current.pass[opponent], ...names])].toSorted() };
  writeFileSync(file, `${JSON.stringify({ ...current, pass }, undefined, 2)}\n`);
}
