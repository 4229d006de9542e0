/** What a statement of the memory medium does, and how its parameters come. */
import type { Tables } from "./tables.js";

/** `run` answers how many rows it changed, `one` a row or undefined, `many` all rows. */
export interface Work {
  readonly kind: "run" | "one" | "many";
  readonly perform: (tables: Tables, ...parameters: never[]) => unknown;
}

/** By the text of the statement. */
export type Works = readonly (readonly [sql: string, work: Work])[];

export function run(perform: (tables: Tables, ...parameters: never[]) => number): Work {
  return { kind: "run", perform };
}

export function one(perform: (tables: Tables, ...parameters: never[]) => unknown): Work {
  return { kind: "one", perform };
}

export function many(perform: (tables: Tables, ...parameters: never[]) => readonly unknown[]): Work {
  return { kind: "many", perform };
}
