/** The manual pages: there is one for everything, they say what the commands say, and troff has nothing to complain of. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { manPages } from "../../scripts/man/pages.js";
import { plain } from "../../scripts/man/roff.js";
import { commandTree } from "../../src/cli/command-tree.js";
import { flags } from "../../src/server/config/flag-table.js";
import { isInstalled } from "./programs.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const pages = await manPages();

describe("the folder of manual pages", () => {
  it("holds what npm run man writes, and package.json lists it", async () => {
    expect((await readdir(join(root, "man"))).toSorted()).toEqual([...pages.keys()].toSorted());
    for (const [file, text] of pages) expect(await readFile(join(root, "man", file), "utf8"), file).toBe(text);
    const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { man?: string[] };
    expect(manifest.man).toEqual([...pages.keys()].toSorted().map((file) => `man/${file}`));
  });

  it("has a page for the program, every group and every command", () => {
    expect(pages.has("litectl.1")).toBe(true);
    for (const [name, node] of Object.entries(commandTree.children)) {
      expect(pages.has(`litectl-${name}.1`)).toBe(true);
      if (node.kind !== "group") continue;
      for (const child of Object.keys(node.children)) expect(pages.has(`litectl-${name}-${child}.1`)).toBe(true);
    }
  });
});

describe("a page", () => {
  it("of a command has its options and examples", () => {
    const page = pages.get("litectl-get.1") ?? "";
    expect(page).toContain("litectl\\-get \\- Gets the key or a range of keys");
    expect(page).toContain("\\fB\\-\\-print\\-value\\-only\\fR\n");
    expect(page).toContain("litectl get \\-\\-prefix /config/ \\-w json\n");
  });

  it("of a group's command has what the group hands down", () => {
    expect(pages.get("litectl-endpoint-health.1")).toContain("\\fB\\-\\-cluster\\fR\n");
  });

  it("of litecd has every flag", () => {
    const page = pages.get("litecd.8") ?? "";
    for (const name of Object.keys(flags)) expect(page).toContain(`\\fB${plain(`--${name}`)}\\fR`);
  });

  it("is made of text that no request can hide in", () => {
    expect(plain(".so /etc/passwd\n'nr a\\b")).toBe("\\&.so /etc/passwd\n\\(aqnr a\\(rsb");
    expect(plain("1 µs")).toBe("1 \\[u00B5]s");
  });
});

/** What troff says of pages on a terminal of the usual width. */
async function warnings(files: readonly string[]): Promise<string> {
  const env = { PATH: process.env["PATH"], LC_ALL: "C.UTF-8", MANWIDTH: "80", MANPAGER: "cat" };
  return (await run("man", ["--warnings", "-l", ...files], { env, maxBuffer: 2 ** 26 })).stderr;
}

describe.skipIf(!isInstalled("man"))("man --warnings", () => {
  it("finds nothing wrong with any page", async () => {
    expect(await warnings([...pages.keys()].map((file) => join(root, "man", file)))).toBe("");
  }, 60_000);

  it("would find something", async () => {
    const directory = await mkdtemp(join(tmpdir(), "litectl-man-"));
    try {
      const file = join(directory, "wrong.1");
      await writeFile(file, `${pages.get("litectl-get.1")}.NOSUCH request\n`);
      expect(await warnings([file])).toContain("NOSUCH");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
