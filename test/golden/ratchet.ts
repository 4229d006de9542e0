/** The sets of scenarios that must pass. They are held in scenarios.json and can only grow. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Who answers litectl in a replay. */
export type Opponent = "etcd" | "litecd";

interface Ratchet {
  /** Pattern of scenario names -> why they are not replayed yet. */
  readonly later: Readonly<Record<Opponent, Readonly<Record<string, string>>>>;
  readonly pass: Readonly<Record<Opponent, readonly string[]>>;
}

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const file = pathOf("scenarios.json");
const ratchet = JSON.parse(readFileSync(file, "utf8")) as Ratchet;

/** Scenarios that a real etcd of 3.5 cannot pass whoever asks, and those whose commands litectl lacks; with the reason. */
export const expectedFailures = JSON.parse(
  readFileSync(pathOf("real-etcd-expected-failures.json"), "utf8"),
) as Readonly<Record<string, string>>;

/** Scenarios that must pass. */
export function mustPass(opponent: Opponent): readonly string[] {
  return ratchet.pass[opponent];
}

/** Every scenario that is worth replaying: those that must pass and those that might by now. */
export function worthReplaying(transcripts: string, opponent: Opponent): readonly string[] {
  const patterns = Object.keys(ratchet.later[opponent]).map((pattern) => new RegExp(`^(?:${pattern})$`));
  const names = readdirSync(join(transcripts, "3.7"))
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length));
  const hopeless = opponent === "etcd" ? Object.keys(expectedFailures) : [];
  const due = names.filter((name) => !patterns.some((pattern) => pattern.test(name)) && !hopeless.includes(name));
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
