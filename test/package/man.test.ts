/** The manual pages as a user has them who installs the packed package globally: `man litectl-get` finds them. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isInstalled } from "../cli/programs.js";
import { root } from "./installed.js";

const run = promisify(execFile);
let prefix: string;

beforeAll(async () => {
  prefix = await mkdtemp(join(tmpdir(), "litecd-global-"));
  await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", prefix], { cwd: root });
  const tarball = (await readdir(prefix)).find((name) => name.endsWith(".tgz"));
  // Pages are linked, not built: the native build of what is optional would only take a minute.
  const flags = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--prefer-offline", "--silent"];
  await run("npm", ["install", "--global", "--prefix", prefix, ...flags, join(prefix, tarball ?? "")]);
}, 180_000);
afterAll(() => rm(prefix, { recursive: true, force: true }));

describe("a global installation", () => {
  it("links every page where man looks for it", async () => {
    const linked = await Promise.all(["man1", "man8"].map((name) => readdir(join(prefix, "share/man", name))));
    expect(linked.flat().toSorted()).toEqual((await readdir(join(root, "man"))).toSorted());
  });

  it.skipIf(!isInstalled("man"))("has pages that man finds next to the programs in PATH", async () => {
    const env = { PATH: `${join(prefix, "bin")}:${process.env["PATH"]}`, LC_ALL: "C.UTF-8", MANPAGER: "cat" };
    const { stdout } = await run("man", ["litectl-get"], { env });
    expect(stdout).toMatch(/^LITECTL-GET\(1\)/);
    expect(stdout).toContain("Gets the key or a range of keys");
    expect(
      (await run("man", ["-w", "litectl", "litectl-lease-grant", "litecd"], { env })).stdout.trim().split("\n"),
    ).toHaveLength(3);
  });
});
