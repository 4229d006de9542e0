#!/usr/bin/env node
/**
 * Writes the manual pages into man/, from the commands of litectl and the flags of litecd, and their list into package.json:
 * npm links what is listed there, and does not look into a folder by itself.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const generator = resolve("dist/man/pages.js");
await build({
  entryPoints: ["scripts/man/pages.ts"],
  outfile: generator,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  packages: "external",
  logLevel: "warning",
});
const { manPages } = await import(pathToFileURL(generator).href);
const pages = await manPages();

await mkdir("man", { recursive: true });
for (const file of await readdir("man")) if (!pages.has(file)) await rm(`man/${file}`);
for (const [file, text] of pages) await writeFile(`man/${file}`, text);

const manifest = JSON.parse(await readFile("package.json", "utf8"));
manifest.man = [...pages.keys()].toSorted((left, right) => (left < right ? -1 : 1)).map((file) => `man/${file}`);
await writeFile("package.json", `${JSON.stringify(manifest, undefined, 2)}\n`);
