#!/usr/bin/env node
/**
 * Bundles `litecd` into dist/server: the program, what it loads when it needs it, and the files that its threads run, which
 * it finds beside itself. A member spends half of its start on finding and reading small modules.
 */
import { rm } from "node:fs/promises";
import { build } from "esbuild";

const outdir = "dist/server";
// Packages that are CommonJS ask for Node's own modules with `require`, which an ES module does not have.
const banner =
  'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);';
const threads = "src/server/replica/threads";

await rm(outdir, { recursive: true, force: true });
await build({
  entryPoints: {
    main: "src/server/main.ts",
    "log-thread": `${threads}/log-thread.ts`,
    "state-thread": `${threads}/state-thread.ts`,
    "helper-thread": `${threads}/helper-thread.ts`,
  },
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  // It brings a native library, and is optional.
  external: ["better-sqlite3"],
  banner: { js: banner },
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: "warning",
});
