#!/usr/bin/env node
/**
 * Bundles `litectl` into dist/cli: one file to start from, and chunks that a command loads when it needs them. Finding and
 * reading some hundred small modules is most of what a short command would spend its time on.
 */
import { rm } from "node:fs/promises";
import { build } from "esbuild";

const outdir = "dist/cli";
// Packages that are CommonJS ask for Node's own modules with `require`, which an ES module does not have.
const banner =
  'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);';

await rm(outdir, { recursive: true, force: true });
await build({
  entryPoints: ["src/cli/main.ts"],
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  banner: { js: banner },
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: "warning",
});
