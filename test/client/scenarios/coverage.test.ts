/** All thirty scenarios are there, each against every target, and where one is left out its title says why. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const directory = dirname(fileURLToPath(import.meta.url));
const sources = readdirSync(directory)
  .filter((name) => name.endsWith(".test.ts") && name !== "coverage.test.ts")
  .map((name) => readFileSync(join(directory, name), "utf8"));

it("each of the thirty scenarios is a test", () => {
  const numbers = sources.flatMap((text) =>
    [...text.matchAll(/"scenario (\d+): /g)].map(([, number]) => Number(number)),
  );
  const all = Array.from({ length: 30 }, (_, index) => index + 1);
  expect([...new Set(numbers)].toSorted((a, b) => a - b)).toEqual(all);
});

it("every file of scenarios runs against every target", () => {
  for (const text of sources) expect(text).toMatch(/describe\.each\((targets|programs)\)/);
});
