/** The tree of commands and the files it stands for; and what starting up may load. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { commandTree, type Group, type Leaf, type Root } from "../../src/cli/command-tree.js";

const cli = fileURLToPath(new URL("../../src/cli/", import.meta.url));

function leaves(group: Root | Group = commandTree, prefix = ""): (readonly [path: string, leaf: Leaf])[] {
  return Object.entries(group.children).flatMap(([name, node]) => {
    if (node.kind === "command") return [[`${prefix}${name}`, node] as const];
    return node.kind === "help" ? [] : leaves(node, `${prefix}${name}/`);
  });
}

describe("the tree", () => {
  it("has one file for one command, at the command's own path", () => {
    const files = readdirSync(join(cli, "commands"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(join(cli, "commands"), join(entry.parentPath, entry.name)).replace(/\.ts$/, ""));
    expect(files.toSorted()).toEqual(
      leaves()
        .map(([path]) => path)
        .toSorted(),
    );
  });

  it.each(leaves())("describes %s for help and manifest", async (path, leaf) => {
    const { default: Command } = (await leaf.load()) as unknown as { default: typeof import("@oclif/core").Command };
    expect(Command.summary).toMatch(/\S/);
    expect(String(Command.usage).split(" ").slice(0, path.split("/").length).join("/")).toBe(path);
    expect(Command.strict).toBe(false);
    for (const flag of Object.values(Command.flags)) expect(flag.summary).toMatch(/\S/);
  });
});

/** Files that a file imports before it runs a line of its own, itself included; packages by name. */
function eager(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  if (!existsSync(file)) return seen;
  const text = readFileSync(file, "utf8");
  for (const match of text.matchAll(/^(?:import|export) (?!type\b)(?:[^;]*? from )?"([^"]+)";/gms)) {
    const specifier = match[1] ?? "";
    if (specifier.startsWith(".")) eager(join(dirname(file), specifier.replace(/\.js$/, ".ts")), seen);
    else seen.add(specifier);
  }
  return seen;
}

function packagesOf(file: string): string[] {
  return [...eager(join(cli, file))].filter((name) => !name.startsWith("/") && !name.startsWith("node:"));
}

describe("starting up", () => {
  it("loads no package for version", () => {
    expect(packagesOf("main.ts")).toEqual([]);
  });

  it.each(["program.ts", ...leaves().map(([path]) => `commands/${path}.ts`)])(
    "loads of all packages only oclif's command for %s, and no client",
    (file) => {
      const outside = packagesOf(file).filter((name) => !name.startsWith("@oclif/core/"));
      expect(outside).toEqual([]);
      expect([...eager(join(cli, file))].filter((path) => path.includes("/src/client/"))).toEqual([]);
      // What works on files brings SQLite.
      expect([...eager(join(cli, file))].filter((path) => path.includes("/src/server/"))).toEqual([]);
    },
  );

  it("sees what is imported: the session brings the client", () => {
    expect([...eager(join(cli, "session.ts"))].some((path) => path.endsWith("/src/client/index.ts"))).toBe(true);
    expect(packagesOf("output/table.ts")).toEqual(["cli-table3"]);
  });
});
