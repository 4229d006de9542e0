/** Keeps the documents true: the paths, links, scripts and rooms that they name exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { rooms } from "./rooms.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (name: string): string => readFileSync(join(root, name), "utf8");
const guides = readdirSync(join(root, "docs/guides")).map((name) => `docs/guides/${name}`);
const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "docs/README.md",
  "examples/README.md",
  ...guides,
];
const scripts = Object.keys((JSON.parse(read("package.json")) as { scripts: Record<string, string> }).scripts);

/** Files and folders in backquotes: what ends in a slash or in a source suffix, but no pattern and no placeholder. */
function pathsIn(text: string): string[] {
  const quoted = [...text.matchAll(/`([\w./-]+(?:\/|\.(?:ts|mjs|json|md)))`/g)].map(([, path]) => path ?? "");
  return quoted.filter((path) => !path.startsWith("/") && !path.startsWith("spec/"));
}

function scriptsIn(text: string): string[] {
  const named = [...text.matchAll(/\bnpm (?:run ([\w:]+)|(test)\b)/g)];
  return named.map(([, run, test]) => run ?? test ?? "");
}

describe.each(documents)("%s", (name) => {
  const text = read(name);

  it("names files and folders that exist", () => {
    // Rooms of the server are named without the folders above them.
    const homes = ["", "proto", "src", "src/server", "src/cli", "src/client", "src/server/state", "test"];
    const missing = pathsIn(text).filter((path) => !homes.some((home) => existsSync(join(root, home, path))));
    expect(missing).toEqual([]);
  });

  it("links to files that exist", () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link ?? "");
    expect(links.filter((link) => !existsSync(join(root, dirname(name), link)))).toEqual([]);
  });

  it("names scripts of package.json", () => {
    expect(scriptsIn(text).filter((script) => !scripts.includes(script))).toEqual([]);
  });
});

describe("ARCHITECTURE.md", () => {
  it("speaks of every room", () => {
    const text = read("ARCHITECTURE.md");
    const names = rooms.map(({ prefix }) => prefix.replace(/^src\/server\//, "").replace(/\.ts$/, ""));
    expect(names.filter((name) => !text.includes(name))).toEqual([]);
  });
});

describe("reading a document", () => {
  it("finds paths and scripts, and nothing else", () => {
    const text = "`src/nowhere/x.ts` and `raft/`, `/v3/kv/`, `spec/server.md`, `a b.ts`; `npm run nothing`, npm test";
    expect(pathsIn(text)).toEqual(["src/nowhere/x.ts", "raft/"]);
    expect(scriptsIn(text)).toEqual(["nothing", "test"]);
  });
});
