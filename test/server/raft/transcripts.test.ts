/** Replays every transcript of this folder; `vitest -u` writes down what the members do now. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { replay } from "./transcript.js";

const folder = join(import.meta.dirname, "transcripts");

describe("transcripts", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));

  it("are there", () => {
    expect(files.length).toBeGreaterThan(10);
  });

  it.each(files)("%s happens again as written", async (name) => {
    const path = join(folder, name);
    await expect(replay(readFileSync(path, "utf8"))).toMatchFileSnapshot(path);
  });
});
